"""Customers become profiles."""

from datetime import UTC, datetime
from functools import partial

from clients.retrying import time_kept_back
from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.current import Sharing, Source, as_told, copy_current
from handlers.people import (
    TIME_TO_LOOK,
    erase_if_brought_back,
    erase_if_brought_back_before,
    erase_if_gone,
    look_although_failed,
)
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import mapper
from mappers.profile import profile

_SHOWN_AT_MOST = 600.0
"""Seconds for which reads may show a customer after the deletion."""


@handles("customer", "CustomerCreated", "ResourceUpdated")
def sync_customer(notification: Notification, services: Services) -> None:
    """Put the customer into Klaviyo as a profile."""
    customer_id = notification.resource.id
    read_at = datetime.now(UTC)
    wrote: Customer | None = None

    def read() -> Customer | None:
        customer = services.commercetools.customer(customer_id, groups=True)
        return as_told(notification, customer, creates=notification.type == "CustomerCreated")

    def write(customer: Customer | None) -> None:
        nonlocal wrote
        if customer is None:
            raise Ignored("deleted_meanwhile")
        if not _has_email(customer):
            raise Ignored("no_email")
        wrote = customer
        services.klaviyo.upsert_profile(profile(customer, services.settings))

    source: Source[Customer | None, None] = Source(read=read)
    try:
        with time_kept_back(TIME_TO_LOOK):
            copy_current(notification, services, source, write, sharing=Sharing(alone=True), group="Profiles")
    except Ignored as ignored:
        # Gone: the erasure may have been handled before what was written here took effect.
        if ignored.reason == "deleted_meanwhile" and wrote:
            erase_if_brought_back(wrote, read_at, services)
        elif ignored.reason == "deleted_meanwhile":
            erase_if_brought_back_before(notification, customer_id, services)
        raise
    except TryAgain:
        if wrote:
            look_although_failed(partial(erase_if_gone, wrote, read_at, services))
        raise


@handles("customer", "ResourceDeleted", when=setting("customer.erase"))
def erase_customer(notification: Notification, services: Services) -> None:
    """Ask Klaviyo to erase the profile of a customer who was deleted with data erasure, and is gone."""
    if notification.payload.get("dataErasure") is not True:
        raise Ignored("no_data_erasure")
    services.prepare("Profiles")
    if services.commercetools.customer(notification.resource.id):
        # Reads may lag behind the deletion. A message that no read ever bears out is for people to look at.
        raise TryAgain("still_there") if notification.age < _SHOWN_AT_MOST else DeadLetter("still_there")
    services.klaviyo.erase_customer(notification.resource.id)


@mapper
def _has_email(customer: Customer) -> bool:
    return bool((customer.get("email") or "").strip())
