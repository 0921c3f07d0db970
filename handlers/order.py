"""Orders become events: placed, fulfilled and cancelled."""

from collections.abc import Callable
from typing import cast

from core.conditions import setting
from core.errors import DeadLetter, Ignored
from core.notification import Notification
from core.rules import OrderRules
from core.settings import Settings
from handlers.checkout_consent import apply_checkout_consent
from handlers.current import up_to_date
from handlers.order_owner import send_order_events
from handlers.registry import handles
from handlers.services import Services
from mappers.mapped import Mapped
from mappers.order_documents import Order
from mappers.order_events import OwnedOrder, cancelled_order, fulfilled_order, ordered_products, placed_order

_STATE = "order_state"
"""Reason for ignoring an order in a state that has no event."""


@handles("order", "OrderCreated", "OrderImported", "OrderCreatedFromRecurringOrder")
def send_placed_order(notification: Notification, services: Services) -> None:
    """Send Placed Order, and Ordered Product for each line item, then apply the consent checkbox of the checkout.

    The order is the one in the message, without a payload the current one. The checkbox also counts if Klaviyo refuses
    the events, or if the order's state has none.
    """
    services.prepare("Events")
    payload_order = notification.payload.get("order")
    order = (
        cast("Order", payload_order)
        if isinstance(payload_order, dict)
        else current_order(notification, services, creates=True)
    )
    # Imports are history, and recurring orders have no checkout. A message without a time was created by a command.
    has_checkout = notification.type == "OrderCreated" and notification.occurred_at is not None
    try:
        _send_placed_events(notification, order, services)
    except (DeadLetter, Ignored) as failed:
        if has_checkout and (isinstance(failed, DeadLetter) or failed.reason == _STATE):
            apply_checkout_consent(order, services)
        raise
    if has_checkout:
        apply_checkout_consent(order, services)


@handles("order", "OrderCustomerSet")
def send_placed_order_for_customer(notification: Notification, services: Services) -> None:
    """Send Placed Order and Ordered Product again, for the customer to whom the order is assigned now."""
    services.prepare("Events")
    has_payload = "payloadNotIncluded" not in notification.payload
    if has_payload and not notification.payload.get("customer"):
        raise Ignored("customer_removed")
    order = current_order(notification, services)
    if not order.get("customerId"):
        raise Ignored("customer_removed")
    _send_placed_events(notification, order, services)


@handles("order", "OrderStateChanged", when=setting("order.fulfilled_states", "order.cancelled_states"))
def send_order_state(notification: Notification, services: Services) -> None:
    """Send Fulfilled Order or Cancelled Order, by the order state in the message."""
    services.prepare("Events")
    events = events_by_state(services.settings.sync.order)
    state = notification.payload.get("orderState")
    order = None
    if state is None:
        order = current_order(notification, services)
        state = order.get("orderState")
    event = events.get(str(state))
    if not event:
        raise Ignored(_STATE)
    order = order or current_order(notification, services)
    send_order_events(
        notification, order, services, lambda owned: [[event(owned, notification.created_at, services.settings)]]
    )


def events_by_state(rules: OrderRules) -> dict[str, Callable[[OwnedOrder, str, Settings], Mapped]]:
    """The mapper of the event to send when an order enters a state, by state."""
    return {
        **dict.fromkeys(rules.fulfilled_states, fulfilled_order),
        **dict.fromkeys(rules.cancelled_states, cancelled_order),
    }


def current_order(
    notification: Notification, services: Services, *, creates: bool = False, with_state: bool = False
) -> Order:
    """The order as it is now; with `with_state`, its workflow state is expanded. Raises Ignored if it was deleted."""
    read = services.commercetools.order(notification.resource.id, with_state=with_state)
    order = up_to_date(notification, read, creates=creates)
    if order is None:
        raise Ignored("deleted_meanwhile")
    return order


def _send_placed_events(notification: Notification, order: Order, services: Services) -> None:
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
