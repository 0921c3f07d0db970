"""What an order's document alone says of shipments, returns and payment: ids, times, and which times are estimates."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import Unmappable
from mappers.order_events import OwnedOrder, fact_events
from mappers.order_properties import NO_DETAILS
from mappers.past_events import PAST_EVENTS
from tests.functional.shipment_documents import (
    DHL,
    delivery,
    method,
    parcel,
    return_info,
    return_item,
    shipped_order,
)
from tests.unit.strategies import settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CHANGED = "2026-05-20T09:00:00.000Z"
PAID = {"metrics": {"paid_order": "Paid Order"}}

Known = tuple[str, str, str, bool]
"""Metric, unique id, time, and whether the time is an estimate."""


def known(order: Any, sync: Any = None) -> list[Known]:
    """What is known of an order, in the order of the messages that would have told it."""
    settings = settings_with(sync or {})
    return [
        (fact.metric, fact.unique_id, fact.occurred_at, fact.is_estimated)
        for facts in PAST_EVENTS.values()
        for fact in facts(order, settings)
    ]


def order(*deliveries: Any, **fields: Any) -> Any:
    """An order that was changed last on the 20th of May."""
    return shipped_order(*deliveries, lastModifiedAt=CHANGED, **fields)


def test_parcels_have_their_own_time() -> None:
    """Those with a number, of all shipping methods; neither return labels nor parcels that wait for theirs."""
    one = parcel(1, DHL, createdAt="2026-05-04T10:00:00.000Z")
    label = parcel(2, {**DHL, "isReturn": True})
    other = parcel(4, {**DHL, "trackingId": "T-4"}, createdAt="2026-05-06T10:00:00.000Z")
    shipping = [{"shippingKey": "a", "shippingInfo": method(delivery(2, None, other))}]
    document = order(delivery(1, None, one, label, parcel(3)), shipping=shipping)
    sent = [
        ("Confirmed Shipment", "parcel-1:T-1", "2026-05-04T10:00:00.000Z", False),
        ("Confirmed Shipment", "parcel-4:T-4", "2026-05-06T10:00:00.000Z", False),
    ]
    assert known(document) == sent
    assert known(document, {"metrics": {"confirmed_shipment": ""}}) == []
    loose = {"shipment": {"wait_for_tracking": False, "returns": True}}
    assert [one[1] for one in known(document, loose)] == ["parcel-1:T-1", "parcel-2:T-1", "parcel-3", "parcel-4:T-4"]


@pytest.mark.parametrize(
    ("state", "metrics"),
    [
        ("Shipped", ["Shipped Order"]),
        ("Delivered", ["Delivered Order"]),
        ("Partial", []),
        ("Pending", []),
        (None, []),
        ("Canceled", []),
    ],
)
def test_a_shipment_state_is_estimated(state: str | None, metrics: list[str]) -> None:
    """At the order's last change; one that was shipped in part is not told, as its id is that of a message."""
    assert known(order(shipmentState=state)) == [(metric, "order-1", CHANGED, True) for metric in metrics]


def test_a_shipment_state_that_fulfils() -> None:
    """Both metrics, once an order."""
    rules = {"order": {"fulfilled_shipment_states": ["Shipped"]}}
    assert known(order(shipmentState="Shipped"), rules) == [
        ("Fulfilled Order", "order-1", CHANGED, True),
        ("Shipped Order", "order-1", CHANGED, True),
    ]


def test_returns_have_their_own_time() -> None:
    """A request at the return's date, else when its item was noted; what came back at its last change, estimated."""
    back = return_item(3, "line-2", shipmentState="BackInStock", lastModifiedAt="2026-05-09T10:00:00.000Z")
    document = order(
        returnInfo=[
            return_info(return_item(1), back, date="2026-05-05T10:00:00.000Z"),
            return_info(return_item(2, createdAt="2026-05-07T10:00:00.000Z"), tracking=None),
            return_info(return_item(4, shipmentState="Returned", lastModifiedAt=None)),
        ]
    )
    found = known(document)
    assert [(metric, time, guess) for metric, _, time, guess in found] == [
        ("Requested Return", "2026-05-05T10:00:00.000Z", False),
        ("Requested Return", "2026-05-07T10:00:00.000Z", False),
        ("Returned Order", "2026-05-09T10:00:00.000Z", True),
        ("Returned Order", CHANGED, True),
    ]
    assert len({unique_id for _, unique_id, _, _ in found}) == len(found)
    off = {"metrics": {"requested_return": "", "returned_order": ""}}
    assert known(document, off) == []


def test_paid_is_estimated_and_off_by_default() -> None:
    """Like every state of an order."""
    assert known(order(paymentState="Paid")) == []
    assert known(order(paymentState="Paid"), PAID) == [("Paid Order", "order-1", CHANGED, True)]
    assert known(order(paymentState="CreditOwed"), PAID) == []


def test_an_estimate_is_marked_and_starts_no_flow() -> None:
    """As events of a backfill; what has a time of its own has no mark."""
    settings = settings_with({})
    document = order(delivery(1, None, parcel(1, DHL)), shipmentState="Shipped")
    owned = OwnedOrder(document, {"email": "a@x.io"}, NO_DETAILS, backfill=True)
    marks = {}
    for facts in PAST_EVENTS.values():
        found = facts(document, settings)
        for fact, event in zip(found, fact_events(owned, found, settings, now=NOW), strict=True):
            attributes = event.body["data"]["attributes"]
            marks[fact.metric] = (attributes["backfill"], attributes["properties"].get("TimeEstimated"))
    assert marks == {"Shipped Order": (True, True), "Confirmed Shipment": (True, None)}


@pytest.mark.parametrize("fields", [{"returnInfo": 5}, {"shippingInfo": {"deliveries": [{"parcels": [{}]}]}}])
def test_what_is_no_order_is_unmappable(fields: Any) -> None:
    """A wrong shape is an error of that order, not a crash."""
    with pytest.raises(Unmappable):
        known(order(**fields), {"shipment": {"wait_for_tracking": False}})
