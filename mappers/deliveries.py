"""An order's deliveries: their parcels, the lines in them, and how to track them.

Deliveries are in `shippingInfo`, or in `shipping[].shippingInfo` for an order with several shipping methods
(`shippingMode: Multiple`). Both are read. Source: commercetools API, types Delivery, Parcel and TrackingData.
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
from mappers.order_properties import OrderDetails
from mappers.properties import present


@dataclass(frozen=True, slots=True)
class Shipment:
    """A delivery, with its shipping method and its address."""

    delivery: Delivery
    info: ShippingInfo
    address: Address
    key: str = ""
    """`shippingKey` of the shipping method; empty if the order has only one."""

    @property
    def parcels(self) -> Sequence[Parcel]:
        """The delivery's parcels."""
        return self.delivery.get("parcels") or []

    def items_of(self, parcel: Parcel) -> Sequence[DeliveryItem]:
        """Items of one of the delivery's parcels: all of the delivery's if the parcel lists none."""
        return parcel.get("items") or self.delivery.get("items") or []


def shipments(order: Order) -> list[Shipment]:
    """All deliveries of an order."""
    return [
        replace(method, delivery=delivery, address=delivery.get("address") or method.address)
        for method in _methods(order)
        for delivery in method.info.get("deliveries") or []
    ]


def shipment_from_message(order: Order, delivery: Delivery, shipping_key: str) -> Shipment:
    """A delivery from a message, completed with the order's data about it.

    The order may no longer have the delivery. Its shipping method is then the one with `shipping_key`, else the
    order's only one, else unknown.
    """
    existing = next((shipment for shipment in shipments(order) if shipment.delivery.get("id") == delivery["id"]), None)
    if existing:
        merged = cast("Delivery", {**existing.delivery, **present(cast("JsonObject", delivery))})
        return replace(existing, delivery=merged, address=merged.get("address") or existing.address)
    methods = list(_methods(order))
    unknown = Shipment({}, {}, order.get("shippingAddress") or {})
    fallback = methods[0] if len(methods) == 1 else unknown
    method = next((method for method in methods if shipping_key and method.key == shipping_key), fallback)
    return replace(method, delivery=delivery, address=delivery.get("address") or method.address)


def _methods(order: Order) -> Iterator[Shipment]:
    """The shipping methods of an order, each as a shipment without a delivery."""
    address = order.get("shippingAddress") or {}
    if info := order.get("shippingInfo"):
        yield Shipment({}, info, address)
    for shipping in order.get("shipping") or []:
        if shipping and (info := shipping.get("shippingInfo")):
            own_address = shipping.get("shippingAddress") or address
            yield Shipment({}, info, own_address, text(shipping.get("shippingKey")) or "")


def parts_in(lines: Lines, items: Iterable[DeliveryItem]) -> list[Part | None]:
    """The parts of an order's lines in a delivery or parcel; None for a line that the order no longer has."""
    return parts_of(lines, [(item.get("id"), item["quantity"]) for item in items])


def remaining_count(order: Order) -> int:
    """Units of the order that are not in a delivery yet, including custom line items.

    Return labels are ignored: the items in them, and a delivery whose parcels are all return labels.
    """
    delivered: Counter[str] = Counter()
    for shipment in shipments(order):
        outgoing = [parcel for parcel in shipment.parcels if not is_return_label(parcel)]
        if outgoing or not shipment.parcels:
            in_delivery = _quantities(shipment.delivery.get("items"))
            # `|` takes the larger quantity of each line: delivery and parcels may list different ones.
            delivered += in_delivery | _quantities(item for parcel in outgoing for item in parcel.get("items") or [])
    return sum(max(0, (line.get("quantity") or 0) - delivered[line_id]) for line_id, line in order_lines(order).items())


def _quantities(items: Iterable[DeliveryItem] | None) -> Counter[str]:
    quantities: Counter[str] = Counter()
    for item in items or []:
        quantities[item["id"]] += item["quantity"]
    return quantities


def tracking_of(parcel: Parcel) -> TrackingData:
    """A parcel's tracking data; empty if it has none."""
    return parcel.get("trackingData") or {}


def tracking_number(parcel: Parcel) -> str | None:
    """The carrier's tracking number of a parcel."""
    return text(tracking_of(parcel).get("trackingId"))


def is_return_label(parcel: Parcel) -> bool:
    """True if a parcel is a return label: nothing was shipped."""
    return tracking_of(parcel).get("isReturn") is True


def tracking_fields(order: Order, parcel: Parcel, shipment: Shipment, settings: Settings) -> JsonObject:
    """Event fields that say how to track a parcel."""
    return present(
        {
            "ParcelId": parcel["id"],
            "TrackingNumber": tracking_number(parcel),
            "Carrier": text(tracking_of(parcel).get("carrier")),
            "TrackingURL": tracking_url(order, parcel, shipment, settings),
        }
    )


def tracking_url(order: Order, parcel: Parcel, shipment: Shipment, settings: Settings) -> str | None:
    """URL of the carrier's tracking page for a parcel, from `[shipment] tracking_urls`.

    None if the carrier has no template, or a value that the template needs is missing. The locale is the order's, else
    PREFERRED_LOCALE.
    """
    carrier = text(tracking_of(parcel).get("carrier")) or ""
    templates = settings.sync.shipment.tracking_urls
    template = next((url for name, url in templates.items() if _normalized(name) == _normalized(carrier)), None)
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
def _normalized(carrier: str) -> str:
    """A carrier's name to compare: without case, spaces and hyphens."""
    return re.sub(r"[\s-]+", "", carrier).casefold()


def deliveries_fields(order: Order, details: OrderDetails, settings: Settings) -> JsonObject:
    """`Deliveries`, `TrackingNumbers` and `TrackingURLs` of an order. The last two exclude return labels."""
    all_shipments, lines = shipments(order), order_lines(order)
    outgoing = [
        tracking_fields(order, parcel, shipment, settings)
        for shipment in all_shipments
        for parcel in shipment.parcels
        if not is_return_label(parcel)
    ]
    return present(
        {
            "Deliveries": [_delivery_fields(order, lines, shipment, details, settings) for shipment in all_shipments],
            "TrackingNumbers": _distinct(outgoing, "TrackingNumber"),
            "TrackingURLs": _distinct(outgoing, "TrackingURL"),
        }
    )


def _distinct(tracked: Iterable[JsonObject], name: str) -> list[str]:
    return list(dict.fromkeys(fields[name] for fields in tracked if name in fields))


def _delivery_fields(
    order: Order, lines: Lines, shipment: Shipment, details: OrderDetails, settings: Settings
) -> JsonObject:
    delivery = shipment.delivery
    parts = parts_in(lines, delivery.get("items") or [])
    return present(
        {
            "DeliveryId": delivery["id"],
            "CreatedAt": delivery.get("createdAt"),
            "Items": [part.brief(details, settings) for part in parts if part],
            "Parcels": [
                tracking_fields(order, parcel, shipment, settings)
                | ({"IsReturn": True} if is_return_label(parcel) else {})
                for parcel in shipment.parcels
            ],
        }
    )
