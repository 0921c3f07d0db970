"""A backfill derives shipment and return events from the orders' documents."""

from collections.abc import Callable

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import Function
from tests.functional.documents import Json
from tests.functional.job_runs import Job
from tests.functional.shipment_documents import (
    DHL,
    delivery,
    parcel,
    parcel_added,
    return_added,
    return_info,
    return_item,
    return_state,
    shipment_state,
    shipped_order,
)

pytestmark = pytest.mark.usefixtures("buyer")

PARCEL = parcel(1, DHL, createdAt="2026-05-04T10:00:00.000Z")
RETURN = return_info(
    return_item(1),
    return_item(2, "line-2", shipmentState="Returned", lastModifiedAt="2026-05-09T10:00:00.000Z"),
    date="2026-05-08T10:00:00.000Z",
)
ORDER = shipped_order(
    delivery(1, None, PARCEL),
    shipmentState="Shipped",
    orderState="Complete",
    returnInfo=[RETURN],
    lastModifiedAt="2026-05-20T10:00:00.000Z",
)
COMPARED = ("Confirmed Shipment", "Shipped Order", "Requested Return", "Returned Order")


def _events(sandbox: Sandbox) -> dict[tuple[str, str], Json]:
    return {(one["metric"], one["unique_id"]): one for one in sandbox.klaviyo.state()["events"]}


def test_events_of_a_shipped_and_returned_order(sandbox: Sandbox, job: Job) -> None:
    """Each event has its own time, estimated times are marked, and none starts a flow."""
    sandbox.commercetools.put("orders", ORDER)
    assert job.run("--only", "orders").code == 0
    events = {metric: one for (metric, _), one in _events(sandbox).items()}
    assert {
        metric: (events[metric]["time"][:10], events[metric]["properties"].get("TimeEstimated")) for metric in COMPARED
    } == {
        "Confirmed Shipment": ("2026-05-04", None),
        "Shipped Order": ("2026-05-20", True),
        "Requested Return": ("2026-05-08", None),
        "Returned Order": ("2026-05-09", True),
    }
    assert {one["backfill"] for one in events.values()} == {True}


def test_events_sent_by_messages_are_not_duplicated(sandbox: Sandbox, function: Function, job: Job) -> None:
    """The backfill uses the messages' unique ids, so their events stay as they are."""
    sandbox.commercetools.put("orders", ORDER)
    for message in (
        shipment_state("Shipped"),
        parcel_added(delivery(1, None, PARCEL), PARCEL),
        return_added(RETURN),
        return_state("Returned", 2),
    ):
        assert function.deliver(message).outcome == "synced"
    live = {key: one for key, one in _events(sandbox).items() if key[0] in COMPARED}
    assert len(live) == len(COMPARED)
    assert job.run("--only", "orders").code == 0
    assert {key: one for key, one in _events(sandbox).items() if key[0] in COMPARED} == live


def test_an_order_is_fulfilled_once(sandbox: Sandbox, job: Job, settings_file: Callable[[str], str]) -> None:
    """An order fulfilled by both its order state and its shipment state gets one event, with one call."""
    sandbox.commercetools.put("orders", ORDER)
    rules = settings_file('[order]\nfulfilled_shipment_states = ["Shipped"]\n')
    assert job.run("--only", "orders", SYNC_CONFIG=rules).code == 0
    sent = [
        call["body"]["data"]["attributes"]["metric"]["data"]["attributes"]["name"]
        for call in sandbox.klaviyo.requests(kind="api")
        if call["operation"] == "create_event"
    ]
    assert (sent.count("Fulfilled Order"), sent.count("Shipped Order")) == (1, 1)


def test_disabled_metrics_and_messages_are_not_loaded(
    sandbox: Sandbox, job: Job, settings_file: Callable[[str], str]
) -> None:
    """A metric with an empty name, and events of a disabled message, are not backfilled."""
    sandbox.commercetools.put("orders", ORDER)
    rules = settings_file(
        '[metrics]\nreturned_order = ""\n'
        '[messages]\ndisabled = ["order/ParcelAddedToDelivery", "order/OrderCreated", "order/OrderStateChanged"]\n'
    )
    assert job.run("--only", "orders", SYNC_CONFIG=rules).code == 0
    assert {metric for metric, _ in _events(sandbox)} == {"Shipped Order", "Requested Return"}
