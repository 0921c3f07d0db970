"""Copy customers to their Klaviyo profiles."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from clients.klaviyo import KnownProfile
from clients.retrying import current_budget, time_reserved
from core.errors import Ignored, TryAgain
from core.notification import Notification, Resource
from handlers.current import Sharing, Source, copy_current
from handlers.erasure import (
    RECHECK_SHARE,
    erase_after_redelivery,
    erase_if_brought_back,
    erase_if_deleted,
    recheck_after_failure,
)
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import Mapped, mapper
from mappers.profile import profile

AfterWrite = Callable[[Customer, Mapped, KnownProfile], None]
"""Called after a customer's profile was written, with the customer, the body, and Klaviyo's answer with consent."""


def copy_customer(customer_id: str, notification: Notification, services: Services) -> None:
    """Copy a customer for a message about something else, holding the customer's lock.

    Raises Ignored if the customer was deleted, or has no e-mail.
    """
    with services.one_at_a_time([str(Resource("customer", customer_id))], record_release=False):
        copy_current_customer(lambda: services.commercetools.customer(customer_id, groups=True), notification, services)


def copy_notified_customer(
    read: Callable[[], Customer | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
    then: AfterWrite | None = None,
) -> None:
    """Copy the customer that the message is about.

    Raises Ignored if the customer was deleted, or has no e-mail. The profile of a deleted customer is erased first if
    an earlier attempt at the message may have created it.
    """
    try:
        copy_current_customer(read, notification, services, sharing=sharing, then=then)
    except Ignored as ignored:
        if ignored.reason == "deleted_meanwhile" and not current_budget().has_written:
            erase_after_redelivery(notification, notification.resource.id, services)
        raise


def copy_current_customer(
    read: Callable[[], Customer | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
    then: AfterWrite | None = None,
) -> None:
    """Copy the customer that `read` returns, and call `then` after each write.

    Raises Ignored if the customer was deleted, or has no e-mail. If the customer was deleted while the profile was
    written, and the write created the profile, it is erased.
    """
    read_at = datetime.now(UTC)
    written: Customer | None = None

    def write(customer: Customer | None) -> None:
        nonlocal written
        if customer is None:
            raise Ignored("deleted_meanwhile")
        if not has_email(customer):
            raise Ignored("no_email")
        written = customer
        mapped = profile(customer, services.settings)
        known = services.klaviyo.upsert_profile(mapped, with_consent=then is not None)
        if then:
            then(customer, mapped, known)

    source: Source[Customer | None, None] = Source(read=read)
    try:
        with time_reserved(RECHECK_SHARE):
            copy_current(notification, services, source, write, sharing=sharing, group="Profiles")
    except Ignored as ignored:
        # Deleted: the erasure may have been handled before this write took effect.
        if ignored.reason == "deleted_meanwhile" and written:
            erase_if_brought_back(written, read_at, services)
        raise
    except TryAgain:
        if written:
            recheck_after_failure(partial(erase_if_deleted, written, read_at, services))
        raise


@mapper
def has_email(customer: Customer) -> bool:
    """True if the customer has an e-mail. Klaviyo can't tell apart customers without one."""
    return bool((customer.get("email") or "").strip())
