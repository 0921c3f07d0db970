"""Customers become Klaviyo profiles."""

from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.consent import consent_after_copy
from handlers.current import Sharing, up_to_date
from handlers.customer_profile import copy_notified_customer
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Customer

_MAX_READ_LAG = 600.0
"""Seconds after a deletion for which a customer who can still be read is taken for a lagging read."""


@handles("customer", "CustomerCreated", "ResourceUpdated")
def sync_customer(notification: Notification, services: Services) -> None:
    """Upsert the customer's profile, and update consent from the customer's answer."""
    customer_id = notification.resource.id

    def read() -> Customer | None:
        customer = services.commercetools.customer(customer_id, groups=True)
        return up_to_date(notification, customer, creates=notification.type == "CustomerCreated")

    copy_notified_customer(
        read, notification, services, sharing=Sharing(reuses_confirmed=True), then=consent_after_copy(services)
    )


@handles("customer", "ResourceDeleted", when=setting("customer.erase"))
def erase_customer(notification: Notification, services: Services) -> None:
    """Ask Klaviyo to erase the profile of a customer who was deleted with data erasure."""
    if notification.payload.get("dataErasure") is not True:
        raise Ignored("no_data_erasure")
    services.prepare("Profiles")
    if services.commercetools.customer(notification.resource.id):
        # Reads may lag behind the deletion. If they never confirm it, a person has to decide.
        raise TryAgain("still_there") if notification.age < _MAX_READ_LAG else DeadLetter("still_there")
    services.klaviyo.erase_customer(notification.resource.id)
