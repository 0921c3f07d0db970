"""Decide whose profile gets an order's events, and check the customer again after they are sent.

An order's `customerEmail` is a snapshot, and every event updates the profile it is sent for: the e-mail, and for a
guest also the name and the location. Events sent from the snapshot could re-create an erased profile, restore an old
e-mail, or give a customer the name from the billing form of a guest's order. So every event of an order goes through
`send_order_events`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from clients.retrying import time_reserved
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from core.times import parsed_time
from handlers.current import MAX_ROUNDS, YOUNG_SECONDS
from handlers.customer_profile import copy_customer
from handlers.erasure import (
    RECHECK_SHARE,
    erase_after_redelivery,
    erase_if_brought_back,
    is_young,
    recheck_after_failure,
)
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_documents import Order
from mappers.order_events import Fact, OwnedOrder, fact_events
from mappers.profile import customer_in_event, email_in_event, email_update, guest_in_event

Stages = Sequence[Sequence[Mapped]]
"""Events to send, stage by stage. The events of one stage are sent in parallel."""

_COPY_SHARE = 2 * RECHECK_SHARE
"""Share reserved for a check that may copy a customer: twice as much, as the copy reserves time for a check too."""


@dataclass(frozen=True, slots=True)
class _Owner:
    """The profile that the events are sent for.

    `recheck` runs after they are sent, and `recheck_share` is the share of the message's time that is reserved for it.
    """

    profile: JsonObject
    recheck: Callable[[], None] | None = None
    recheck_share: float = 0.0


def send_order_events(
    notification: Notification,
    order: Order,
    services: Services,
    events: Callable[[OwnedOrder], Stages],
    *,
    backfill: bool = False,
    flows: bool = False,
) -> None:
    """Send an order's events for the person who owns the order now.

    `backfill` sends them as history, which starts no flows unless `flows` is set. A guest is then identified by the
    e-mail alone, as an old billing address must not overwrite what Klaviyo knows today.

    Raises Ignored for an order with neither e-mail nor customer (`no_profile`), and for one whose customer was deleted
    (`customer_gone`), unless `[order] deleted_customers` says to send its events to the order's e-mail.
    """
    _require_profile(order)
    owner = _owner(notification, order, services, backfill=backfill)
    stages = events(OwnedOrder(order, owner.profile, services.order_lookups.details_of(order), backfill, flows))
    try:
        with time_reserved(owner.recheck_share):
            _send(stages, services)
    except TryAgain:
        if owner.recheck:
            recheck_after_failure(owner.recheck)
        raise
    except DeadLetter:
        if owner.recheck:
            owner.recheck()
        raise
    if owner.recheck:
        owner.recheck()


def send_facts(notification: Notification, order: Order, facts: Sequence[Fact], services: Services) -> None:
    """Send an event for each fact about an order, as `send_order_events` does."""
    send_order_events(notification, order, services, lambda owned: [fact_events(owned, facts, services.settings)])


@mapper
def _require_profile(order: Order) -> None:
    """Raise Ignored for an order with neither e-mail nor customer."""
    if not (order.get("customerEmail") or "").strip() and not order.get("customerId"):
        raise Ignored("no_profile")


def _owner(notification: Notification, order: Order, services: Services, *, backfill: bool) -> _Owner:
    """The owner of an order: its customer, a guest, or for a deleted customer the order's e-mail. Raises Ignored."""
    if not order.get("customerId"):
        return _guest(email_in_event(order) if backfill else guest_in_event(order), notification, services)
    read_at = datetime.now(UTC)
    customer = _customer(notification, order, services)
    if not customer:
        return _Owner(email_in_event(order))
    return _Owner(customer_in_event(customer), partial(_recheck_customer, customer, read_at, services), RECHECK_SHARE)


