"""In whatever order messages about shipments and returns arrive, each of their events is sent exactly once."""

import json
import os
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import Json
from tests.functional.random_shipments import METRICS, EventKey, RandomShipments, Step

pytestmark = pytest.mark.usefixtures("buyer")

ORDERS = 6
STEPS = 20


@pytest.fixture
def function(serve: Serve) -> Function:
    """A function that accepts deliveries without Pub/Sub's envelope."""
    return serve(SKIP_BASE64_ENCODING="1")


@pytest.fixture
def histories() -> list[RandomShipments]:
    """Orders with random histories. SHIPMENTS_SEED repeats the one that a failure names."""
    seed = int(os.environ.get("SHIPMENTS_SEED") or random.randrange(2**32))
    histories = [RandomShipments(seed + number) for number in range(ORDERS)]
    for one in histories:
        one.make_steps(STEPS)
    return histories


def test_in_order_each_message_makes_its_events(
    sandbox: Sandbox, function: Function, histories: list[RandomShipments]
) -> None:
    """Each message arrives immediately, with the order as it is then, with its payload and without."""
    for history in histories:
        for without_payload in (False, True):
            _reset(sandbox, history.steps[0].order)
            for step in history.steps:
                sandbox.commercetools.put("orders", step.order)
                _deliver(function, _without_payload(step.message) if without_payload else step.message)
            assert _events(sandbox) == history.events, history.seed


def test_late_reordered_and_duplicated_messages_make_the_same_events(
    sandbox: Sandbox, function: Function, histories: list[RandomShipments]
) -> None:
    """All arrive after the last change, shuffled, twice, and once more without their payloads."""
    for history in histories:
        _reset(sandbox, history.order)
        _deliver_all(
            function,
            [*_messages(history.steps), *_messages(history.steps), *map(_without_payload, _messages(history.steps))],
            history.rng,
        )
        assert _events(sandbox) == history.events, history.seed


def test_messages_that_lag_behind_the_order(
    sandbox: Sandbox, function: Function, histories: list[RandomShipments]
) -> None:
    """Each message arrives twice, up to five messages late, while the order changes."""
    for history in histories:
        _reset(sandbox, history.steps[0].order)
        arrivals = sorted(
            (number + history.rng.uniform(0, 5), number) for number in range(len(history.steps)) for _ in range(2)
        )
        for arrival, number in arrivals:
            sandbox.commercetools.put("orders", history.steps[min(int(arrival), len(history.steps) - 1)].order)
            _deliver(function, history.steps[number].message)
        assert _events(sandbox) == history.events, history.seed


def test_late_messages_without_payloads_invent_nothing(
    sandbox: Sandbox, function: Function, histories: list[RandomShipments]
) -> None:
    """Events are sent for what the final order still shows, under the same ids, and for nothing else."""
    for history in histories:
        _reset(sandbox, history.order)
        _deliver_all(function, [_without_payload(message) for message in _messages(history.steps)], history.rng)
        found = _events(sandbox)
        assert found <= history.events, history.seed
        shown: set[EventKey] = {
            ("Confirmed Shipment", f"{parcel['id']}:{parcel['trackingData']['trackingId']}")
            for parcel in _parcels(history.order)
            if not parcel.get("trackingData", {"isReturn": True})["isReturn"]
        }
        state = METRICS.get(history.order["shipmentState"])
        shown |= {(state,)} if state and history.order["shipmentState"] != "Partial" else set()
        returned = [
            item for info in history.order["returnInfo"] for item in info["items"] if item["shipmentState"] != "Advised"
        ]
        if any(step.message["type"] == "ParcelAddedToDelivery" for step in history.steps):
            assert shown <= found, history.seed
        if any(step.message["type"].startswith("ReturnInfo") for step in history.steps):
            assert sum(one[0] == "Returned Order" for one in found) == len(returned), history.seed


def _reset(sandbox: Sandbox, order: Json) -> None:
    sandbox.klaviyo.reset()
    sandbox.commercetools.put("orders", order)


def _messages(steps: Iterable[Step]) -> list[Json]:
    return [step.message for step in steps]


def _without_payload(message: Json) -> Json:
    """The same message as if its payload had been too large to be included."""
    common = ("notificationType", "projectKey", "id", "version", "sequenceNumber", "resource", "resourceVersion")
    kept = {name: message[name] for name in (*common, "createdAt", "lastModifiedAt")}
    return kept | {"payloadNotIncluded": {"reason": "The payload is too large.", "payloadType": message["type"]}}


def _deliver_all(function: Function, messages: list[Json], rng: random.Random) -> None:
    rng.shuffle(messages)
    for one in messages:
        _deliver(function, one)


def _deliver(function: Function, message: Json) -> None:
    assert function.post(json.dumps(message).encode()).status_code == ACKNOWLEDGED


def _parcels(order: Json) -> list[Json]:
    infos = [order["shippingInfo"]] if order.get("shippingInfo") else [one["shippingInfo"] for one in order["shipping"]]
    return [parcel for info in infos for delivery in info["deliveries"] for parcel in delivery["parcels"]]


def _events(sandbox: Sandbox) -> set[EventKey]:
    """What identifies each event. None may exist twice."""
    found = [_event_key(event) for event in sandbox.klaviyo.state()["events"]]
    assert len(set(found)) == len(found)
    return set(found)


def _event_key(event: Mapping[str, Any]) -> EventKey:
    metric, properties = event["metric"], event["properties"]
    match metric:
        case "Confirmed Shipment":
            return (metric, event["unique_id"])
        case "Partially Shipped Order":
            return (metric, event["unique_id"].removeprefix("order-1:"))
        case "Requested Return":
            return (metric, properties["ReturnTrackingId"])
        case "Returned Order":
            return (
                metric,
                properties["ReturnTrackingId"],
                properties.get("ProductName", ""),
                str(properties["Quantity"]),
            )
    assert event["unique_id"] == "order-1"
    return (metric,)
