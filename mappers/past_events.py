"""Past events of an order, derived from the order alone, without any message.

They have the same ids as the events that messages cause, so Klaviyo records each only once. commercetools does not
store when an order or a returned item entered its state. The time is that of its last change, and is marked as an
estimate.

Two events can't be derived. Partially Shipped Order is unique by its message. And an order may have left a workflow
state of `[order] transitions` long ago.
"""

from collections.abc import Callable, Mapping

from core.settings import Settings
from mappers.deliveries import shipments
from mappers.mapped import mapper
from mappers.order_documents import Order
from mappers.order_events import Fact
from mappers.return_events import RETURNED_STATES, requested_returns, returned_items, returned_order
from mappers.shipment_events import (
    ShippedParcel,
    StateChange,
    confirmed_shipments,
    has_shipment_events,
    shipment_facts,
    why_unconfirmed,
)
from mappers.state_events import PAID, paid_order


def _shipment_state(order: Order, settings: Settings) -> list[Fact]:
    state = str(order.get("shipmentState"))
    if not has_shipment_events(state, settings.sync):
        return []
    return shipment_facts(order, StateChange(state, order["lastModifiedAt"]), settings)


def _parcels(order: Order, settings: Settings) -> list[Fact]:
    """Confirmed Shipment for each parcel, at the time the parcel was created."""
    if not settings.sync.metrics.confirmed_shipment:
        return []
    parcels = [
        ShippedParcel(parcel, shipment, parcel["createdAt"])
        for shipment in shipments(order)
        for parcel in shipment.parcels
        if not why_unconfirmed(parcel, settings.sync.shipment)
    ]
    return confirmed_shipments(order, parcels, settings)


def _requested(order: Order, settings: Settings) -> list[Fact]:
    """Requested Return for each return, at the return's date, else when its first item was created."""
    return [
        fact
        for info in order.get("returnInfo") or []
        if (items := info.get("items"))
        for fact in requested_returns(order, [info], items[0]["createdAt"], settings)
    ]


def _returned(order: Order, settings: Settings) -> list[Fact]:
    if not settings.sync.metrics.returned_order:
        return []
    return [
        returned_order(
            order, returned, returned.item.get("lastModifiedAt") or order["lastModifiedAt"], settings, is_estimated=True
        )
        for returned in returned_items(order)
        if returned.item.get("shipmentState") in RETURNED_STATES
    ]


def _paid(order: Order, settings: Settings) -> list[Fact]:
    if order.get("paymentState") != PAID or not settings.sync.metrics.paid_order:
        return []
    return [paid_order(order, order["lastModifiedAt"], settings, is_estimated=True)]


PAST_EVENTS: Mapping[str, Callable[[Order, Settings], list[Fact]]] = {
    "OrderShipmentStateChanged": mapper(_shipment_state),
    "ParcelAddedToDelivery": mapper(_parcels),
    "ReturnInfoAdded": mapper(_requested),
    "OrderReturnShipmentStateChanged": mapper(_returned),
    "OrderPaymentStateChanged": mapper(_paid),
}
"""Functions that derive past events from an order, by the type of the message that causes the same events."""
