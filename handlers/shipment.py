"""Shipments become events: the state that an order's shipment comes into, and each parcel with its tracking number."""

from dataclasses import replace
from typing import cast

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from handlers.current import version
from handlers.order import order_now
from handlers.order_facts import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.deliveries import Shipment, shipment_told, shipments, tracking_number
from mappers.mapped import mapper
from mappers.order_documents import Order, Parcel, TrackingData
from mappers.shipment_events import Left, StateChange, confirmed_shipments, is_told_of, shipment_state, why_unconfirmed

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
def change_shipment_state(notification: Notification, services: Services) -> None:
    """Send Shipped, Partially Shipped or Delivered Order, by the shipment state that the message tells."""
    told, rules = notification.payload.get("shipmentState"), services.settings.sync
    if told is not None and not is_told_of(str(told), rules):
        raise Ignored("shipment_state")
    services.prepare("Events")
    order = order_now(notification, services)
    # Where the payload is left out the state is the message's own only while the order has not changed since.
    is_own = told is not None or version(order) == notification.version
    change = StateChange(
        str(told or order.get("shipmentState")),
        notification.created_at,
        notification.id if is_own else "",
        str(notification.payload.get("oldShipmentState") or ""),
    )
    facts = shipment_state(order, change, services.settings)
    if not facts:
        raise Ignored("shipment_state")
    send_facts(notification, order, facts, services)


@handles("order", "ParcelAddedToDelivery", _UPDATED, when=setting("metrics.confirmed_shipment"))
def confirm_shipment(notification: Notification, services: Services) -> None:
    """Send Confirmed Shipment for a parcel with a tracking number; for all of them where the payload is left out."""
    told = _told_parcel(notification)
    if told and (why := _why_unconfirmed(told, notification, services)):
        raise Ignored(why)
    services.prepare("Events")
    order = order_now(notification, services)
    parcels = [_as_told(notification, told, order)] if told else _all_parcels(order)
    left = [
        Left(parcel, shipment, notification.created_at)
        for parcel, shipment in parcels
        if not _why_unconfirmed(parcel, notification, services)
    ]
    facts = confirmed_shipments(order, left, services.settings)
    if not facts:
        raise Ignored("no_tracking")
    send_facts(notification, order, facts, services)


def _told_parcel(notification: Notification) -> Parcel | None:
    """The parcel as the message tells it, which may be no more than its id and its tracking data."""
    match notification.payload:
        case {"parcel": dict(parcel), "delivery": dict()}:
            return cast("Parcel", parcel)
        case {"parcelId": str(parcel_id)}:
            tracking = cast("TrackingData", notification.payload.get("trackingData") or {})
            return {"id": parcel_id, "trackingData": tracking}
    return None


@mapper
def _why_unconfirmed(parcel: Parcel, notification: Notification, services: Services) -> str:
    """Why a parcel makes no event. Removing a number sends nothing."""
    if notification.type == _UPDATED and not tracking_number(parcel):
        return "no_tracking"
    return why_unconfirmed(parcel, services.settings.sync.shipment)


@mapper
def _as_told(notification: Notification, told: Parcel, order: Order) -> tuple[Parcel, Shipment]:
    """The parcel that the message tells of and its delivery, with what the order knows of them.

    What was in a parcel that the order no longer has is not known: all of the delivery would be too much.
    """
    payload = notification.payload
    shipping_key = str(payload.get("shippingKey") or "")
    if "parcel" in payload:
        return told, shipment_told(order, payload["delivery"], shipping_key)
    for parcel, shipment in _all_parcels(order):
        if parcel["id"] == told["id"]:
            return cast("Parcel", {**parcel, **told}), shipment
    shipment = shipment_told(order, {"id": str(payload.get("deliveryId") or "")}, shipping_key)
    return told, replace(shipment, delivery={**shipment.delivery, "items": []})


@mapper
def _all_parcels(order: Order) -> list[tuple[Parcel, Shipment]]:
    return [(parcel, shipment) for shipment in shipments(order) for parcel in shipment.parcels]
