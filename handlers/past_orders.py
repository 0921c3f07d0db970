"""What happened before the sync ran: events of orders and refunds, as a backfill sends them.

They are those that the messages would have made, by the same mappers and under the same ids, so what a message has sent
already stays as it is: Klaviyo keeps the first event of a `unique_id`.
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
from handlers.payment import refunds_among
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
from mappers.past_events import PAST

History = Callable[[OwnedOrder], Stages]
Counts = Callable[[Transaction, Payment], bool]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of the past: whether it starts flows, and whether orders without a customer count."""

    flows: bool = False
    guests: bool = True


EVERYTHING = Wanted()


def send_order_history(
    notification: Notification, order: Order, services: Services, wanted: Wanted = EVERYTHING
) -> None:
    """Send what is known to have happened to an order."""
    services.prepare("Events")
    require_wanted(order, wanted)
    history = order_history(order, services.settings)
    send_order_events(notification, order, services, history, backfill=True, flows=wanted.flows)


def send_refund_history(
    notification: Notification, payment: Payment, services: Services, counts: Counts, wanted: Wanted = EVERYTHING
) -> None:
    """Send a payment's refunds that `counts` lets through. Raises Ignored where there is none."""
    services.prepare("Events")
    refunds = refunds_of(payment, services.settings, counts)
    order = services.commercetools.order_of_payment(payment["id"])
    if order is None:
        raise Ignored("no_order")
    require_wanted(order, wanted)
    history = refund_history(payment, refunds, services.settings)
    send_order_events(notification, order, services, history, backfill=True, flows=wanted.flows)


@mapper
def require_wanted(order: Order, wanted: Wanted) -> None:
    """Raise Ignored for an order whose events are not wanted."""
    if not wanted.guests and not order.get("customerId"):
        raise Ignored("guest")


def order_history(order: Order, settings: Settings) -> History:
    """What an order became: placed, its products, the state that it is in, what was shipped and what came back.

    An order that is cancelled by now was placed before. commercetools keeps no time of a state: it is that of the
    order's last change, and the event is marked `TimeEstimated`. Raises Ignored when there is nothing to tell.
    """
    rules = settings.sync
    state = str(order.get("orderState"))
    was_placed = is_placed(order, settings)
    changed = events_by_state(rules.order).get(state) if changes_states(rules) else None
    is_fulfilled = changed is fulfilled_order
    facts = [
        fact
        for name in told_by_documents(rules)
        for fact in PAST[name](order, settings)
        if not (is_fulfilled and fact.metric == rules.metrics.fulfilled_order)
    ]
    if not was_placed and not changed and not facts:
        raise Ignored("order_state")

    def stages(owned: OwnedOrder) -> Stages:
        placed = [[placed_order(owned, settings)], ordered_products(owned, settings)] if was_placed else []
        became = [changed(owned, changed_at(order), settings)] if changed else []
        return [*placed, [*became, *fact_events(owned, facts, settings)]]

    return stages


@mapper
def is_placed(order: Order, settings: Settings) -> bool:
    """Whether an order counts as placed, by the state that it is in now."""
    states = settings.sync.order.placed_states
    return places_orders(settings.sync) and (not states or str(order.get("orderState")) in states)


@mapper
def placed_time(order: Order) -> datetime:
    """UTC time of an order's Placed Order, as its event has it."""
    return event_time(placed_at(order), datetime.now(UTC))


def send_placed_again(notification: Notification, order: Order, services: Services) -> None:
    """Send an order's Placed Order and Ordered Products as history: what Klaviyo has of them stays, no flow starts."""
    services.prepare("Events")
    settings = services.settings

    def stages(owned: OwnedOrder) -> Stages:
        return [[placed_order(owned, settings)], ordered_products(owned, settings)]

    if not is_placed(order, settings):
        raise Ignored("order_state")
    send_order_events(notification, order, services, stages, backfill=True)


def refunds_of(payment: Payment, settings: Settings, counts: Counts) -> list[Transaction]:
    """The refunds of a payment in a state that counts and that `counts` lets through. Raises Ignored for none."""
    states = settings.sync.payment.refund_states
    refunds = refunds_among(
        payment.get("transactions") or [],
        lambda refund: refund.get("state") in states and counts(refund, payment),
    )
    if not refunds:
        raise Ignored("no_refund")
    return refunds


def refund_history(payment: Payment, refunds: list[Transaction], settings: Settings) -> History:
    """An event for each refund, at its own time, else at that of the payment's last change."""
    return lambda owned: [
        [refunded_order(owned, payment["id"], refund, changed_at(payment), settings) for refund in refunds]
    ]


@mapper
def changed_at(document: Order | Payment) -> str:
    """When an order or a payment was changed for the last time."""
    return document["lastModifiedAt"]


def places_orders(rules: SyncRules) -> bool:
    """Whether orders become Placed Order and Ordered Product: `[messages] disabled` may say no."""
    return is_consumed("order", "OrderCreated", rules)


def changes_states(rules: SyncRules) -> bool:
    """Whether orders become Fulfilled Order or Cancelled Order."""
    return is_consumed("order", "OrderStateChanged", rules)


def told_by_documents(rules: SyncRules) -> list[str]:
    """The messages about shipments, returns and payment that are consumed: an order's document says the same."""
    return [name for name in PAST if is_consumed("order", name, rules)]


def has_events(rules: SyncRules) -> bool:
    """Whether orders become any events."""
    return places_orders(rules) or changes_states(rules) or bool(told_by_documents(rules))


def refunds_orders(rules: SyncRules) -> bool:
    """Whether refunds become Refunded Order; one of a payment's two messages is enough."""
    return any(
        is_consumed("payment", name, rules) for name in ("PaymentTransactionAdded", "PaymentTransactionStateChanged")
    )
