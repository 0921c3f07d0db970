"""Nobody who was erased comes back: what is done about a profile that a message wrote while its customer went."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from clients.retrying import current_budget, last_calls
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.current import YOUNG
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import mapper
from mappers.order_documents import Order

BROUGHT_BACK = "brought_back"
"""The reason of a dead letter about a profile that could not be erased again."""
TIME_TO_LOOK = 0.12
"""Share of a message's time (3 of 25 seconds) that is kept for the look afterwards, and the erasure it may lead to."""


def erase_if_brought_back(customer: Customer, since: datetime, services: Services) -> None:
    """Erase the profile of a customer who is gone by now, if it was made since then: by what this message sent.

    A customer who was made under a minute ago may only not be shown: that is a dead letter, for people to look at.
    """
    if services.settings.sync.customer.erase and is_young(customer):
        raise _not_erased(customer["id"], DeadLetter(BROUGHT_BACK, code="young_customer"))
    _erase_if_new(customer["id"], since, services)


def erase_if_brought_back_before(notification: Notification, customer_id: str, services: Services) -> None:
    """The same for a message that finds the customer gone, if an earlier attempt at it may have sent something."""
    if notification.is_redelivered and notification.made_at:
        _erase_if_new(customer_id, notification.made_at, services)


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
def is_young(document: Order | Customer) -> bool:
    """Whether an order or a customer was made so short a time ago that reads may not show the customer yet."""
    return (datetime.now(UTC) - datetime.fromisoformat(document["createdAt"])).total_seconds() < YOUNG


def _erase_if_new(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile if it was made since then. A failure is a dead letter: nothing would come back to it."""
    if not services.settings.sync.customer.erase:
        return
    try:
        services.klaviyo.erase_if_new(customer_id, since)
    except (TryAgain, DeadLetter) as error:
        failed = DeadLetter(BROUGHT_BACK, status=error.status, code=error.code or error.reason)
        raise _not_erased(customer_id, failed) from None


def _not_erased(customer_id: str, error: DeadLetter) -> DeadLetter:
    """The error, with whom it is about: an order's message does not tell."""
    error.part = f"customer {customer_id}"
    return error
