"""Parcels and shipment states become events exactly once, with the right number, items and amount."""

import itertools
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, address, line_item, money, too_large
from tests.functional.failure_cases import FakeTopic
from tests.functional.shipment_documents import (
    DHL,
    delivery,
    events,
    method,
    parcel,
    parcel_added,
    shipment_state,
    shipped_order,
    tracking_updated,
)

pytestmark = pytest.mark.usefixtures("buyer")

CONFIRMED = "Confirmed Shipment"
CUSTOM: Json = {"id": "custom-1", "name": {"en-US": "Gift wrap"}, "quantity": 1, "money": money(250), "slug": "wrap"}


def _put_order(sandbox: Sandbox, *deliveries: Json, **fields: Any) -> None:
    sandbox.commercetools.put("orders", shipped_order(*deliveries, **fields))


def _shipped_items(event: Json) -> list[tuple[str | None, int, float]]:
    found = event["properties"].get("ShippedItems", [])
    return [(one.get("SKU"), one["Quantity"], one["RowTotal"]) for one in found]


def test_a_parcel_with_its_tracking_number(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """The event has number, carrier and link, the items in it with image and link, what remains, and the address."""
    function = serve(
        SYNC_CONFIG=settings_file('[shipment]\ntracking_urls = { "d-h l" = "https://x.test/{{trackingId}}" }\n')
    )
    info = method(estimatedDelivery={"from": "2026-05-04T08:00:00.000Z", "until": "2026-05-05T18:00:00.000Z"})
    packed = parcel(1, {**DHL, "trackingId": "T 1/2", "provider": "parcellab"}, {"line-1": 1})
    full_delivery = delivery(1, {"line-1": 1, "line-2": 3}, packed)
    _put_order(sandbox, shippingInfo={**info, "deliveries": [full_delivery]})
    assert function.deliver(parcel_added(full_delivery, packed)).outcome == "synced"
    event = events(sandbox, CONFIRMED)["parcel-1:T 1/2"]
    properties = event["properties"]
    assert (event["value"], event["value_currency"], event["time"][:19]) == (10, "EUR", "2026-05-02T08:00:00")
    assert {
        name: properties[name] for name in properties if name in ("ParcelId", "DeliveryId", "TrackingNumber", "Carrier")
    } == {"ParcelId": "parcel-1", "DeliveryId": "delivery-1", "TrackingNumber": "T 1/2", "Carrier": "DHL"}
    assert (properties["TrackingURL"], properties["Provider"]) == ("https://x.test/T%201%2F2", "parcellab")
    assert (properties["ShippedItemCount"], properties["RemainingItemCount"], properties["ShippingMethod"]) == (
        1,
        1,
        "DHL Standard",
    )
    assert (properties["EstimatedDeliveryFrom"][:10], properties["EstimatedDeliveryUntil"][:10]) == (
        "2026-05-04",
        "2026-05-05",
    )
    assert (properties["DeliveryAddress"]["City"], properties["DeliveryAddress"]["Zip"]) == ("Berlin", "10115")
    (item,) = properties["ShippedItems"]
    assert item == {
        "ProductID": "product-1", "SKU": "SKU-1", "ProductName": "Product 1", "Quantity": 1, "ItemPrice": 10,
        "RowTotal": 10, "ProductURL": "https://shop.example/p/product-1", "ImageURL": "https://cdn.example.com/1.jpg",
        "Brand": "Linden & Loom",
    }  # fmt: skip
    assert (properties["OrderNumber"], properties["ItemCount"], len(properties["Items"])) == ("number-of-order-1", 5, 2)


def test_tracking_that_comes_in_a_second_message(sandbox: Sandbox, steady: Function) -> None:
    """The parcel alone makes no event and costs no calls. Its number makes one, with the number and the items."""
    bare = delivery(1, {"line-2": 2}, parcel())
    _put_order(sandbox, bare)
    added = measured(sandbox, steady, parcel_added(bare, parcel()))
    assert (added.outcome, added.calls) == ("ignored no_tracking", (0, 0))
    _put_order(sandbox, delivery(1, {"line-2": 2}, parcel(1, DHL)))
    assert measured(sandbox, steady, tracking_updated(DHL)).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["unique_id"], _shipped_items(event)) == ("parcel-1:T-1", [("SKU-2", 2, 6.67)])


