"""Orders become events."""

from collections.abc import Callable
from typing import cast

from core.conditions import setting
from core.errors import DeadLetter, Ignored
from core.notification import Notification
from core.rules import OrderRules
from core.settings import Settings
from handlers.checkout_consent import follow_checkout
from handlers.current import as_told
from handlers.order_owner import send_order_events
from handlers.registry import handles
from handlers.services import Services
from mappers.mapped import Mapped
from mappers.order_documents import Order
from mappers.order_events import OwnedOrder, cancelled_order, fulfilled_order, ordered_products, placed_order

_STATE = "order_state"
"""Why an order makes no event."""


@handles("order", "OrderCreated", "OrderImported", "OrderCreatedFromRecurringOrder")
def place_order(notification: Notification, services: Services) -> None:
    """Send Placed Order, as the message tells it, and Ordered Product for each line item; then see to the box."""
    services.prepare("Events")
    told = notification.payload.get("order")
    order = cast("Order", told) if isinstance(told, dict) else order_now(notification, services, creates=True)
    # An import is the past, nobody ticks the box of a recurring order, and a message without a time is a command's.
    ticked = notification.type == "OrderCreated" and notification.made_at is not None
    try:
        _send_placed_order(notification, order, services)
    except (DeadLetter, Ignored) as failed:
        if ticked and (isinstance(failed, DeadLetter) or failed.reason == _STATE):
            follow_checkout(order, services)
        raise
    if ticked:
        follow_checkout(order, services)


@handles("order", "OrderCustomerSet")
def place_order_of_customer(notification: Notification, services: Services) -> None:
    """Send Placed Order and Ordered Product again, for the customer that the order has now."""
    services.prepare("Events")
    told = "payloadNotIncluded" not in notification.payload
    if told and not notification.payload.get("customer"):
        raise Ignored("customer_removed")
    order = order_now(notification, services)
    if not order.get("customerId"):
        raise Ignored("customer_removed")
    _send_placed_order(notification, order, services)


@handles("order", "OrderStateChanged", when=setting("order.fulfilled_states", "order.cancelled_states"))
def change_order_state(notification: Notification, services: Services) -> None:
    """Send Fulfilled Order or Cancelled Order, by the state that the message tells."""
    services.prepare("Events")
    events = events_by_state(services.settings.sync.order)
    state = notification.payload.get("orderState")
    order = None
    if state is None:
        order = order_now(notification, services)
        state = order.get("orderState")
    event = events.get(str(state))
    if not event:
        raise Ignored(_STATE)
    order = order or order_now(notification, services)
    send_order_events(
        notification, order, services, lambda owned: [[event(owned, notification.created_at, services.settings)]]
    )


def events_by_state(rules: OrderRules) -> dict[str, Callable[[OwnedOrder, str, Settings], Mapped]]:
    """The mapper of the event that an order's coming into a state makes, by the state."""
    return {
        **dict.fromkeys(rules.fulfilled_states, fulfilled_order),
        **dict.fromkeys(rules.cancelled_states, cancelled_order),
    }


def order_now(
    notification: Notification, services: Services, *, creates: bool = False, with_state: bool = False
) -> Order:
    """The order as it is now, with its workflow state expanded if asked for. Raises Ignored for one that is gone."""
    read = services.commercetools.order(notification.resource.id, with_state=with_state)
    order = as_told(notification, read, creates=creates)
    if order is None:
        raise Ignored("deleted_meanwhile")
    return order


def _send_placed_order(notification: Notification, order: Order, services: Services) -> None:
    rules = services.settings.sync.order
    state = order.get("orderState")
    if (rules.placed_states and state not in rules.placed_states) or (
        not rules.placed_states and state in rules.cancelled_states
    ):
        raise Ignored(_STATE)
    send_order_events(
        notification,
        order,
        services,
        lambda owned: [[placed_order(owned, services.settings)], ordered_products(owned, services.settings)],
    )
