"""Shipment states of orders become events. Also the rules that messages about states and about parcels share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, category, money, product, reference, too_large
from tests.functional.shipment_documents import (
    DHL,
    LATER,
    delivery,
    events,
    parcel,
    parcel_added,
    shipment_state,
    shipped_order,
    tracking_updated,
)

pytestmark = pytest.mark.usefixtures("buyer")


def _put_order(sandbox: Sandbox, *deliveries: Json, **fields: object) -> None:
    sandbox.commercetools.put("orders", shipped_order(*deliveries, **fields))


@pytest.mark.parametrize(
    ("state", "metric"),
    [("Shipped", "Shipped Order"), ("Partial", "Partially Shipped Order"), ("Delivered", "Delivered Order")],
)
@pytest.mark.parametrize("included", [True, False], ids=["included", "too large"])
def test_a_shipment_state(sandbox: Sandbox, function: Function, state: str, metric: str, *, included: bool) -> None:
    """Its event has the order's total and all deliveries. Only a partial shipment is sent more than once."""
    _put_order(sandbox, delivery(1, {"line-1": 2}, parcel(1, DHL)), shipmentState=state, totalPrice=money(3490))
    for number in (1, 2, 1):
        notification = shipment_state(state, oldShipmentState="Ready", id=f"message-{number}")
        if not included:
            notification = too_large("OrderShipmentStateChanged", "order", "order-1", id=f"message-{number}")
        assert function.deliver(notification).outcome == "synced"
    found = events(sandbox, metric)
    partial = {"order-1:message-1", "order-1:message-2"}
    assert found.keys() == (partial if state == "Partial" else {"order-1"})
    for event in found.values():
        properties = event["properties"]
        assert (event["value"], event["time"][:19]) == (34.9, LATER[:19])
        assert properties["ShipmentState"] == state
        assert properties.get("OldShipmentState") == ("Ready" if included else None)
        assert "TimeEstimated" not in properties
        assert properties["TrackingNumbers"] == ["T-1"]
        (one,) = properties["Deliveries"]
        assert one["Items"] == [{"ProductID": "product-1", "SKU": "SKU-1", "ProductName": "Product 1", "Quantity": 2}]
        assert one["Parcels"] == [{"ParcelId": "parcel-1", "TrackingNumber": "T-1", "Carrier": "DHL"}]


def test_a_state_without_payload_of_an_order_that_changed_since(sandbox: Sandbox, function: Function) -> None:
    """The current state is sent, with an estimated time.

    A partial shipment is not sent: its own message may have sent it under another id.
    """
    for state, metric, version in (("Shipped", "Shipped Order", 5), ("Partial", "Partially Shipped Order", 6)):
        _put_order(sandbox, shipmentState=state, version=version)
        answer = function.deliver(too_large("OrderShipmentStateChanged", "order", "order-1", resourceVersion=4))
        found = events(sandbox, metric)
        if state == "Shipped":
            assert found["order-1"]["properties"]["TimeEstimated"] is True
        else:
            assert (answer.reason, found) == ("shipment_state", {})


@pytest.mark.parametrize("state", ["Canceled", "Backorder", "Delayed", "Teleported"])
def test_a_state_without_metric_costs_no_call(sandbox: Sandbox, steady: Function, state: str) -> None:
    """That also holds for a state that commercetools does not have today."""
    done = measured(sandbox, steady, shipment_state(state))
    assert (done.outcome, done.calls) == ("ignored shipment_state", (0, 0))