@pytest.mark.parametrize("arrival", sorted(set(itertools.permutations((0, 1, 2, 2)))), ids=str)
def test_a_corrected_number(sandbox: Sandbox, function: Function, arrival: tuple[int, ...]) -> None:
    """Another number sends another event. The same number set again sends none, and neither does its removal."""
    right = {**DHL, "trackingId": "T-2"}
    wrong = delivery(1, None, parcel(1, DHL))
    _put_order(sandbox, delivery(1, None, parcel(1, right)))
    notifications = [
        parcel_added(wrong, parcel(1, DHL)),
        tracking_updated({**right, "carrier": "Hermes"}),
        tracking_updated(right),
    ]
    for number in arrival:
        assert function.deliver(notifications[number]).outcome == "synced"
    assert function.deliver(tracking_updated(None)).reason == "no_tracking"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1", "parcel-1:T-2"}


def test_a_return_label(sandbox: Sandbox, steady: Function) -> None:
    """Its messages are ignored without a call, and the order's TrackingNumbers leave its number out."""
    label = parcel(2, {**DHL, "trackingId": "BACK", "isReturn": True})
    full_delivery = delivery(1, None, parcel(1, DHL), label)
    _put_order(sandbox, full_delivery, shipmentState="Shipped")
    for notification in (parcel_added(full_delivery, label), tracking_updated(label["trackingData"], 2)):
        done = measured(sandbox, steady, notification)
        assert (done.outcome, done.calls) == ("ignored return_label", (0, 0))
    steady.deliver(too_large("ParcelAddedToDelivery", "order", "order-1"))
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1"}
    steady.deliver(shipment_state("Shipped"))
    properties = events(sandbox, "Shipped Order")["order-1"]["properties"]
    assert properties["TrackingNumbers"] == ["T-1"]
    assert [one.get("IsReturn", False) for one in properties["Deliveries"][0]["Parcels"]] == [False, True]


