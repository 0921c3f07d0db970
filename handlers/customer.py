"""Customers become profiles."""

from clients.retrying import current_budget
from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.current import Sharing, as_told
from handlers.customer_profile import copy_with
from handlers.erasure import erase_if_brought_back_before
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Customer

_SHOWN_AT_MOST = 600.0
"""Seconds for which reads may show a customer after the deletion."""


@handles("customer", "CustomerCreated", "ResourceUpdated")
def sync_customer(notification: Notification, services: Services) -> None:
    """Put the customer into Klaviyo as a profile."""
    customer_id = notification.resource.id

    def read() -> Customer | None:
        customer = services.commercetools.customer(customer_id, groups=True)
        return as_told(notification, customer, creates=notification.type == "CustomerCreated")

    try:
        copy_with(read, notification, services, sharing=Sharing(alone=True))
    except Ignored as ignored:
        if ignored.reason == "deleted_meanwhile" and not current_budget().has_written:
            erase_if_brought_back_before(notification, customer_id, services)
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
