"""What left the shop of an order: its deliveries, the parcels and lines in them, and where the carrier shows them.

Deliveries stand in `shippingInfo`, those of an order with several shipping methods (`shippingMode: Multiple`) in
`shipping[].shippingInfo`; both are read. Source: commercetools API, types Delivery, Parcel and TrackingData.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from core.settings import Settings
from core.url_template import filled, placeholders
from mappers.documents import Address
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.order_documents import Delivery, DeliveryItem, Order, Parcel, ShippingInfo, TrackingData
from mappers.order_parts import Lines, Part, order_lines, parts_of
from mappers.order_properties import Known
from mappers.properties import present


@dataclass(frozen=True, slots=True)
class Shipment:
    """A delivery, the shipping method that it belongs to, and where it goes."""

    delivery: Delivery
    info: ShippingInfo
    address: Address
    key: str = ""
    """The `shippingKey` of one of several shipping methods."""

    @property
    def parcels(self) -> Sequence[Parcel]:
        """The delivery's parcels."""
        return self.delivery.get("parcels") or []

    def items_of(self, parcel: Parcel) -> Sequence[DeliveryItem]:
        """What is in one of its parcels: where that does not say, all of the delivery."""
        return parcel.get("items") or self.delivery.get("items") or []


def shipments(order: Order) -> list[Shipment]:
    """Every delivery of an order."""
    return [
        replace(method, delivery=delivery, address=delivery.get("address") or method.address)
        for method in _methods(order)
        for delivery in method.info.get("deliveries") or []
    ]


def shipment_told(order: Order, told: Delivery, shipping_key: str) -> Shipment:
    """A delivery as a message tells it, with what the order knows of it.

    The order may no longer have it: then its shipping method is the one with that key, else the only one.
    """
    found = next((one for one in shipments(order) if one.delivery.get("id") == told["id"]), None)
    if found:
        delivery = cast("Delivery", {**found.delivery, **present(cast("JsonObject", told))})
        return replace(found, delivery=delivery, address=delivery.get("address") or found.address)
    methods = list(_methods(order))
    nobodys = Shipment({}, {}, order.get("shippingAddress") or {})
    only = methods[0] if len(methods) == 1 else nobodys
    method = next((one for one in methods if shipping_key and one.key == shipping_key), only)
    return replace(method, delivery=told, address=told.get("address") or method.address)


def _methods(order: Order) -> Iterator[Shipment]:
    """The shipping methods of an order, still without a delivery."""
    address = order.get("shippingAddress") or {}
    if info := order.get("shippingInfo"):
        yield Shipment({}, info, address)
    for shipping in order.get("shipping") or []:
        if shipping and (info := shipping.get("shippingInfo")):
            own = shipping.get("shippingAddress") or address
            yield Shipment({}, info, own, text(shipping.get("shippingKey")) or "")


def parts_in(lines: Lines, items: Iterable[DeliveryItem]) -> list[Part | None]:
    """The parts of these lines that are in a delivery or parcel; None for a line that the order no longer has."""
    return parts_of(lines, [(item.get("id"), item["quantity"]) for item in items])


def remaining_count(order: Order) -> int:
    """Units of the order that are in no delivery yet, custom line items included.

    Return labels take nothing away: neither what stands in them, nor a delivery that has no other parcels.
    """
    delivered: Counter[str] = Counter()
    for shipment in shipments(order):
        leaving = [parcel for parcel in shipment.parcels if not is_return_label(parcel)]
        if leaving or not shipment.parcels:
            whole = _quantities(shipment.delivery.get("items"))
            delivered += whole | _quantities(item for parcel in leaving for item in parcel.get("items") or [])
    return sum(max(0, (line.get("quantity") or 0) - delivered[own]) for own, line in order_lines(order).items())


def _quantities(items: Iterable[DeliveryItem] | None) -> Counter[str]:
    found: Counter[str] = Counter()
    for item in items or []:
        found[item["id"]] += item["quantity"]
    return found


def tracking_of(parcel: Parcel) -> TrackingData:
    """A parcel's tracking data; empty without any."""
    return parcel.get("trackingData") or {}


def tracking_number(parcel: Parcel) -> str | None:
    """The number that the carrier knows a parcel by."""
    return text(tracking_of(parcel).get("trackingId"))


def is_return_label(parcel: Parcel) -> bool:
    """True for a return label: nothing is on its way."""
    return tracking_of(parcel).get("isReturn") is True


def tracking_fields(order: Order, parcel: Parcel, shipment: Shipment, settings: Settings) -> JsonObject:
    """How a parcel can be followed."""
    return present(
        {
            "ParcelId": parcel["id"],
            "TrackingNumber": tracking_number(parcel),
            "Carrier": text(tracking_of(parcel).get("carrier")),
            "TrackingURL": tracking_url(order, parcel, shipment, settings),
        }
    )


def tracking_url(order: Order, parcel: Parcel, shipment: Shipment, settings: Settings) -> str | None:
    """The carrier's page about a parcel, by `[shipment] tracking_urls`.

    None for a carrier without template, and when a value that the template asks for is missing. The locale is the
    order's, else PREFERRED_LOCALE.
    """
    carrier = text(tracking_of(parcel).get("carrier")) or ""
    templates = settings.sync.shipment.tracking_urls
    template = next((url for name, url in templates.items() if _plain(name) == _plain(carrier)), None)
    if not carrier or not template:
        return None
    values = {
        "trackingId": tracking_number(parcel),
        "carrier": carrier,
        "postalCode": text(shipment.address.get("postalCode")),
        "locale": text(order.get("locale")) or settings.preferred_locale,
    }
    return filled(template, values) if all(values.get(name) for name in placeholders(template)) else None


@lru_cache(maxsize=256)
def _plain(carrier: str) -> str:
    """A carrier's name without regard to case, spaces and hyphens."""
    return re.sub(r"[\s-]+", "", carrier).casefold()


def deliveries_fields(order: Order, known: Known, settings: Settings) -> JsonObject:
    """`Deliveries`, `TrackingNumbers` and `TrackingURLs` of an order; those two without return labels."""
    found, lines = shipments(order), order_lines(order)
    leaving = [
        tracking_fields(order, parcel, shipment, settings)
        for shipment in found
        for parcel in shipment.parcels
        if not is_return_label(parcel)
    ]
    return present(
        {
            "Deliveries": [_delivery_fields(order, lines, shipment, known, settings) for shipment in found],
            "TrackingNumbers": _each(leaving, "TrackingNumber"),
            "TrackingURLs": _each(leaving, "TrackingURL"),
        }
    )


def _each(tracked: Iterable[JsonObject], name: str) -> list[str]:
    return list(dict.fromkeys(fields[name] for fields in tracked if name in fields))


def _delivery_fields(order: Order, lines: Lines, shipment: Shipment, known: Known, settings: Settings) -> JsonObject:
    delivery = shipment.delivery
    parts = parts_in(lines, delivery.get("items") or [])
    return present(
        {
            "DeliveryId": delivery["id"],
            "CreatedAt": delivery.get("createdAt"),
            "Items": [part.brief(known, settings) for part in parts if part],
            "Parcels": [
                tracking_fields(order, parcel, shipment, settings)
                | ({"IsReturn": True} if is_return_label(parcel) else {})
                for parcel in shipment.parcels
            ],
        }
    )
