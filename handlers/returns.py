"""Returns become events: each announced return, and each item that came back."""

from collections.abc import Sequence
from typing import cast

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from core.settings import Settings
from handlers.order import current_order
from handlers.order_owner import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.mapped import mapper
from mappers.order_documents import Order, ReturnInfo
from mappers.order_events import Fact
from mappers.return_events import (
    RETURNED,
    RETURNED_STATES,
    has_return_events,
    return_facts,
    returned_items,
    returned_order,
)

_ADDED = "ReturnInfoAdded"


@handles("order", _ADDED, "ReturnInfoSet", when=setting("metrics.requested_return", "metrics.returned_order"))
def send_returns(notification: Notification, services: Services) -> None:
    """Send Requested Return for a return with advised items, and Returned Order for each item that came back."""
    settings, payload_returns = services.settings, _returns_in_payload(notification)
    if payload_returns is not None and not has_return_events(payload_returns, settings):
        raise Ignored("no_return")
    services.prepare("Events")
    order = current_order(notification, services)
    returns = (order.get("returnInfo") or []) if payload_returns is None else payload_returns
    is_new = payload_returns is not None and notification.type == _ADDED
    facts = return_facts(order, returns, notification.created_at, settings, is_new=is_new)
    if not facts:
        raise Ignored("no_return")
    send_facts(notification, order, facts, services)


@handles("order", "OrderReturnShipmentStateChanged", when=setting("metrics.returned_order"))
def send_returned_item(notification: Notification, services: Services) -> None:
    """Send Returned Order for the item that came back; without a payload, for each item that came back."""
    state = notification.payload.get("returnShipmentState")
    if state not in (None, RETURNED):
        raise Ignored("return_state")
    services.prepare("Events")
    order = current_order(notification, services)
    facts = _returned_facts(order, notification, services.settings)
    if not facts:
        raise Ignored("return_state" if state is None else "return_gone")
    send_facts(notification, order, facts, services)


def _returns_in_payload(notification: Notification) -> Sequence[ReturnInfo] | None:
    """The returns in the message; None if its payload was left out."""
    if "payloadNotIncluded" in notification.payload:
        return None
    match notification.payload.get("returnInfo"):
        case dict(added):
            return [cast("ReturnInfo", added)]
        case list(every):
            return every
    return []


@mapper
def _returned_facts(order: Order, notification: Notification, settings: Settings) -> list[Fact]:
    """Returned Order for the message's item, whatever its state is now; without a payload, for each that came back."""
    item_id, occurred_at = notification.payload.get("returnItemId"), notification.created_at
    items = returned_items(order)
    if item_id is None:
        back = [one for one in items if one.item.get("shipmentState") in RETURNED_STATES]
        return [returned_order(order, one, occurred_at, settings) for one in back]
    return [
        returned_order(order, one.in_state(RETURNED), occurred_at, settings, is_new=True)
        for one in items
        if one.item["id"] == item_id
    ]
