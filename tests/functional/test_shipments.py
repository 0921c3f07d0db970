"""Parcels and shipment states become events: once, with the right number, the right items and the right amount."""

import itertools
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, address, line_item, money, too_large
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


def _holds(sandbox: Sandbox, *deliveries: Json, **fields: Any) -> None:
    sandbox.commercetools.put("orders", shipped_order(*deliveries, **fields))


def _shipped_items(event: Json) -> list[tuple[str | None, int, float]]:
    found = event["properties"].get("ShippedItems", [])
    return [(one.get("SKU"), one["Quantity"], one["RowTotal"]) for one in found]


def test_a_parcel_with_its_tracking_number(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """Number, carrier and link, the items in it with picture and link, what remains, and where it goes."""
    function = serve(
        SYNC_CONFIG=settings_file('[shipment]\ntracking_urls = { "d-h l" = "https://x.test/{{trackingId}}" }\n')
    )
    info = method(estimatedDelivery={"from": "2026-05-04T08:00:00.000Z", "until": "2026-05-05T18:00:00.000Z"})
    left = parcel(1, {**DHL, "trackingId": "T 1/2", "provider": "parcellab"}, {"line-1": 1})
    whole = delivery(1, {"line-1": 1, "line-2": 3}, left)
    _holds(sandbox, shippingInfo={**info, "deliveries": [whole]})
    assert function.deliver(parcel_added(whole, left)).outcome == "synced"
    event = events(sandbox, CONFIRMED)["parcel-1:T 1/2"]
    said = event["properties"]
    assert (event["value"], event["value_currency"], event["time"][:19]) == (10, "EUR", "2026-05-02T08:00:00")
    assert {name: said[name] for name in said if name in ("ParcelId", "DeliveryId", "TrackingNumber", "Carrier")} == {
        "ParcelId": "parcel-1", "DeliveryId": "delivery-1", "TrackingNumber": "T 1/2", "Carrier": "DHL",
    }  # fmt: skip
    assert (said["TrackingURL"], said["Provider"]) == ("https://x.test/T%201%2F2", "parcellab")
    assert (said["ShippedItemCount"], said["RemainingItemCount"], said["ShippingMethod"]) == (1, 1, "DHL Standard")
    assert (said["EstimatedDeliveryFrom"][:10], said["EstimatedDeliveryUntil"][:10]) == ("2026-05-04", "2026-05-05")
    assert (said["DeliveryAddress"]["City"], said["DeliveryAddress"]["Zip"]) == ("Berlin", "10115")
    (item,) = said["ShippedItems"]
    assert item == {
        "ProductID": "product-1", "SKU": "SKU-1", "ProductName": "Product 1", "Quantity": 1, "ItemPrice": 10,
        "RowTotal": 10, "ProductURL": "https://shop.example/p/product-1", "ImageURL": "https://cdn.example.com/1.jpg",
        "Brand": "Linden & Loom",
    }  # fmt: skip
    assert (said["OrderNumber"], said["ItemCount"], len(said["Items"])) == ("number-of-order-1", 5, 2)


def test_tracking_that_comes_in_a_second_message(sandbox: Sandbox, steady: Function) -> None:
    """The parcel alone makes no event, and costs no call; its number makes one, with the number and the items."""
    bare = delivery(1, {"line-2": 2}, parcel())
    _holds(sandbox, bare)
    added = measured(sandbox, steady, parcel_added(bare, parcel()))
    assert (added.outcome, added.calls) == ("ignored no_tracking", (0, 0))
    _holds(sandbox, delivery(1, {"line-2": 2}, parcel(1, DHL)))
    assert measured(sandbox, steady, tracking_updated(DHL)).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["unique_id"], _shipped_items(event)) == ("parcel-1:T-1", [("SKU-2", 2, 6.67)])


@pytest.mark.parametrize("arrival", sorted(set(itertools.permutations((0, 1, 2, 2)))), ids=str)
def test_a_corrected_number(sandbox: Sandbox, function: Function, arrival: tuple[int, ...]) -> None:
    """Another number is another event, the same one touched again is none, and its removal is none."""
    right = {**DHL, "trackingId": "T-2"}
    wrong = delivery(1, None, parcel(1, DHL))
    _holds(sandbox, delivery(1, None, parcel(1, right)))
    told = [
        parcel_added(wrong, parcel(1, DHL)),
        tracking_updated({**right, "carrier": "Hermes"}),
        tracking_updated(right),
    ]
    for number in arrival:
        assert function.deliver(told[number]).outcome == "synced"
    assert function.deliver(tracking_updated(None)).reason == "no_tracking"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1", "parcel-1:T-2"}


