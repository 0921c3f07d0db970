"""Deliveries: tracking links, the quantity still to ship, and the value of a part of a line item."""

from typing import Any

import pytest

from mappers.deliveries import remaining_count, shipments, tracking_url
from mappers.order_parts import Part, total
from tests.functional.shipment_documents import DHL, delivery, method, parcel, shipped_order
from tests.unit.strategies import euros, settings_with

LABEL = {**DHL, "isReturn": True}
PAGE = "https://carrier.example/{{ trackingId }}"


@pytest.mark.parametrize(
    ("template", "tracking", "expected"),
    [
        (PAGE, DHL, "https://carrier.example/T-1"),
        (PAGE, {"trackingId": "T/1 ü", "carrier": "dhl"}, "https://carrier.example/T%2F1%20%C3%BC"),
        (PAGE, {"trackingId": "T-1", "carrier": " d-H L "}, "https://carrier.example/T-1"),
        (PAGE, {"trackingId": "T-1", "carrier": "DPD"}, None),
        (PAGE, {"trackingId": "T-1"}, None),
        (PAGE, {"carrier": "DHL"}, None),
        ("https://x.test/{{trackingId}}?zip={{postalCode}}&l={{locale}}", DHL, "https://x.test/T-1?zip=10115&l=de-AT"),
        ("https://x.test/{{carrier}}", DHL, "https://x.test/DHL"),
    ],
)
def test_tracking_links(template: str, tracking: Any, expected: str | None) -> None:
    """The carrier selects the template, ignoring case, spaces and hyphens. There is no link if a value is missing."""
    settings = settings_with({"shipment": {"tracking_urls": {"D H-L": template}}}, preferred_locale="en-US")
    order: Any = shipped_order(delivery(1, None, parcel(1, tracking)), locale="de-AT")
    (shipment,) = shipments(order)
    assert tracking_url(order, shipment.parcels[0], shipment, settings) == expected


def test_a_tracking_link_of_a_sparse_order() -> None:
    """Without a locale, the preferred one is used. Without an address, a link with a postal code is left out."""
    settings = settings_with(
        {"shipment": {"tracking_urls": {"DHL": "https://x.test/{{locale}}", "DPD": "https://x.test/{{postalCode}}"}}},
        preferred_locale="en-US",
    )
    order: Any = shipped_order(
        delivery(1, None, parcel(1, DHL), parcel(2, {**DHL, "carrier": "DPD"})), shippingAddress=None
    )
    (shipment,) = shipments(order)
    links = [tracking_url(order, one, shipment, settings) for one in shipment.parcels]
    assert links == ["https://x.test/en-US", None]


@pytest.mark.parametrize(
    ("deliveries", "remaining"),
    [
        ([], 5),
        ([delivery(1, {"line-1": 1})], 4),
        ([delivery(1, {"line-1": 9})], 3),
        ([delivery(1, {"gone": 2})], 5),
        ([delivery(1, {}, parcel(1, DHL, {"line-2": 1}), parcel(2, DHL, {"line-2": 2}))], 2),
        ([delivery(1, {"line-2": 2}, parcel(1, DHL, {"line-2": 1}), parcel(2, DHL, {"line-2": 1}))], 3),
        ([delivery(1, {"line-1": 2}), delivery(2, {"line-2": 3})], 0),
        ([delivery(1, {"line-1": 1}, parcel(1, DHL, {"line-1": 1}), parcel(2, LABEL, {"line-1": 2}))], 4),
        ([delivery(1, {"line-1": 1}, parcel(1, DHL)), delivery(2, {"line-1": 1}, parcel(2, LABEL))], 4),
    ],
    ids=[
        "nothing",
        "one",
        "more than ordered",
        "unknown line",
        "parcels only",
        "delivery and parcels",
        "all",
        "return label in the box",
        "return label only",
    ],
)
def test_units_still_to_ship(deliveries: list[Any], remaining: int) -> None:
    """Of the order's two lines, two and three units were ordered.

    Shipped are the units that a delivery lists, or that its parcels list if those are more. Return labels don't count.
    """
    order: Any = shipped_order(*deliveries)
    assert remaining_count(order) == remaining
    several: Any = shipped_order(shippingInfo=None, shipping=[{"shippingInfo": method(one)} for one in deliveries])
    assert remaining_count(several) == remaining


@pytest.mark.parametrize(
    ("price", "units", "quantity", "cents"),
    [
        (euros(1000), 3, 1, 333),
        (euros(1000), 3, 2, 667),
        (euros(1), 2, 1, 1),
        (euros(-1), 2, 1, -1),
        (euros(1000), 3, 3, 1000),
        (euros(5, "JPY", 0), 2, 1, 3),
        ({**euros(1000, digits=7), "type": "highPrecision", "preciseAmount": 99_999_999}, 3, 1, 333),
        (None, 3, 1, None),
        ({}, 3, 1, None),
        (euros(1000), 0, 1, None),
    ],
)
def test_value_of_a_part_of_a_line(price: Any, units: int, quantity: int, cents: int | None) -> None:
    """It is rounded half up to the currency's minor unit. There is none without a price or units."""
    part = Part({"id": "line-1", "quantity": units, "totalPrice": price}, quantity)
    money = part.money
    assert (money["centAmount"] if money else None) == cents
    assert total([part]) == money
