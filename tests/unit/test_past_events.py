"""Past events derived from an order alone: shipments, returns and payment, with their ids and times."""

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

Found = tuple[str, str, str, bool]
"""Metric, unique id, time, and True if the time is an estimate."""


def past_events(order: Any, sync: Any = None) -> list[Found]:
    """The past events of an order, grouped by the type of message that would have caused them."""
    settings = settings_with(sync or {})
    return [
        (fact.metric, fact.unique_id, fact.occurred_at, fact.is_estimated)
        for facts in PAST_EVENTS.values()
        for fact in facts(order, settings)
    ]


def order(*deliveries: Any, **fields: Any) -> Any:
    """An order with its last change on May 20."""
    return shipped_order(*deliveries, lastModifiedAt=CHANGED, **fields)


def test_shipped_parcels_have_the_time_of_their_creation() -> None:
    """Parcels of all shipping methods count, except return labels and parcels without a tracking number."""
    one = parcel(1, DHL, createdAt="2026-05-04T10:00:00.000Z")
    label = parcel(2, {**DHL, "isReturn": True})
    other = parcel(4, {**DHL, "trackingId": "T-4"}, createdAt="2026-05-06T10:00:00.000Z")
    shipping = [{"shippingKey": "a", "shippingInfo": method(delivery(2, None, other))}]
    document = order(delivery(1, None, one, label, parcel(3)), shipping=shipping)
    sent = [
        ("Confirmed Shipment", "parcel-1:T-1", "2026-05-04T10:00:00.000Z", False),
        ("Confirmed Shipment", "parcel-4:T-4", "2026-05-06T10:00:00.000Z", False),
    ]
    assert past_events(document) == sent
    assert past_events(document, {"metrics": {"confirmed_shipment": ""}}) == []
    all_parcels = {"shipment": {"wait_for_tracking": False, "returns": True}}
    assert [one[1] for one in past_events(document, all_parcels)] == [
        "parcel-1:T-1",
        "parcel-2:T-1",
        "parcel-3",
        "parcel-4:T-4",
    ]


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
def test_a_shipment_state_has_an_estimated_time(state: str | None, metrics: list[str]) -> None:
    """The time is that of the order's last change. Partially Shipped has no event, as its id would need a message."""
    assert past_events(order(shipmentState=state)) == [(metric, "order-1", CHANGED, True) for metric in metrics]


def test_a_shipment_state_that_fulfils_the_order() -> None:
    """The order gets both events, each with the order's id."""
    rules = {"order": {"fulfilled_shipment_states": ["Shipped"]}}
    assert past_events(order(shipmentState="Shipped"), rules) == [
        ("Fulfilled Order", "order-1", CHANGED, True),
        ("Shipped Order", "order-1", CHANGED, True),
    ]


def test_times_of_returns() -> None:
    """A request has the return's date, else that of its item's creation.

    The time of a returned item is that of its last change, and is an estimate.
    """
    back = return_item(3, "line-2", shipmentState="BackInStock", lastModifiedAt="2026-05-09T10:00:00.000Z")
    document = order(
        returnInfo=[
            return_info(return_item(1), back, date="2026-05-05T10:00:00.000Z"),
            return_info(return_item(2, createdAt="2026-05-07T10:00:00.000Z"), tracking=None),
            return_info(return_item(4, shipmentState="Returned", lastModifiedAt=None)),
        ]
    )
    found = past_events(document)
    assert [(metric, time, is_estimated) for metric, _, time, is_estimated in found] == [
        ("Requested Return", "2026-05-05T10:00:00.000Z", False),
        ("Requested Return", "2026-05-07T10:00:00.000Z", False),
        ("Returned Order", "2026-05-09T10:00:00.000Z", True),
        ("Returned Order", CHANGED, True),
    ]
    assert len({unique_id for _, unique_id, _, _ in found}) == len(found)
    off = {"metrics": {"requested_return": "", "returned_order": ""}}
    assert past_events(document, off) == []


def test_paid_order_has_an_estimated_time_and_is_off_by_default() -> None:
    """The time is that of the order's last change, as for every state of an order."""
    assert past_events(order(paymentState="Paid")) == []
    assert past_events(order(paymentState="Paid"), PAID) == [("Paid Order", "order-1", CHANGED, True)]
    assert past_events(order(paymentState="CreditOwed"), PAID) == []


def test_an_estimate_is_marked_and_starts_no_flow() -> None:
    """No event of a backfill starts a flow. Only an event without a recorded time is marked as estimated."""
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
def test_a_malformed_order_is_unmappable(fields: Any) -> None:
    """A document of the wrong shape fails this order only."""
    with pytest.raises(Unmappable):
        past_events(order(**fields), {"shipment": {"wait_for_tracking": False}})
