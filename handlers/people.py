"""Whose an order's events are: read when they are sent, and looked at again afterwards.

An order's `customerEmail` is a snapshot, and an event changes the e-mail of its profile. So every event of an order
goes through `send_order_events`. No customer who was erased comes back, and no e-mail that was changed.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from clients.retrying import current_budget, last_calls, time_kept_back
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.services import Services
from mappers.documents import Customer, Order
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_events import OwnedOrder
from mappers.profile import customer_in_event, email_in_event, email_of, guest_in_event

Stages = Sequence[Sequence[Mapped]]
"""Events that may be sent in any order, stage after stage."""

_ROUNDS = 3
_YOUNG = 60.0
"""Seconds after it was made within which a customer may not be shown yet."""
TIME_TO_LOOK = 0.12
"""Share of a message's time (3 of 25 seconds) that is kept for the look afterwards, and the erasure it may lead to."""


def send_order_events(
    notification: Notification,
    order: Order,
    services: Services,
    events: Callable[[OwnedOrder], Stages],
    *,
    backfill: bool = False,
) -> None:
    """Send events of an order as those of the person it belongs to now.

    In a `backfill` they are history, which tells who a guest is by the e-mail alone: an old address must not overwrite
    what Klaviyo knows today. Raises Ignored for an order of nobody, and for one whose customer is gone
    (`[order] deleted_customers`).
    """
    _require_somebody(order)
    read_at = datetime.now(UTC)
    customer = _customer(notification, order, services)
    whose = customer_in_event(customer) if customer else _without_customer(order, services, backfill=backfill)
    stages = events(OwnedOrder(order, whose, services.order_knowledge.of(order), backfill))
    try:
        with time_kept_back(TIME_TO_LOOK if customer else 0):
            _send(stages, services)
    except TryAgain:
        if customer:
            look_although_failed(lambda: _look_again(customer, read_at, services))
        raise
    except DeadLetter:
        if customer:
            _look_again(customer, read_at, services)
        raise
    if customer:
        _look_again(customer, read_at, services)


def erase_if_brought_back(customer: Customer, since: datetime, services: Services) -> None:
    """Erase the profile of a customer who is gone by now, if it was made since then: by what this message sent.

    A customer who was made under a minute ago may only not be shown: that is a dead letter, for people to look at.
    """
    if services.settings.sync.customer.erase and _is_young(customer):
        raise DeadLetter("brought_back", code="young_customer")
    _erase_if_new(customer["id"], since, services)


def erase_if_brought_back_before(notification: Notification, customer_id: str, services: Services) -> None:
    """The same for a message that finds the customer gone, if an earlier attempt at it may have sent something."""
    if notification.is_redelivered and notification.made_at:
        _erase_if_new(customer_id, notification.made_at, services)


def _erase_if_new(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile if it was made since then. A failure is a dead letter: nothing would come back to it."""
    if not services.settings.sync.customer.erase:
        return
    try:
        services.klaviyo.erase_if_new(customer_id, since)
    except TryAgain as error:
        raise DeadLetter("brought_back", status=error.status, code=error.code or error.reason) from None


def erase_if_back(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile of a customer who is gone, if it was made since then: a job that was killed may have sent it.

    Raises Ignored where there is nothing to erase: the customer is still there.
    """
    if services.commercetools.customer(customer_id):
        raise Ignored("still_there")
    _erase_if_new(customer_id, since, services)


def erase_if_gone(customer: Customer, since: datetime, services: Services) -> None:
    """As `erase_if_brought_back`, where it has to be found out whether the customer is gone."""
    if services.commercetools.customer(customer["id"]) is None:
        erase_if_brought_back(customer, since, services)


def look_although_failed(look: Callable[[], None]) -> None:
    """Look again after a failure, if something may have been written.

    A message that comes again would find an erased customer gone, and stop there.
    """
    if current_budget().has_written:
        with last_calls(), suppress(TryAgain):
            look()


@mapper
def _require_somebody(order: Order) -> None:
    if not (order.get("customerEmail") or "").strip() and not order.get("customerId"):
        raise Ignored("no_profile")


def _customer(notification: Notification, order: Order, services: Services) -> Customer | None:
    """The customer of an order as it is now; None for a guest, and for one who is gone where the e-mail is to do."""
    customer_id = order.get("customerId")
    customer = services.commercetools.customer(customer_id) if customer_id else None
    if customer_id and not customer:
        # An old order may be given to a customer who registered a moment ago.
        if _is_young(order) or (notification.type == "OrderCustomerSet" and notification.age < _YOUNG):
            raise TryAgain("customer_not_there_yet")
        erase_if_brought_back_before(notification, customer_id, services)
        if services.settings.sync.order.deleted_customers == "skip" or not email_in_event(order):
            raise Ignored("customer_gone")
    return customer


def _without_customer(order: Order, services: Services, *, backfill: bool) -> JsonObject:
    """Profile of a guest's event. Where a customer has that e-mail the e-mail alone, as the customer spells it.

    What the form of a guest's order says must not overwrite a customer's name and address.
    """
    alone = email_in_event(order)
    if order.get("customerId"):
        return alone
    customer = services.commercetools.customer_with(alone["email"])
    if customer:
        return {"email": customer_in_event(customer)["email"]}
    return alone if backfill else guest_in_event(order)


@mapper
def _is_young(document: Order | Customer) -> bool:
    return (datetime.now(UTC) - datetime.fromisoformat(document["createdAt"])).total_seconds() < _YOUNG


def _send(stages: Stages, services: Services) -> None:
    """Send all that Klaviyo takes; raises the first refusal afterwards, any other error at once."""
    refusals: list[DeadLetter] = []
    for events in stages:
        try:
            services.together((_named(event), partial(services.klaviyo.create_event, event)) for event in events)
        except DeadLetter as refused:
            refusals.append(refused)
    if refusals:
        raise refusals[0]


def _named(event: Mapped) -> str:
    attributes = event.body["data"]["attributes"]
    return f"{attributes['metric']['data']['attributes']['name']} {attributes['unique_id']}"


def _look_again(customer: Customer, read_at: datetime, services: Services) -> None:
    """Undo what the events did to a person who was erased, or got another e-mail, while they were sent."""
    if not services.settings.sync.customer.erase:
        return
    sent = customer
    for _ in range(_ROUNDS):
        now = services.commercetools.customer(sent["id"])
        if now is None:
            erase_if_brought_back(sent, read_at, services)
            return
        if customer_in_event(now) == customer_in_event(sent):
            return
        services.klaviyo.upsert_profile(email_of(now))
        sent = now
    raise TryAgain("keeps_changing")