def test_a_return_label_in_the_box(sandbox: Sandbox, steady: Function) -> None:
    """It makes no event, by neither message, and costs no call; nor is its number among those of the order."""
    label = parcel(2, {**DHL, "trackingId": "BACK", "isReturn": True})
    whole = delivery(1, None, parcel(1, DHL), label)
    _holds(sandbox, whole, shipmentState="Shipped")
    for told in (parcel_added(whole, label), tracking_updated(label["trackingData"], 2)):
        done = measured(sandbox, steady, told)
        assert (done.outcome, done.calls) == ("ignored return_label", (0, 0))
    steady.deliver(too_large("ParcelAddedToDelivery", "order", "order-1"))
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1"}
    steady.deliver(shipment_state("Shipped"))
    said = events(sandbox, "Shipped Order")["order-1"]["properties"]
    assert said["TrackingNumbers"] == ["T-1"]
    assert [one.get("IsReturn", False) for one in said["Deliveries"][0]["Parcels"]] == [False, True]


def test_return_labels_can_make_events(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """With `[shipment] returns`."""
    function = serve(SYNC_CONFIG=settings_file("[shipment]\nreturns = true\n"))
    label = parcel(2, {**DHL, "trackingId": "BACK", "isReturn": True})
    _holds(sandbox, delivery(1, None, label))
    assert function.deliver(parcel_added(delivery(1, None, label), label)).outcome == "synced"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-2:BACK"}


def test_a_shop_that_does_not_wait_for_tracking(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """The parcel makes an event at once, and its number another; taking the number away makes none."""
    function = serve(SYNC_CONFIG=settings_file("[shipment]\nwait_for_tracking = false\n"))
    _holds(sandbox, delivery(1, None, parcel(1, DHL)))
    for told in (parcel_added(delivery(1, None, parcel()), parcel()), tracking_updated(DHL), tracking_updated(None)):
        function.deliver(told)
    found = events(sandbox, CONFIRMED)
    assert found.keys() == {"parcel-1", "parcel-1:T-1"}
    assert "TrackingNumber" not in found["parcel-1"]["properties"]


def test_a_line_that_an_edit_of_the_order_took_away(sandbox: Sandbox, function: Function) -> None:
    """It is left out, which the log says; the other lines of the parcel are told."""
    whole = delivery(1, {"gone": 1, "line-1": 2}, parcel(1, DHL))
    _holds(sandbox, whole)
    answer = function.deliver(parcel_added(whole, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert _shipped_items(event) == [("SKU-1", 2, 20)]
    assert (event["value"], event["properties"]["ShippedItemCount"]) == (20, 2)
    assert answer.line["cuts"] == ["ShippedItems[]: the order no longer has its line"]


def test_a_parcel_of_nothing_that_is_left(sandbox: Sandbox, function: Function) -> None:
    """All of its lines are gone: the event tells of the parcel, and has no value."""
    whole = delivery(1, {"gone": 1}, parcel(1, DHL))
    _holds(sandbox, whole)
    function.deliver(parcel_added(whole, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["value"], event["value_currency"]) == (None, None)
    assert "ShippedItems" not in event["properties"]


def test_a_parcel_without_items_has_those_of_its_delivery(sandbox: Sandbox, function: Function) -> None:
    """By the message that adds it, and by the one that brings its number."""
    whole = delivery(1, {"line-1": 1, "line-2": 3}, parcel(1, DHL), parcel(2, {**DHL, "trackingId": "T-2"}))
    _holds(sandbox, whole)
    for told in (parcel_added(whole, parcel(1, DHL)), tracking_updated({**DHL, "trackingId": "T-2"}, 2)):
        function.deliver(told)
    found = events(sandbox, CONFIRMED).values()
    assert [_shipped_items(one) for one in found] == [[("SKU-1", 1, 10), ("SKU-2", 3, 10)]] * 2
    assert [one["value"] for one in found] == [20, 20]


def test_tracking_of_a_parcel_with_items_of_its_own(sandbox: Sandbox, function: Function) -> None:
    """The message brings the number alone: the parcel's own items are those that the order has, not the delivery's."""
    _holds(sandbox, delivery(1, {"line-1": 2, "line-2": 3}, parcel(1, None, {"line-2": 1})))
    assert function.deliver(tracking_updated({**DHL, "trackingId": "T-7"})).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["unique_id"], _shipped_items(event)) == ("parcel-1:T-7", [("SKU-2", 1, 3.33)])


def test_a_delivery_is_that_of_the_message(sandbox: Sandbox, function: Function) -> None:
    """Not what became of it since; what the message does not tell is that of the order."""
    _holds(sandbox, delivery(1, {"line-2": 3}, parcel(1, DHL), address=address(city="Potsdam", postalCode="14467")))
    told = delivery(1, {"line-1": 1}, address=address(city="Kiel"))
    assert function.deliver(parcel_added(told, parcel(1, DHL))).outcome == "synced"
    bare = {"id": "delivery-1", "items": []}
    assert function.deliver(parcel_added(bare, parcel(2, DHL))).outcome == "synced"
    found = events(sandbox, CONFIRMED)
    said = {own: (_shipped_items(one), one["properties"]["DeliveryAddress"]["City"]) for own, one in found.items()}
    assert said == {
        "parcel-1:T-1": ([("SKU-1", 1, 10)], "Kiel"),
        "parcel-2:T-1": ([("SKU-2", 3, 10)], "Potsdam"),
    }


def test_quantities_over_several_parcels(sandbox: Sandbox, function: Function) -> None:
    """Three units for 10.00 in three parcels: each has its share, rounded half up; nothing of the line remains."""
    parcels = [parcel(n, {**DHL, "trackingId": f"T-{n}"}, {"line-2": 1}) for n in (1, 2, 3)]
    whole = delivery(1, {"line-2": 3}, *parcels)
    _holds(sandbox, whole)
    for one in parcels:
        function.deliver(parcel_added(whole, one))
    found = events(sandbox, CONFIRMED).values()
    assert [_shipped_items(one) for one in found] == [[("SKU-2", 1, 3.33)]] * 3
    assert [one["value"] for one in found] == [3.33] * 3
    assert {one["properties"]["RemainingItemCount"] for one in found} == {2}


def test_several_deliveries(sandbox: Sandbox, function: Function) -> None:
    """Each parcel has the items of its own delivery, and what remains counts all deliveries; never below nothing."""
    second = parcel(2, {**DHL, "trackingId": "T-2"})
    first, last = delivery(1, {"line-1": 3}, parcel(1, DHL)), delivery(2, {"line-2": 2}, second)
    _holds(sandbox, first, last)
    for one, its in ((first, parcel(1, DHL)), (last, second)):
        function.deliver(parcel_added(one, its))
    found = events(sandbox, CONFIRMED)
    assert _shipped_items(found["parcel-1:T-1"]) == [("SKU-1", 3, 30)]
    assert _shipped_items(found["parcel-2:T-2"]) == [("SKU-2", 2, 6.67)]
    assert {one["properties"]["RemainingItemCount"] for one in found.values()} == {1}


def _two_methods() -> tuple[Json, Json, Json]:
    """An order that goes to two places, and its two deliveries."""
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
    """`shippingMode: Multiple`: the parcel's own method and address, whichever message tells of it."""
    order, _, kiosk = _two_methods()
    sandbox.commercetools.put("orders", order)
    told = parcel_added(kiosk, kiosk["parcels"][0], shippingKey="kiosk")
    assert function.deliver(told).outcome == "synced"
    assert function.deliver(tracking_updated(DHL, shippingKey="door")).outcome == "synced"
    found = {own: event["properties"] for own, event in events(sandbox, CONFIRMED).items()}
    assert {own: (one["ShippingMethod"], one["DeliveryAddress"]["City"]) for own, one in found.items()} == {
        "parcel-1:T-1": ("DHL Standard", "Berlin"),
        "parcel-2:K-2": ("Parcel shop", "Potsdam"),
    }
    assert {one["RemainingItemCount"] for one in found.values()} == {0}
    function.deliver(shipment_state("Shipped"))
    said = events(sandbox, "Shipped Order")["order-1"]["properties"]
    assert [one["DeliveryId"] for one in said["Deliveries"]] == ["delivery-1", "delivery-2"]


def test_a_delivery_that_is_gone_has_the_method_of_its_key(sandbox: Sandbox, function: Function) -> None:
    """The parcel was taken away again: what the message told is sent all the same, with what is known."""
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
    """Its delivery is still there, and holds more than it: nobody knows what was in it, so no items and no value."""
    _holds(sandbox, delivery(1, {"line-1": 2}, parcel(2, DHL)))
    assert function.deliver(tracking_updated(DHL, 1)).outcome == "synced"
    (event,) = events(sandbox, CONFIRMED).values()
    said = event["properties"]
    assert (event["unique_id"], event["value"], said["DeliveryId"]) == ("parcel-1:T-1", None, "delivery-1")
    assert {"ShippedItems", "ShippedItemCount"}.isdisjoint(said)


def test_custom_line_items(sandbox: Sandbox, function: Function) -> None:
    """They are in parcels like others, without a product, and count in what remains."""
    custom = {**CUSTOM, "quantity": 2, "totalPrice": money(501)}
    whole = delivery(1, {"line-1": 2, "custom-1": 1}, parcel(1, DHL))
    _holds(sandbox, whole, customLineItems=[custom])
    function.deliver(parcel_added(whole, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert event["properties"]["ShippedItems"][1] == {
        "ProductName": "Gift wrap", "Quantity": 1, "ItemPrice": 2.5, "RowTotal": 2.51,
    }  # fmt: skip
    assert (event["value"], event["properties"]["ShippedItemCount"]) == (22.51, 3)
    assert event["properties"]["RemainingItemCount"] == 4
    function.deliver(shipment_state("Shipped"))
    told = events(sandbox, "Shipped Order")["order-1"]["properties"]["Deliveries"][0]["Items"]
    assert told[1] == {"ProductName": "Gift wrap", "Quantity": 1}


def test_a_parcel_message_whose_payload_is_left_out(sandbox: Sandbox, function: Function) -> None:
    """It names no parcel: every one with a number is sent, of all deliveries and methods; repeats are harmless."""
    order, door, _ = _two_methods()
    order["shipping"][0]["shippingInfo"]["deliveries"].append(delivery(3, {}, parcel(3)))
    sandbox.commercetools.put("orders", order)
    for told in (
        too_large("ParcelAddedToDelivery", "order", "order-1"),
        parcel_added(door, door["parcels"][0]),
        too_large("ParcelTrackingDataUpdated", "order", "order-1"),
    ):
        assert function.deliver(told).outcome == "synced"
    assert events(sandbox, CONFIRMED).keys() == {"parcel-1:T-1", "parcel-2:K-2"}
    _holds(sandbox)
    assert function.deliver(too_large("ParcelAddedToDelivery", "order", "order-1")).reason == "no_tracking"


@pytest.mark.parametrize(
    ("fields", "told", "reason"),
    [
        ({}, tracking_updated({"trackingId": ["no text"]}), "no_tracking"),
        ({}, parcel_added({"id": "delivery-1"}, {"id": "parcel-1", "trackingData": "none"}), "unmappable"),
        ({}, parcel_added(delivery(items=[{"id": "line-1"}]), parcel(1, DHL)), "unmappable"),
        ({"shippingInfo": {"deliveries": 5}}, tracking_updated(DHL), "unmappable"),
        ({"shippingInfo": {"deliveries": [5]}}, shipment_state("Shipped"), "unmappable"),
    ],
    ids=["number", "tracking", "quantity", "deliveries", "delivery"],
)
def test_what_can_not_be_read(sandbox: Sandbox, function: Function, fields: Json, told: Json, reason: str) -> None:
    """It is unmappable, which goes to the dead letters; a number that is no text is none."""
    _holds(sandbox, **fields)
    assert function.deliver(told).reason == reason


def test_a_price_in_yen(sandbox: Sandbox, function: Function) -> None:
    """Shares are rounded to whole yen, half of one up."""
    yen = {**money(5, "JPY"), "fractionDigits": 0}
    lines = [line_item(1, quantity=2, totalPrice=yen)]
    whole = delivery(1, {"line-1": 1}, parcel(1, DHL))
    _holds(sandbox, whole, lines=lines, totalPrice=yen)
    function.deliver(parcel_added(whole, parcel(1, DHL)))
    (event,) = events(sandbox, CONFIRMED).values()
    assert (event["value"], event["value_currency"]) == (3, "JPY")
