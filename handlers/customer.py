"""Customers become profiles."""

from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.consent import after_a_copy
from handlers.current import Sharing, as_told
from handlers.customer_profile import copy_own
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Customer

_SHOWN_AT_MOST = 600.0
"""Seconds for which reads may show a customer after the deletion."""


@handles("customer", "CustomerCreated", "ResourceUpdated")
def sync_customer(notification: Notification, services: Services) -> None:
    """Put the customer into Klaviyo as a profile, and have consent follow the customer's answer."""
    customer_id = notification.resource.id

    def read() -> Customer | None:
        customer = services.commercetools.customer(customer_id, groups=True)
        return as_told(notification, customer, creates=notification.type == "CustomerCreated")

    copy_own(read, notification, services, sharing=Sharing(alone=True), then=after_a_copy(services))


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
