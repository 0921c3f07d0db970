"""Copying a customer to its profile."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from clients.klaviyo import KnownProfile
from clients.retrying import current_budget, time_kept_back
from core.errors import Ignored, TryAgain
from core.notification import Notification, Resource
from handlers.current import Sharing, Source, copy_current
from handlers.erasure import (
    TIME_TO_LOOK,
    erase_if_brought_back,
    erase_if_brought_back_before,
    erase_if_gone,
    look_although_failed,
)
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import Mapped, mapper
from mappers.profile import profile

Following = Callable[[Customer, Mapped, KnownProfile], None]
"""What follows the write of a customer's profile: given what was written, and Klaviyo's answer with consent in it."""


def copy_customer(customer_id: str, notification: Notification, services: Services) -> None:
    """Copy a customer for a message about something else, under the customer's own lock.

    Raises Ignored for one who is gone, or has no e-mail.
    """
    with services.one_at_a_time([str(Resource("customer", customer_id))], remembered=False):
        copy_with(lambda: services.commercetools.customer(customer_id, groups=True), notification, services)


def copy_own(
    read: Callable[[], Customer | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
    then: Following | None = None,
) -> None:
    """Copy the customer that a message is about. One who is gone is erased, if an earlier attempt made the profile.

    Raises Ignored for one who is gone, or has no e-mail.
    """
    try:
        copy_with(read, notification, services, sharing=sharing, then=then)
    except Ignored as ignored:
        if ignored.reason == "deleted_meanwhile" and not current_budget().has_written:
            erase_if_brought_back_before(notification, notification.resource.id, services)
        raise


def copy_with(
    read: Callable[[], Customer | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
    then: Following | None = None,
) -> None:
    """Copy the customer that `read` gives. One who is gone after the write is erased, if the write made the profile.

    `then` follows each write. Raises Ignored for one who is gone, or has no
    e-mail.
    """
    read_at = datetime.now(UTC)
    wrote: Customer | None = None

    def write(customer: Customer | None) -> None:
        nonlocal wrote
        if customer is None:
            raise Ignored("deleted_meanwhile")
        if not has_email(customer):
            raise Ignored("no_email")
        wrote = customer
        mapped = profile(customer, services.settings)
        known = services.klaviyo.upsert_profile(mapped, with_consent=then is not None)
        if then:
            then(customer, mapped, known)

    source: Source[Customer | None, None] = Source(read=read)
    try:
        with time_kept_back(TIME_TO_LOOK):
            copy_current(notification, services, source, write, sharing=sharing, group="Profiles")
    except Ignored as ignored:
        # Gone: the erasure may have been handled before what was written here took effect.
        if ignored.reason == "deleted_meanwhile" and wrote:
            erase_if_brought_back(wrote, read_at, services)
        raise
    except TryAgain:
        if wrote:
            look_although_failed(partial(erase_if_gone, wrote, read_at, services))
        raise


@mapper
def has_email(customer: Customer) -> bool:
    """Whether a customer has an e-mail: one without can't be told from others by Klaviyo."""
    return bool((customer.get("email") or "").strip())
