"""Consent given by the checkbox at checkout: a yes as of the time of the order, never a no."""

from datetime import UTC, datetime

from clients.retrying import current_budget
from core.notification import Resource
from core.times import parsed_time
from handlers.consent import apply_consent, person_of
from handlers.erasure import erase_if_deleted
from handlers.services import Services
from mappers.consent import ShopAnswer
from mappers.consent_answer import is_ticked, may_have_declined_since
from mappers.mapped import Mapped, mapper
from mappers.order_documents import Order
from mappers.profile import email_in_event, email_update, profile_body


def apply_checkout_consent(order: Order, services: Services) -> None:
    """Subscribe the person who ticked the order's checkbox, unless a newer answer says no."""
    if not is_ticked(order, services.settings.sync.consent) or (at := _ordered_at(order)) is None:
        return
    yes = ShopAnswer(answer=True, at=min(at, datetime.now(UTC)), is_from_order=True)
    customer_id = order.get("customerId")
    if customer_id:
        with services.one_at_a_time([str(Resource("customer", customer_id))], record_release=False):
            _subscribe_customer(customer_id, at, yes, services)
    else:
        _subscribe_guest(order, at, yes, services)


def _subscribe_customer(customer_id: str, at: datetime, yes: ShopAnswer, services: Services) -> None:
    """Subscribe a customer, unless the customer was deleted or may have said no in the shop since the order."""
    read_at = datetime.now(UTC)
    customer = services.commercetools.customer(customer_id, groups=True)
    mapped = email_update(customer) if customer else None
    if not customer or not mapped or "email" not in mapped.body["data"]["attributes"]:
        return
    if may_have_declined_since(customer, at, services.settings.sync.consent):
        current_budget().consent.append("email nothing: customer_changed_since_the_order")
        return
    known = services.klaviyo.upsert_profile(mapped, with_consent=True)
    apply_consent(person_of(mapped, known), {"email": yes}, services)
    if services.settings.sync.customer.erase:
        erase_if_deleted(customer, read_at, services)


def _subscribe_guest(order: Order, at: datetime, yes: ShopAnswer, services: Services) -> None:
    """Subscribe a guest, or a customer who ordered as a guest and may not have said no in the shop since.

    The profile is found by an upsert of the e-mail alone. Klaviyo's lists may lag, and a person whom they do not
    show yet may have complained or unsubscribed.
    """
    email = email_in_event(order).get("email")
    if not email:
        return
    customer = services.commercetools.customer_by_email(email)
    if customer and may_have_declined_since(customer, at, services.settings.sync.consent):
        current_budget().consent.append("email nothing: customer_changed_since_the_order")
        return
    mapped = Mapped(profile_body({"email": email}))
    known = services.klaviyo.upsert_profile(mapped, with_consent=True)
    apply_consent(person_of(mapped, known), {"email": yes}, services)


@mapper
def _ordered_at(order: Order) -> datetime | None:
    """When the order was placed; None if that can't be read: the yes may be older than a no, so it does not count."""
    return parsed_time(order["createdAt"])
