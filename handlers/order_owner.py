"""Whose an order's events are: read when they are sent, and looked at again afterwards.

An order's `customerEmail` is a snapshot, and an event changes its profile: the e-mail, and for a guest the name and the
place. So every event of an order goes through `send_order_events`. No customer who was erased comes back, no e-mail
that was changed, and no customer gets the name that stands in a guest's order.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from clients.retrying import time_kept_back
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.current import YOUNG
from handlers.customer_profile import copy_customer
from handlers.erasure import (
    TIME_TO_LOOK,
    erase_if_brought_back,
    erase_if_brought_back_before,
    is_young,
    look_although_failed,
)
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_documents import Order
from mappers.order_events import OwnedOrder
from mappers.profile import customer_in_event, email_in_event, email_of, guest_in_event

Stages = Sequence[Sequence[Mapped]]
"""Events that may be sent in any order, stage after stage."""

_ROUNDS = 3
_TIME_TO_COPY = 2 * TIME_TO_LOOK
"""The same share where the look may lead to the copy of a customer, which keeps a share of its own."""


@dataclass(frozen=True, slots=True)
class _Owner:
    """The profile in an order's events, and the look at it once they are sent, with its share of the message's time."""

    profile: JsonObject
    look: Callable[[], None] | None = None
    time_to_look: float = 0.0


def send_order_events(
    notification: Notification,
    order: Order,
    services: Services,
    events: Callable[[OwnedOrder], Stages],
    *,
    backfill: bool = False,
    flows: bool = False,
) -> None:
    """Send events of an order as those of the person it belongs to now.

    In a `backfill` they are history, which tells who a guest is by the e-mail alone: an old address must not overwrite
    what Klaviyo knows today. It starts no flow, unless `flows` says so. Raises Ignored for an order of nobody, and for
    one whose customer is gone (`[order] deleted_customers`).
    """
    _require_somebody(order)
    owner = _owner(notification, order, services, backfill=backfill)
    stages = events(OwnedOrder(order, owner.profile, services.order_knowledge.of(order), backfill, flows))
    try:
        with time_kept_back(owner.time_to_look):
            _send(stages, services)
    except TryAgain:
        if owner.look:
            look_although_failed(owner.look)
        raise
    except DeadLetter:
        if owner.look:
            owner.look()
        raise
    if owner.look:
        owner.look()


@mapper
def _require_somebody(order: Order) -> None:
    if not (order.get("customerEmail") or "").strip() and not order.get("customerId"):
        raise Ignored("no_profile")


def _owner(notification: Notification, order: Order, services: Services, *, backfill: bool) -> _Owner:
    if not order.get("customerId"):
        return _guest(email_in_event(order) if backfill else guest_in_event(order), notification, services)
    read_at = datetime.now(UTC)
    customer = _customer(notification, order, services)
    if not customer:
        return _Owner(email_in_event(order))
    return _Owner(customer_in_event(customer), partial(_look_again, customer, read_at, services), TIME_TO_LOOK)


def _guest(guest: JsonObject, notification: Notification, services: Services) -> _Owner:
    """A guest, as the billing form says. Where a customer has that e-mail the e-mail alone, in that spelling.

    The form must not overwrite a customer's name and address, so a customer who registers meanwhile is copied once the
    events are sent.
    """
    email = guest["email"]
    customer = services.commercetools.customer_with(email)
    whose = {"email": customer_in_event(customer)["email"]} if customer else guest
    if guest.keys() == {"email"} or (customer and not _is_newer(customer, notification)):
        return _Owner(whose)
    if customer:
        return _Owner(whose, partial(_copy, customer, notification, services), _TIME_TO_COPY)
    return _Owner(whose, partial(_copy_if_registered, email, notification, services), _TIME_TO_COPY)


@mapper
def _is_newer(customer: Customer, notification: Notification) -> bool:
    """Whether the customer may have registered after an earlier attempt at the message, which sent the billing form.

    Counted from a minute before the message was made, as queries lag.
    """
    changed_at = datetime.fromisoformat(customer.get("lastModifiedAt") or customer["createdAt"])
    made_at = notification.made_at
    return made_at is not None and changed_at > made_at - timedelta(seconds=YOUNG)


def _copy_if_registered(email: str, notification: Notification, services: Services) -> None:
    """Put the profile right if a customer has the e-mail of a guest's events by now."""
    customer = services.commercetools.customer_with(email)
    if customer:
        _copy(customer, notification, services)


def _copy(customer: Customer, notification: Notification, services: Services) -> None:
    """Put the profile of a customer right, unless the customer is gone. A refusal names the customer as its part."""

    def copy() -> None:
        with suppress(Ignored):
            copy_customer(customer["id"], notification, services)

    services.together([(f"customer {customer['id']}", copy)])


def _customer(notification: Notification, order: Order, services: Services) -> Customer | None:
    """The customer of an order as it is now; None for one who is gone where the e-mail is to do."""
    customer_id = order["customerId"]
    customer = services.commercetools.customer(customer_id)
    if not customer:
        # An old order may be given to a customer who registered a moment ago.
        if is_young(order) or (notification.type == "OrderCustomerSet" and notification.age < YOUNG):
            raise TryAgain("customer_not_there_yet")
        erase_if_brought_back_before(notification, customer_id, services)
        if services.settings.sync.order.deleted_customers == "skip" or not email_in_event(order):
            raise Ignored("customer_gone")
    return customer


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
