"""Erase a profile again if our own write has brought it back after its customer was deleted.

The race: a message reads a customer; then the customer is deleted and the profile erased; then the message's write
creates the profile again. No other message would erase it.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from clients.retrying import current_budget, last_calls
from core.errors import DeadLetter, Ignored, TryAgain, Unmappable
from core.notification import Notification
from core.times import required_time
from handlers.current import YOUNG_SECONDS
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import mapper
from mappers.order_documents import Order

BROUGHT_BACK = "brought_back"
"""Reason of the dead letter about a profile that could not be erased again."""
RECHECK_SHARE = 0.12
"""Share of a message's time (3 of 25 seconds) reserved for the check after its writes, and for an erasure."""


def erase_if_brought_back(customer: Customer, since: datetime, services: Services) -> None:
    """Erase the profile of a deleted customer if it was created after `since`: then this message's writes created it.

    Raises DeadLetter if the customer is under a minute old, or of unknown age: reads may just not show the customer
    yet, so a person has to decide.
    """
    if services.settings.sync.customer.erase and (code := _why_uncertain(customer)):
        raise _not_erased(customer["id"], DeadLetter(BROUGHT_BACK, code=code))
    _erase_if_new(customer["id"], since, services)


def erase_after_redelivery(notification: Notification, customer_id: str, services: Services) -> None:
    """Erase the profile of a deleted customer if an earlier attempt at this message may have created it."""
    if notification.is_redelivered and notification.occurred_at:
        _erase_if_new(customer_id, notification.occurred_at, services)


def erase_if_job_brought_back(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile of a deleted customer if it was created after `since`, by a job that was killed.

    Raises Ignored (`still_there`) if the customer exists.
    """
    if services.commercetools.customer(customer_id):
        raise Ignored("still_there")
    _erase_if_new(customer_id, since, services)


def erase_if_deleted(customer: Customer, since: datetime, services: Services) -> None:
    """Read the customer, and erase the profile as `erase_if_brought_back` does if the customer was deleted."""
    if services.commercetools.customer(customer["id"]) is None:
        erase_if_brought_back(customer, since, services)


def recheck_after_failure(recheck: Callable[[], None]) -> None:
    """Run the check after a failed message too, if the message has begun to write.

    It can't be left to the redelivery: if Pub/Sub does not count deliveries, that finds the customer deleted and stops.
    A refusal is left to it, as the message still has something to send. Raises DeadLetter only for a profile that was
    brought back.
    """
    if not current_budget().has_written:
        return
    with last_calls(), suppress(TryAgain):
        try:
            recheck()
        except DeadLetter as refused:
            if refused.reason == BROUGHT_BACK:
                raise


@mapper
def is_young(document: Order | Customer) -> bool:
    """True if the order or customer was created so recently that reads may not show the customer yet.

    Raises Unmappable if `createdAt` can't be read: an unknown age would be a reason to wait for ever, or to give up.
    """
    return (datetime.now(UTC) - required_time(document["createdAt"])).total_seconds() < YOUNG_SECONDS


def _why_uncertain(customer: Customer) -> str:
    """Why a read that finds no customer does not show that the customer was deleted; empty if it does."""
    try:
        return "young_customer" if is_young(customer) else ""
    except Unmappable:
        return "customer_of_unknown_age"


def _erase_if_new(customer_id: str, since: datetime, services: Services) -> None:
    """Erase the profile if it was created after `since`. A failure is a dead letter, as no retry would erase it."""
    if not services.settings.sync.customer.erase:
        return
    try:
        services.klaviyo.erase_if_new(customer_id, since)
    except (TryAgain, DeadLetter) as error:
        failed = DeadLetter(BROUGHT_BACK, status=error.status, code=error.code or error.reason)
        raise _not_erased(customer_id, failed) from None


def _not_erased(customer_id: str, error: DeadLetter) -> DeadLetter:
    """The error, with the customer's id as its part: an order's message does not name the customer."""
    error.part = f"customer {customer_id}"
    return error
