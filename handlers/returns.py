"""Returns become events: what is announced, and each item that came back."""

from collections.abc import Sequence
from typing import cast

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from core.settings import Settings
from handlers.order import order_now
from handlers.order_facts import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.mapped import mapper
from mappers.order_documents import Order, ReturnInfo
from mappers.order_events import Fact
from mappers.return_events import CAME_BACK, RETURNED, makes_event, return_facts, returned_items, returned_order

_ADDED = "ReturnInfoAdded"


@handles("order", _ADDED, "ReturnInfoSet", when=setting("metrics.requested_return", "metrics.returned_order"))
def send_returns(notification: Notification, services: Services) -> None:
    """Send Requested Return for a return with advised items, and Returned Order for each item that came back."""
    settings, told = services.settings, _told_returns(notification)
    if told is not None and not makes_event(told, settings):
        raise Ignored("no_return")
    services.prepare("Events")
    order = order_now(notification, services)
    returns = (order.get("returnInfo") or []) if told is None else told
    is_news = told is not None and notification.type == _ADDED
    facts = return_facts(order, returns, notification.created_at, settings, is_news=is_news)
    if not facts:
        raise Ignored("no_return")
    send_facts(notification, order, facts, services)


@handles("order", "OrderReturnShipmentStateChanged", when=setting("metrics.returned_order"))
def return_item(notification: Notification, services: Services) -> None:
    """Send Returned Order for the item that came back; for all of them where the payload is left out."""
    state = notification.payload.get("returnShipmentState")
    if state not in (None, RETURNED):
        raise Ignored("return_state")
    services.prepare("Events")
    order = order_now(notification, services)
    facts = _came_back(order, notification, services.settings)
    if not facts:
        raise Ignored("return_state" if state is None else "return_gone")
    send_facts(notification, order, facts, services)


def _told_returns(notification: Notification) -> Sequence[ReturnInfo] | None:
    """The returns that the message tells of; None where its payload is left out."""
    if "payloadNotIncluded" in notification.payload:
        return None
    match notification.payload.get("returnInfo"):
        case dict(added):
            return [cast("ReturnInfo", added)]
        case list(every):
            return every
    return []


@mapper
def _came_back(order: Order, notification: Notification, settings: Settings) -> list[Fact]:
    """The named item as it was told, whatever became of it since; all that came back where none is named."""
    item_id, occurred_at = notification.payload.get("returnItemId"), notification.created_at
    items = returned_items(order)
    if item_id is None:
        back = [one for one in items if one.item.get("shipmentState") in CAME_BACK]
        return [returned_order(order, one, occurred_at, settings) for one in back]
    return [
        returned_order(order, one.in_state(RETURNED), occurred_at, settings, is_news=True)
        for one in items
        if one.item["id"] == item_id
    ]
