"""The box at checkout: a yes of whoever placed an order, at the time of the order. Never a no."""

from datetime import UTC, datetime

from clients.retrying import current_budget
from core.notification import Resource
from handlers.consent import person, settle
from handlers.erasure import erase_if_gone
from handlers.services import Services
from mappers.consent import Wanted, moment
from mappers.consent_answer import answered_since, is_ticked
from mappers.mapped import Mapped, mapper
from mappers.order_documents import Order
from mappers.profile import email_in_event, email_of, profile_body


def follow_checkout(order: Order, services: Services) -> None:
    """Subscribe whoever ticked the box of an order, if nothing newer speaks against it."""
    if not is_ticked(order, services.settings.sync.consent) or (at := _ordered_at(order)) is None:
        return
    yes = Wanted(answer=True, at=min(at, datetime.now(UTC)), order=True)
    customer_id = order.get("customerId")
    if customer_id:
        with services.one_at_a_time([str(Resource("customer", customer_id))], remembered=False):
            _follow_customer(customer_id, at, yes, services)
    else:
        _follow_guest(order, at, yes, services)


def _follow_customer(customer_id: str, at: datetime, yes: Wanted, services: Services) -> None:
    """The customer's own word in the shop counts where it may be the later one; one who is gone is left alone."""
    read_at = datetime.now(UTC)
    customer = services.commercetools.customer(customer_id, groups=True)
    mapped = email_of(customer) if customer else None
    if not customer or not mapped or "email" not in mapped.body["data"]["attributes"]:
        return
    if answered_since(customer, at, services.settings.sync.consent):
        current_budget().consent.append("email nothing: customer_changed_since_the_order")
        return
    known = services.klaviyo.upsert_profile(mapped, with_consent=True)
    settle(person(mapped, known), {"email": yes}, services)
    if services.settings.sync.customer.erase:
        erase_if_gone(customer, read_at, services)


def _follow_guest(order: Order, at: datetime, yes: Wanted, services: Services) -> None:
    """A guest's yes, or a customer's who ordered as one: then that customer's own word in the shop counts as well.

    Whom a list does not show may have complained or said no all the same. So the profile is told by an upsert of the
    e-mail alone.
    """
    email = email_in_event(order).get("email")
    if not email:
        return
    customer = services.commercetools.customer_with(email)
    if customer and answered_since(customer, at, services.settings.sync.consent):
        current_budget().consent.append("email nothing: customer_changed_since_the_order")
        return
    mapped = Mapped(profile_body({"email": email}))
    known = services.klaviyo.upsert_profile(mapped, with_consent=True)
    settle(person(mapped, known), {"email": yes}, services)


@mapper
def _ordered_at(order: Order) -> datetime | None:
    return moment(order["createdAt"])