def _guest(guest: JsonObject, notification: Notification, services: Services) -> _Owner:
    """The owner of a guest's order: the profile from the billing form, unless a customer has that e-mail.

    The billing form must not overwrite a customer's name and location. If a customer has the e-mail, the events carry
    the e-mail alone, in the customer's spelling. If a customer may have registered while this attempt, or an earlier
    one, sent the billing form, that customer is copied after the events.
    """
    email = guest["email"]
    customer = services.commercetools.customer_by_email(email)
    profile = {"email": customer_in_event(customer)["email"]} if customer else guest
    if guest.keys() == {"email"} or (customer and not _may_have_registered_since(customer, notification)):
        return _Owner(profile)
    if customer:
        return _Owner(profile, partial(_copy_customer, customer, notification, services), _COPY_SHARE)
    return _Owner(profile, partial(_copy_if_registered, email, notification, services), _COPY_SHARE)


@mapper
def _may_have_registered_since(customer: Customer, notification: Notification) -> bool:
    """True if the customer may have registered after an earlier attempt at the message sent the billing form.

    A change counts like a registration, as the e-mail may be new. As queries lag, both count from a minute before the
    message was created. If it is unknown when the customer changed, they may have: a copy too many does no harm.
    """
    occurred_at = notification.occurred_at
    if occurred_at is None:
        return False
    changed_at = parsed_time(customer.get("lastModifiedAt") or customer.get("createdAt"))
    return changed_at is None or changed_at > occurred_at - timedelta(seconds=YOUNG_SECONDS)


def _copy_if_registered(email: str, notification: Notification, services: Services) -> None:
    """Correct the profile if a customer has registered with the e-mail since the guest's events were sent."""
    customer = services.commercetools.customer_by_email(email)
    if customer:
        _copy_customer(customer, notification, services)


def _copy_customer(customer: Customer, notification: Notification, services: Services) -> None:
    """Copy the customer to the profile, unless the customer was deleted. A refusal names the customer as its part."""

    def copy() -> None:
        with suppress(Ignored):
            copy_customer(customer["id"], notification, services)

    services.in_parallel([(f"customer {customer['id']}", copy)])


def _customer(notification: Notification, order: Order, services: Services) -> Customer | None:
    """The order's customer as of now; None for a deleted customer if the order's e-mail is to be used instead.

    Raises Ignored if there is no e-mail to use, and TryAgain while reads may just not show the customer yet.
    """
    customer_id = order["customerId"]
    customer = services.commercetools.customer(customer_id)
    if not customer:
        # An old order can be assigned to a customer who has only just registered.
        if is_young(order) or (notification.type == "OrderCustomerSet" and notification.age < YOUNG_SECONDS):
            raise TryAgain("customer_not_there_yet")
        erase_after_redelivery(notification, customer_id, services)
        if services.settings.sync.order.deleted_customers == "skip" or not email_in_event(order):
            raise Ignored("customer_gone")
    return customer


def _send(stages: Stages, services: Services) -> None:
    """Send all events. If Klaviyo refuses some, send the rest, then raise the first refusal. Other errors stop it."""
    refusals: list[DeadLetter] = []
    for events in stages:
        try:
            services.in_parallel((_label(event), partial(services.klaviyo.create_event, event)) for event in events)
        except DeadLetter as refused:
            refusals.append(refused)
    if refusals:
        raise refusals[0]


def _label(event: Mapped) -> str:
    """Metric and `unique_id` of an event, to name it in errors."""
    attributes = event.body["data"]["attributes"]
    return f"{attributes['metric']['data']['attributes']['name']} {attributes['unique_id']}"


def _recheck_customer(customer: Customer, read_at: datetime, services: Services) -> None:
    """Correct the profile if the customer was deleted, or got another e-mail, while the events were sent.

    The events may have re-created an erased profile, which is erased again, or restored an old e-mail. Does nothing if
    `[customer] erase` is off.
    """
    if not services.settings.sync.customer.erase:
        return
    sent = customer
    for _ in range(MAX_ROUNDS):
        now = services.commercetools.customer(sent["id"])
        if now is None:
            erase_if_brought_back(sent, read_at, services)
            return
        if customer_in_event(now) == customer_in_event(sent):
            return
        services.klaviyo.upsert_profile(email_update(now))
        sent = now
    raise TryAgain("keeps_changing")