def test_shipment_states_are_configurable(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """A configured state sends the metric. Fulfilled Order is sent once, by the shipment state or the order state."""
    function = serve(
        SYNC_CONFIG=settings_file(
            '[shipment]\nshipped_states = ["Ready"]\ndelivered_states = []\n'
            '[order]\nfulfilled_shipment_states = ["Ready"]\n'
        )
    )
    _put_order(sandbox, shipmentState="Ready", orderState="Complete")
    assert function.deliver(shipment_state("Ready")).outcome == "synced"
    assert function.deliver(shipment_state("Shipped")).reason == "shipment_state"
    assert function.deliver(shipment_state("Delivered")).reason == "shipment_state"
    fulfilled = {**shipment_state("Ready"), "type": "OrderStateChanged", "orderState": "Complete"}
    assert function.deliver(fulfilled).outcome == "synced"
    metrics = sorted(one["metric"] for one in sandbox.klaviyo.state()["events"])
    assert metrics == ["Fulfilled Order", "Shipped Order"]


def test_one_metric_of_three_is_off(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """Its state costs no calls, and the others are sent."""
    function = serve(SYNC_CONFIG=settings_file('[metrics]\ndelivered_order = ""\n'))
    _put_order(sandbox, shipmentState="Delivered")
    done = measured(sandbox, function, shipment_state("Delivered"))
    assert (done.outcome, done.calls) == ("ignored shipment_state", (0, 0))
    assert function.deliver(shipment_state("Shipped")).outcome == "synced"


_UNIQUE_IDS = {"Delivered Order": "order-1", "Partially Shipped Order": "order-1:message-7", "Shipped Order": "order-1"}


@pytest.mark.parametrize(
    ("off", "metrics"),
    [
        ([], ["Delivered Order", "Partially Shipped Order", "Shipped Order"]),
        (["delivered_order"], ["Partially Shipped Order", "Shipped Order"]),
        (["delivered_order", "partially_shipped_order"], ["Shipped Order"]),
        (["shipped_order", "delivered_order"], ["Partially Shipped Order"]),
    ],
)
def test_a_state_in_several_lists(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str], off: list[str], metrics: list[str]
) -> None:
    """The metric of each list is sent, even if that of another list is off.

    Only the partial shipment's unique id has the message's id in it.
    """
    lists = "".join(f'{name}_states = ["Partial", "Shipped"]\n' for name in ("shipped", "partial", "delivered"))
    empty = "".join(f'{name} = ""\n' for name in off)
    function = serve(SYNC_CONFIG=settings_file(f"[shipment]\n{lists}[metrics]\n{empty}"))
    _put_order(sandbox, shipmentState="Shipped")
    assert function.deliver(shipment_state("Shipped", id="message-7")).outcome == "synced"
    found = {one["metric"]: one["unique_id"] for one in sandbox.klaviyo.state()["events"]}
    assert found == {metric: _UNIQUE_IDS[metric] for metric in metrics}


@pytest.mark.parametrize(("age", "flagged"), [(timedelta(), False), (timedelta(days=5), True)], ids=["now", "old"])
def test_an_old_message_starts_no_flow(sandbox: Sandbox, function: Function, age: timedelta, *, flagged: bool) -> None:
    """If an ERP is days late, the event is recorded but nobody is mailed."""
    whole = delivery(1, None, parcel(1, DHL))
    _put_order(sandbox, whole)
    for notification in (shipment_state("Shipped"), shipment_state("Partial"), parcel_added(whole, parcel(1, DHL))):
        notification["createdAt"] = (datetime.now(UTC) - age).isoformat()
        assert function.deliver(notification).outcome == "synced"
    found = sandbox.klaviyo.state()["events"]
    assert [(one["metric"], one["backfill"]) for one in found] == [
        ("Shipped Order", flagged),
        ("Partially Shipped Order", flagged),
        ("Confirmed Shipment", flagged),
    ]


def test_a_disabled_message_costs_no_call(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """If all metrics of a message have empty names, it is acknowledged without a call."""
    names = ("shipped_order", "partially_shipped_order", "delivered_order", "confirmed_shipment")
    function = serve(SYNC_CONFIG=settings_file("[metrics]\n" + "".join(f'{name} = ""\n' for name in names)))
    _put_order(sandbox, delivery(1, None, parcel(1, DHL)))
    for notification in (shipment_state("Shipped"), parcel_added(delivery(), parcel(1, DHL))):
        done = measured(sandbox, function, notification)
        assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


@pytest.mark.parametrize(
    "notification", [shipment_state("Shipped"), parcel_added(delivery(), parcel(1, DHL))], ids=["state", "parcel"]
)
def test_the_budget(sandbox: Sandbox, steady: Function, notification: Json) -> None:
    """Five reads (order, customer, check, categories, codes) and one write. The last two are then remembered."""
    sandbox.commercetools.put_all(
        {
            "categories": [category("women", "Women")],
            "products": [product("product-1", categories=["women"]), product("product-2")],
            "discount-codes": [{"id": "code-1", "code": "SPRING", "version": 1}],
        }
    )
    codes = [{"discountCode": reference("discount-code", "code-1"), "state": "MatchesCart"}]
    _put_order(sandbox, delivery(1, None, parcel(1, DHL)), discountCodes=codes)
    first, again = measured(sandbox, steady, notification), measured(sandbox, steady, notification)
    assert (first.outcome, first.calls) == ("synced", (5, 1))
    assert (again.outcome, again.calls) == ("synced", (3, 1))
    (event,) = sandbox.klaviyo.state()["events"]
    assert event["properties"]["DiscountCode"] == "SPRING"


@pytest.mark.parametrize(
    "notification", [shipment_state("Shipped"), parcel_added(delivery(), parcel(1, DHL))], ids=["state", "parcel"]
)
def test_anonymous_and_deleted_orders(sandbox: Sandbox, function: Function, notification: Json) -> None:
    """Both are ignored, as for an order's other messages."""
    assert function.deliver(notification).reason == "deleted_meanwhile"
    _put_order(sandbox, customerId=None, customerEmail=None)
    assert function.deliver(notification).reason == "no_profile"
    assert sandbox.klaviyo.state()["events"] == []


def test_a_stale_read_is_retried(sandbox: Sandbox, function: Function) -> None:
    """The order does not show the parcel yet."""
    _put_order(sandbox, version=3)
    answer = function.deliver(tracking_updated(DHL, resourceVersion=4))
    assert (answer.outcome, answer.reason) == ("retried", "stale_read")
