"""Customers become profiles."""

from core.errors import Ignored
from core.notification import Notification
from handlers.current import copy_current
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Customer
from mappers.mapped import mapper
from mappers.profile import profile


@handles("customer", "CustomerCreated", "ResourceUpdated")
def sync_customer(notification: Notification, services: Services) -> None:
    """Put the customer into Klaviyo as a profile."""
    new_profile: str | None = None

    def write(customer: Customer | None) -> None:
        nonlocal new_profile
        if customer is None:
            # The erasure may have been handled already, before the write: then there must be no profile again.
            if new_profile and services.settings.sync.customer.erase:
                services.klaviyo.erase(new_profile)
            raise Ignored("deleted_meanwhile")
        if not _has_email(customer):
            raise Ignored("no_email")
        new_profile = services.klaviyo.upsert_profile(profile(customer, services.settings))

    copy_current(services, lambda: services.commercetools.customer(notification.resource.id), write, group="Profiles")


@handles("customer", "ResourceDeleted")
def erase_customer(notification: Notification, services: Services) -> None:
    """Ask Klaviyo to erase the profile of a customer who was deleted with data erasure."""
    if notification.payload.get("dataErasure") is not True:
        raise Ignored("no_data_erasure")
    if not services.settings.sync.customer.erase:
        raise Ignored("erasure_is_off")
    if not services.klaviyo.erase_profile(notification.resource.id):
        raise Ignored("no_profile")


@mapper
def _has_email(customer: Customer) -> bool:
    return bool((customer.get("email") or "").strip())