def test_return_labels_can_make_events(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """`[shipment] returns` switches them on."""
    function = serve(SYNC_CONFIG=settings_file("[shipment]\nreturns = true\n"))
    label = parcel(2, {**DHL, "trackingId": "BACK", "isReturn": True})
    _put_order(sandbox, delivery(1, None, label))
    assert function.deliver(parcel_added(delivery(1, None, label), label)).outcome == "synced"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-2:BACK"}


def test_a_shop_that_does_not_wait_for_tracking(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """The parcel makes an event immediately, and its number another. Removing the number makes none."""
    function = serve(SYNC_CONFIG=settings_file("[shipment]\nwait_for_tracking = false\n"))
    _put_order(sandbox, delivery(1, None, parcel(1, DHL)))
    for notification in (
        parcel_added(delivery(1, None, parcel()), parcel()),
        tracking_updated(DHL),
        tracking_updated(None),
    ):
        function.deliver(notification)
    found = events(sandbox, CONFIRMED)
    assert found.keys() == {"parcel-1", "parcel-1:T-1"}
    assert "TrackingNumber" not in found["parcel-1"]["properties"]


def test_a_line_that_an_edit_removed(sandbox: Sandbox, function: Function) -> None:
    """It is left out, and the log says so. The parcel's other lines are sent."""
    full_delivery = delivery(1, {"gone": 1, "line-1": 2}, parcel(1, DHL))
    _put_order(sandbox, full_delivery)
    answer = function.deliver(parcel_added(full_delivery, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert _shipped_items(event) == [("SKU-1", 2, 20)]
    assert (event["value"], event["properties"]["ShippedItemCount"]) == (20, 2)
    assert answer.line["cuts"] == ["ShippedItems[]: the order no longer has its line"]


def test_a_parcel_whose_lines_were_all_removed(sandbox: Sandbox, function: Function) -> None:
    """The event is about the parcel, and has no items and no value."""
    full_delivery = delivery(1, {"gone": 1}, parcel(1, DHL))
    _put_order(sandbox, full_delivery)
    function.deliver(parcel_added(full_delivery, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["value"], event["value_currency"]) == (None, None)
    assert "ShippedItems" not in event["properties"]


def test_a_parcel_without_items_has_those_of_its_delivery(sandbox: Sandbox, function: Function) -> None:
    """That holds for the message that adds the parcel and for the one with its number."""
    full_delivery = delivery(1, {"line-1": 1, "line-2": 3}, parcel(1, DHL), parcel(2, {**DHL, "trackingId": "T-2"}))
    _put_order(sandbox, full_delivery)
    for notification in (
        parcel_added(full_delivery, parcel(1, DHL)),
        tracking_updated({**DHL, "trackingId": "T-2"}, 2),
    ):
        function.deliver(notification)
    found = events(sandbox, CONFIRMED).values()
    assert [_shipped_items(one) for one in found] == [[("SKU-1", 1, 10), ("SKU-2", 3, 10)]] * 2
    assert [one["value"] for one in found] == [20, 20]


def test_tracking_of_a_parcel_with_its_own_items(sandbox: Sandbox, function: Function) -> None:
    """The message has only the number. The items are the parcel's in the order, not the delivery's."""
    _put_order(sandbox, delivery(1, {"line-1": 2, "line-2": 3}, parcel(1, None, {"line-2": 1})))
    assert function.deliver(tracking_updated({**DHL, "trackingId": "T-7"})).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["unique_id"], _shipped_items(event)) == ("parcel-1:T-7", [("SKU-2", 1, 3.33)])


def test_the_items_and_address_of_the_message_count(sandbox: Sandbox, function: Function) -> None:
    """Later changes of the delivery don't count. Fields that the message lacks are read from the order."""
    _put_order(sandbox, delivery(1, {"line-2": 3}, parcel(1, DHL), address=address(city="Potsdam", postalCode="14467")))
    earlier = delivery(1, {"line-1": 1}, address=address(city="Kiel"))
    assert function.deliver(parcel_added(earlier, parcel(1, DHL))).outcome == "synced"
    bare = {"id": "delivery-1", "items": []}
    assert function.deliver(parcel_added(bare, parcel(2, DHL))).outcome == "synced"
    found = events(sandbox, CONFIRMED)
    sent = {own: (_shipped_items(one), one["properties"]["DeliveryAddress"]["City"]) for own, one in found.items()}
    assert sent == {
        "parcel-1:T-1": ([("SKU-1", 1, 10)], "Kiel"),
        "parcel-2:T-1": ([("SKU-2", 3, 10)], "Potsdam"),
    }


def test_quantities_over_several_parcels(sandbox: Sandbox, function: Function) -> None:
    """Three units for 10.00 in three parcels: each share is rounded half up, and nothing of the line remains."""
    parcels = [parcel(n, {**DHL, "trackingId": f"T-{n}"}, {"line-2": 1}) for n in (1, 2, 3)]
    full_delivery = delivery(1, {"line-2": 3}, *parcels)
    _put_order(sandbox, full_delivery)
    for one in parcels:
        function.deliver(parcel_added(full_delivery, one))
    found = events(sandbox, CONFIRMED).values()
    assert [_shipped_items(one) for one in found] == [[("SKU-2", 1, 3.33)]] * 3
    assert [one["value"] for one in found] == [3.33] * 3
    assert {one["properties"]["RemainingItemCount"] for one in found} == {2}


def test_several_deliveries(sandbox: Sandbox, function: Function) -> None:
    """A parcel has the items of its own delivery. What remains counts all deliveries, and is never negative."""
    second = parcel(2, {**DHL, "trackingId": "T-2"})
    first, last = delivery(1, {"line-1": 3}, parcel(1, DHL)), delivery(2, {"line-2": 2}, second)
    _put_order(sandbox, first, last)
    for one, its_parcel in ((first, parcel(1, DHL)), (last, second)):
        function.deliver(parcel_added(one, its_parcel))
    found = events(sandbox, CONFIRMED)
    assert _shipped_items(found["parcel-1:T-1"]) == [("SKU-1", 3, 30)]
    assert _shipped_items(found["parcel-2:T-2"]) == [("SKU-2", 2, 6.67)]
    assert {one["properties"]["RemainingItemCount"] for one in found.values()} == {1}


def _two_methods() -> tuple[Json, Json, Json]:
    """An order that is shipped to two addresses, and its two deliveries."""
    door = delivery(1, {"line-1": 2}, parcel(1, DHL))
    kiosk = delivery(2, {"line-2": 3}, parcel(2, {"trackingId": "K-2", "carrier": "Kurier"}))
    shipping = [
        {"shippingKey": "door", "shippingInfo": method(door), "shippingAddress": address(city="Berlin")},
        {
            "shippingKey": "kiosk",
            "shippingInfo": method(kiosk, name="Parcel shop"),
            "shippingAddress": address(city="Potsdam"),
        },
    ]
    return (
        shipped_order(shippingInfo=None, shipping=shipping, shippingMode="Multiple", shipmentState="Shipped"),
        door,
        kiosk,
    )


def test_several_shipping_methods(sandbox: Sandbox, function: Function) -> None:
    """With `shippingMode: Multiple` a parcel has its own method and address, whichever message names it."""
    order, _, kiosk = _two_methods()
    sandbox.commercetools.put("orders", order)
    notification = parcel_added(kiosk, kiosk["parcels"][0], shippingKey="kiosk")
    assert function.deliver(notification).outcome == "synced"
    assert function.deliver(tracking_updated(DHL, shippingKey="door")).outcome == "synced"
    found = {own: event["properties"] for own, event in events(sandbox, CONFIRMED).items()}
    assert {own: (one["ShippingMethod"], one["DeliveryAddress"]["City"]) for own, one in found.items()} == {
        "parcel-1:T-1": ("DHL Standard", "Berlin"),
        "parcel-2:K-2": ("Parcel shop", "Potsdam"),
    }
    assert {one["RemainingItemCount"] for one in found.values()} == {0}
    function.deliver(shipment_state("Shipped"))
    properties = events(sandbox, "Shipped Order")["order-1"]["properties"]
    assert [one["DeliveryId"] for one in properties["Deliveries"]] == ["delivery-1", "delivery-2"]


def test_a_removed_delivery_has_the_method_of_its_key(sandbox: Sandbox, function: Function) -> None:
    """The delivery was removed since. The parcel's event is sent anyway, with what is known."""
    order, *_ = _two_methods()
    order["shipping"][1]["shippingInfo"]["deliveries"] = []
    sandbox.commercetools.put("orders", order)
    gone = delivery(2, {"line-2": 1}, parcel(2, {**DHL, "trackingId": "T-2"}))
    function.deliver(parcel_added(gone, gone["parcels"][0], shippingKey="kiosk"))
    update = tracking_updated({**DHL, "trackingId": "T-3"}, 3, deliveryId="delivery-3", shippingKey="kiosk")
    assert function.deliver(update).outcome == "synced"
    found = events(sandbox, CONFIRMED)
    assert _shipped_items(found["parcel-2:T-2"]) == [("SKU-2", 1, 3.33)]
    assert {one["properties"]["DeliveryAddress"]["City"] for one in found.values()} == {"Potsdam"}
    assert found["parcel-3:T-3"]["value"] is None


def test_the_number_of_a_parcel_that_was_removed(sandbox: Sandbox, function: Function) -> None:
    """Its delivery still exists but holds more than the parcel, so its items are unknown: no items, no value."""
    _put_order(sandbox, delivery(1, {"line-1": 2}, parcel(2, DHL)))
    assert function.deliver(tracking_updated(DHL, 1)).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    properties = event["properties"]
    assert (event["unique_id"], event["value"], properties["DeliveryId"]) == ("parcel-1:T-1", None, "delivery-1")
    assert {"ShippedItems", "ShippedItemCount"}.isdisjoint(properties)


def test_custom_line_items(sandbox: Sandbox, function: Function) -> None:
    """They are in parcels like other lines, but without a product, and count in what remains."""
    custom = {**CUSTOM, "quantity": 2, "totalPrice": money(501)}
    full_delivery = delivery(1, {"line-1": 2, "custom-1": 1}, parcel(1, DHL))
    _put_order(sandbox, full_delivery, customLineItems=[custom])
    function.deliver(parcel_added(full_delivery, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert event["properties"]["ShippedItems"][1] == {
        "ProductName": "Gift wrap", "Quantity": 1, "ItemPrice": 2.5, "RowTotal": 2.51,
    }  # fmt: skip
    assert (event["value"], event["properties"]["ShippedItemCount"]) == (22.51, 3)
    assert event["properties"]["RemainingItemCount"] == 4
    function.deliver(shipment_state("Shipped"))
    items = events(sandbox, "Shipped Order")["order-1"]["properties"]["Deliveries"][0]["Items"]
    assert items[1] == {"ProductName": "Gift wrap", "Quantity": 1}


def test_a_parcel_message_without_its_payload(sandbox: Sandbox, function: Function) -> None:
    """It names no parcel, so every parcel with a number is sent, of all deliveries and methods; repeats add nothing."""
    order, door, _ = _two_methods()
    order["shipping"][0]["shippingInfo"]["deliveries"].append(delivery(3, {}, parcel(3)))
    sandbox.commercetools.put("orders", order)
    for notification in (
        too_large("ParcelAddedToDelivery", "order", "order-1"),
        parcel_added(door, door["parcels"][0]),
        too_large("ParcelTrackingDataUpdated", "order", "order-1"),
    ):
        assert function.deliver(notification).outcome == "synced"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1", "parcel-2:K-2"}
    _put_order(sandbox)
    assert function.deliver(too_large("ParcelAddedToDelivery", "order", "order-1")).reason == "no_tracking"


@pytest.mark.parametrize(
    ("fields", "notification", "reason"),
    [
        ({}, tracking_updated({"trackingId": ["no text"]}), "no_tracking"),
        ({}, parcel_added({"id": "delivery-1"}, {"id": "parcel-1", "trackingData": "none"}), "unmappable"),
        ({}, parcel_added(delivery(items=[{"id": "line-1"}]), parcel(1, DHL)), "unmappable"),
        ({"shippingInfo": {"deliveries": 5}}, tracking_updated(DHL), "unmappable"),
        ({"shippingInfo": {"deliveries": [5]}}, shipment_state("Shipped"), "unmappable"),
    ],
    ids=["number", "tracking", "quantity", "deliveries", "delivery"],
)
def test_malformed_shipments(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function, fields: Json, notification: Json, reason: str
) -> None:
    """They are unmappable, so their messages are dead-lettered. A number that is not text counts as none."""
    _put_order(sandbox, **fields)
    assert function.deliver(notification).reason == reason
    assert len(dead_letters.published) == (reason == "unmappable")


def test_a_price_in_yen(sandbox: Sandbox, function: Function) -> None:
    """Shares are rounded half up to whole yen."""
    yen = {**money(5, "JPY"), "fractionDigits": 0}
    lines = [line_item(1, quantity=2, totalPrice=yen)]
    full_delivery = delivery(1, {"line-1": 1}, parcel(1, DHL))
    _put_order(sandbox, full_delivery, lines=lines, totalPrice=yen)
    function.deliver(parcel_added(full_delivery, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["value"], event["value_currency"]) == (3, "JPY")
