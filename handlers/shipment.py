"""Shipments become events: each new shipment state of an order, and each parcel with a tracking number."""

from dataclasses import replace
from typing import cast

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from handlers.current import version
from handlers.order import current_order
from handlers.order_owner import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.deliveries import Shipment, shipment_from_message, shipments, tracking_number
from mappers.mapped import mapper
from mappers.order_documents import Order, Parcel, TrackingData
from mappers.shipment_events import (
    ShippedParcel,
    StateChange,
    confirmed_shipments,
    has_shipment_events,
    shipment_facts,
    why_unconfirmed,
)

_UPDATED = "ParcelTrackingDataUpdated"


@handles(
    "order",
    "OrderShipmentStateChanged",
    when=setting(
        "metrics.shipped_order",
        "metrics.partially_shipped_order",
        "metrics.delivered_order",
        "order.fulfilled_shipment_states",
    ),
)
def send_shipment_state(notification: Notification, services: Services) -> None:
    """Send Shipped, Partially Shipped, Delivered or Fulfilled Order, by the shipment state in the message."""
    new_state, rules = notification.payload.get("shipmentState"), services.settings.sync
    if new_state is not None and not has_shipment_events(str(new_state), rules):
        raise Ignored("shipment_state")
    services.prepare("Events")
    order = current_order(notification, services)
    # Without a payload, the order's state is this message's state only if the order has not changed since.
    is_own = new_state is not None or version(order) == notification.version
    change = StateChange(
        str(new_state or order.get("shipmentState")),
        notification.created_at,
        notification.id if is_own else "",
        str(notification.payload.get("oldShipmentState") or ""),
    )
    facts = shipment_facts(order, change, services.settings)
    if not facts:
        raise Ignored("shipment_state")
    send_facts(notification, order, facts, services)


@handles("order", "ParcelAddedToDelivery", _UPDATED, when=setting("metrics.confirmed_shipment"))
def send_confirmed_shipment(notification: Notification, services: Services) -> None:
    """Send Confirmed Shipment for the parcel in the message; without a payload, for each with a tracking number."""
    parcel_data = _parcel_in_payload(notification)
    if parcel_data and (reason := _why_unconfirmed(parcel_data, notification, services)):
        raise Ignored(reason)
    services.prepare("Events")
    order = current_order(notification, services)
    parcels = [_parcel_and_shipment(notification, parcel_data, order)] if parcel_data else _all_parcels(order)
    shipped = [
        ShippedParcel(parcel, shipment, notification.created_at)
        for parcel, shipment in parcels
        if not _why_unconfirmed(parcel, notification, services)
    ]
    facts = confirmed_shipments(order, shipped, services.settings)
    if not facts:
        raise Ignored("no_tracking")
    send_facts(notification, order, facts, services)


def _parcel_in_payload(notification: Notification) -> Parcel | None:
    """The parcel in the message's payload, which may be no more than its id and its tracking data."""
    match notification.payload:
        case {"parcel": dict(parcel), "delivery": dict()}:
            return cast("Parcel", parcel)
        case {"parcelId": str(parcel_id)}:
            tracking = cast("TrackingData", notification.payload.get("trackingData") or {})
            return {"id": parcel_id, "trackingData": tracking}
    return None


@mapper
def _why_unconfirmed(parcel: Parcel, notification: Notification, services: Services) -> str:
    """Reason why a parcel gets no event, such as a tracking number that was removed; empty if it gets one."""
    if notification.type == _UPDATED and not tracking_number(parcel):
        return "no_tracking"
    return why_unconfirmed(parcel, services.settings.sync.shipment)


@mapper
def _parcel_and_shipment(notification: Notification, parcel_data: Parcel, order: Order) -> tuple[Parcel, Shipment]:
    """The message's parcel and its delivery, completed from the order.

    If the order no longer has the parcel, its contents are unknown. It then gets no items: those of the whole delivery
    would be too many.
    """
    payload = notification.payload
    shipping_key = str(payload.get("shippingKey") or "")
    if "parcel" in payload:
        return parcel_data, shipment_from_message(order, payload["delivery"], shipping_key)
    for parcel, shipment in _all_parcels(order):
        if parcel["id"] == parcel_data["id"]:
            return cast("Parcel", {**parcel, **parcel_data}), shipment
    shipment = shipment_from_message(order, {"id": str(payload.get("deliveryId") or "")}, shipping_key)
    return parcel_data, replace(shipment, delivery={**shipment.delivery, "items": []})


@mapper
def _all_parcels(order: Order) -> list[tuple[Parcel, Shipment]]:
    return [(parcel, shipment) for shipment in shipments(order) for parcel in shipment.parcels]
