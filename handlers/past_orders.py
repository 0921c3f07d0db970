"""Events of past orders and refunds, for a backfill.

They come from the same mappers as a message's events, with the same `unique_id`s. So a backfill never duplicates or
changes an event that a message has sent: Klaviyo keeps the first event of each `unique_id`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import Ignored
from core.notification import Notification
from core.rules import SyncRules
from core.settings import Settings
from handlers.order import events_by_state
from handlers.order_owner import Stages, send_order_events
from handlers.payment import filter_refunds
from handlers.registry import is_consumed
from handlers.services import Services
from mappers.event_time import event_time
from mappers.mapped import mapper
from mappers.order_documents import Order, Payment, Transaction
from mappers.order_events import (
    OwnedOrder,
    fact_events,
    fulfilled_order,
    ordered_products,
    placed_at,
    placed_order,
    refunded_order,
)
from mappers.past_events import PAST_EVENTS

History = Callable[[OwnedOrder], Stages]
"""Maps an order and its owner to the events of its history."""
RefundFilter = Callable[[Transaction, Payment], bool]
"""True for a refund that the backfill sends."""


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Which history to send: `flows` lets it start flows, `guests` includes orders without a customer."""

    flows: bool = False
    guests: bool = True


ALL_HISTORY = HistoryOptions()


def send_order_history(
    notification: Notification, order: Order, services: Services, options: HistoryOptions = ALL_HISTORY
) -> None:
    """Send events for what has happened to an order. Raises Ignored if there are none to send."""
    services.prepare("Events")
    require_included(order, options)
    history = order_history(order, services.settings)
    send_order_events(notification, order, services, history, backfill=True, flows=options.flows)


def send_refund_history(
    notification: Notification,
    payment: Payment,
    services: Services,
    is_included: RefundFilter,
    options: HistoryOptions = ALL_HISTORY,
) -> None:
    """Send events for those refunds of a payment that `is_included` accepts. Raises Ignored if there are none."""
    services.prepare("Events")
    refunds = refunds_of(payment, services.settings, is_included)
    order = services.commercetools.order_of_payment(payment["id"])
    if order is None:
        raise Ignored("no_order")
    require_included(order, options)
    history = refund_history(payment, refunds, services.settings)
    send_order_events(notification, order, services, history, backfill=True, flows=options.flows)


@mapper
def require_included(order: Order, options: HistoryOptions) -> None:
    """Raise Ignored for an order that the options leave out."""
    if not options.guests and not order.get("customerId"):
        raise Ignored("guest")


def order_history(order: Order, settings: Settings) -> History:
    """The history of an order: placed, its products, its current state, and what was shipped, paid and returned.

    A cancelled order was placed first, so it has both events. commercetools keeps no time for a state, so the
    state's event gets the time of the order's last change and is marked `TimeEstimated`. Raises Ignored if there are no
    events.
    """
    rules = settings.sync
    state = str(order.get("orderState"))
    was_placed = is_placed(order, settings)
    state_event = events_by_state(rules.order).get(state) if sends_order_states(rules) else None
    # The shipment state may send Fulfilled Order as well.
    is_fulfilled = state_event is fulfilled_order
    facts = [
        fact
        for name in past_messages(rules)
        for fact in PAST_EVENTS[name](order, settings)
        if not (is_fulfilled and fact.metric == rules.metrics.fulfilled_order)
    ]
    if not was_placed and not state_event and not facts:
        raise Ignored("order_state")

    def stages(owned: OwnedOrder) -> Stages:
        placed = [[placed_order(owned, settings)], ordered_products(owned, settings)] if was_placed else []
        entered = [state_event(owned, changed_at(order), settings)] if state_event else []
        return [*placed, [*entered, *fact_events(owned, facts, settings)]]

    return stages


@mapper
def is_placed(order: Order, settings: Settings) -> bool:
    """True if an order counts as placed, judged by its current state."""
    states = settings.sync.order.placed_states
    return sends_placed_orders(settings.sync) and (not states or str(order.get("orderState")) in states)


@mapper
def placed_time(order: Order) -> datetime:
    """Time of an order's Placed Order event, in UTC."""
    return event_time(placed_at(order), datetime.now(UTC))


def send_placed_again(notification: Notification, order: Order, services: Services) -> None:
    """Send Placed Order and Ordered Product again, as history: no flow starts, and events that Klaviyo has stay."""
    services.prepare("Events")
    settings = services.settings

    def stages(owned: OwnedOrder) -> Stages:
        return [[placed_order(owned, settings)], ordered_products(owned, settings)]

    if not is_placed(order, settings):
        raise Ignored("order_state")
    send_order_events(notification, order, services, stages, backfill=True)


def refunds_of(payment: Payment, settings: Settings, is_included: RefundFilter) -> list[Transaction]:
    """A payment's refunds in `[payment] refund_states` that `is_included` accepts. Raises Ignored if there are none."""
    states = settings.sync.payment.refund_states
    refunds = filter_refunds(
        payment.get("transactions") or [],
        lambda refund: refund.get("state") in states and is_included(refund, payment),
    )
    if not refunds:
        raise Ignored("no_refund")
    return refunds


def refund_history(payment: Payment, refunds: list[Transaction], settings: Settings) -> History:
    """An event for each refund, at the refund's time, else at the time of the payment's last change."""
    return lambda owned: [
        [refunded_order(owned, payment["id"], refund, changed_at(payment), settings) for refund in refunds]
    ]


@mapper
def changed_at(document: Order | Payment) -> str:
    """When an order or a payment last changed."""
    return document["lastModifiedAt"]


def sends_placed_orders(rules: SyncRules) -> bool:
    """True if orders become Placed Order and Ordered Product: `[messages] disabled` may switch them off."""
    return is_consumed("order", "OrderCreated", rules)


def sends_order_states(rules: SyncRules) -> bool:
    """True if orders become Fulfilled Order or Cancelled Order."""
    return is_consumed("order", "OrderStateChanged", rules)


def past_messages(rules: SyncRules) -> list[str]:
    """Types of the consumed messages whose events can be derived from the order alone: shipments, returns, payment."""
    return [name for name in PAST_EVENTS if is_consumed("order", name, rules)]


def has_events(rules: SyncRules) -> bool:
    """True if orders become any events."""
    return sends_placed_orders(rules) or sends_order_states(rules) or bool(past_messages(rules))


def sends_refunds(rules: SyncRules) -> bool:
    """True if refunds become Refunded Order, from at least one of a payment's two messages."""
    return any(
        is_consumed("payment", name, rules) for name in ("PaymentTransactionAdded", "PaymentTransactionStateChanged")
    )
