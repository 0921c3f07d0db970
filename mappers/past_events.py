"""What is known to have happened to an order by its document alone, without any message.

Ids are those that the messages make, so what was told already is not told again. commercetools keeps no time of a
state: it is that of the last change, and marked as an estimate. Partially Shipped Order is unique by its message, and a
workflow state may have been passed long ago: neither is among these.
"""

from collections.abc import Callable, Mapping

from core.settings import Settings
from mappers.deliveries import shipments
from mappers.mapped import mapper
from mappers.order_documents import Order
from mappers.order_events import Fact
from mappers.return_events import CAME_BACK, requested_returns, returned_items, returned_order
from mappers.shipment_events import Left, StateChange, confirmed_shipments, is_told_of, shipment_state, why_unconfirmed
from mappers.state_events import PAID, paid_order


def _shipment_state(order: Order, settings: Settings) -> list[Fact]:
    state = str(order.get("shipmentState"))
    if not is_told_of(state, settings.sync):
        return []
    return shipment_state(order, StateChange(state, order["lastModifiedAt"]), settings)


def _parcels(order: Order, settings: Settings) -> list[Fact]:
    """Confirmed Shipment at the parcel's own time."""
    if not settings.sync.metrics.confirmed_shipment:
        return []
    parcels = [
        Left(parcel, shipment, parcel["createdAt"])
        for shipment in shipments(order)
        for parcel in shipment.parcels
        if not why_unconfirmed(parcel, settings.sync.shipment)
    ]
    return confirmed_shipments(order, parcels, settings)


def _requested(order: Order, settings: Settings) -> list[Fact]:
    """Requested Return at the return's date, else when its first item was written down."""
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
            order, one, one.item.get("lastModifiedAt") or order["lastModifiedAt"], settings, is_estimated=True
        )
        for one in returned_items(order)
        if one.item.get("shipmentState") in CAME_BACK
    ]


def _paid(order: Order, settings: Settings) -> list[Fact]:
    if order.get("paymentState") != PAID or not settings.sync.metrics.paid_order:
        return []
    return [paid_order(order, order["lastModifiedAt"], settings, is_estimated=True)]


PAST: Mapping[str, Callable[[Order, Settings], list[Fact]]] = {
    "OrderShipmentStateChanged": mapper(_shipment_state),
    "ParcelAddedToDelivery": mapper(_parcels),
    "ReturnInfoAdded": mapper(_requested),
    "OrderReturnShipmentStateChanged": mapper(_returned),
    "OrderPaymentStateChanged": mapper(_paid),
}
"""What an order's document says, by the message that tells the same."""
