"""Whose an order's events are: read when they are sent, and looked at again afterwards.

An order's `customerEmail` is a snapshot, and an event changes the e-mail of its profile. So every event of an order
goes through `send_order_events`. Nobody comes back who was erased, and nobody gets an e-mail back that was changed.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from clients.retrying import current_budget, last_calls
from core.errors import DeadLetter, Ignored, TryAgain
from handlers.services import Services
from mappers.documents import Customer, Order
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_events import OwnedOrder
from mappers.profile import customer_in_event, email_in_event, email_of, guest_in_event

Stages = Sequence[Sequence[Mapped]]
"""Events that may be sent in any order, stage after stage."""

_ROUNDS = 3
_YOUNG = 60.0
"""Seconds after an order was made within which its customer may not be shown yet."""


def send_order_events(order: Order, services: Services, events: Callable[[OwnedOrder], Stages]) -> None:
    """Send events of an order as those of the person it belongs to now.

    Raises Ignored for an order of nobody, and for one whose customer is gone (`[order] deleted_customers`).
    """
    _require_somebody(order)
    read_at = datetime.now(UTC)
    customer = _customer(order, services)
    whose = customer_in_event(customer) if customer else _without_customer(order, services)
    stages = events(OwnedOrder(order, whose, services.order_knowledge.of(order)))
    try:
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


def erase_if_brought_back(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile of a customer who is gone, if it was made since then: by what this message sent.

    A message that comes again would find the customer gone and send nothing, so a failure is a dead letter.
    """
    if not services.settings.sync.customer.erase:
        return
    try:
        services.klaviyo.erase_if_new(customer_id, since)
    except TryAgain as error:
        raise DeadLetter("brought_back", status=error.status, code=error.code or error.reason) from None


def erase_if_gone(customer_id: str, since: datetime, services: Services) -> None:
    """The same, where it has to be found out whether the customer is gone."""
    if services.commercetools.customer(customer_id) is None:
        erase_if_brought_back(customer_id, since, services)


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


def _customer(order: Order, services: Services) -> Customer | None:
    """The customer of an order as it is now; None for a guest, and for one who is gone where the e-mail is to do."""
    customer_id = order.get("customerId")
    customer = services.commercetools.customer(customer_id) if customer_id else None
    if customer_id and not customer:
        if _is_young(order):
            raise TryAgain("customer_not_there_yet")
        if services.settings.sync.order.deleted_customers == "skip" or not email_in_event(order):
            raise Ignored("customer_gone")
    return customer


def _without_customer(order: Order, services: Services) -> JsonObject:
    """Profile of a guest's event. Where a customer has that e-mail the e-mail alone, as the customer spells it.

    What the form of a guest's order says must not overwrite a customer's name and address.
    """
    alone = email_in_event(order)
    if order.get("customerId"):
        return alone
    customer = services.commercetools.customer_with(alone["email"])
    return {"email": customer_in_event(customer)["email"]} if customer else guest_in_event(order)


@mapper
def _is_young(order: Order) -> bool:
    return (datetime.now(UTC) - datetime.fromisoformat(order["createdAt"])).total_seconds() < _YOUNG


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
            erase_if_brought_back(sent["id"], read_at, services)
            return
        if customer_in_event(now) == customer_in_event(sent):
            return
        services.klaviyo.upsert_profile(email_of(now))
        sent = now
    raise TryAgain("keeps_changing")
