"""Messages that say when a customer decided: the field of the answer has moved, or a group was joined or left."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from clients.klaviyo import KnownProfile
from clients.retrying import current_budget
from core.conditions import Condition
from core.errors import Ignored
from core.notification import Notification
from core.rules_consent import CHANNELS, Channel
from handlers.consent import follow, person
from handlers.current import as_told
from handlers.customer_profile import copy_own
from handlers.registry import handles
from handlers.services import Services
from mappers.consent_answer import Told, group_of, holds, told_by_field, told_by_group
from mappers.documents import Customer
from mappers.mapped import Mapped

Teller = Callable[[str], Told | None]


@handles(
    "customer",
    "CustomerCustomFieldAdded",
    "CustomerCustomFieldChanged",
    "CustomerCustomTypeSet",
    when=Condition("[consent] custom field", lambda rules: rules.consent.reads_fields),
)
def follow_field(notification: Notification, services: Services) -> None:
    """Have consent follow the customer's field, as of the time at which it moved."""
    rules, at = services.settings.sync.consent, _decided_at(notification)
    _follow(notification, services, lambda place: told_by_field(notification.payload, place, at, rules))


@handles(
    "customer",
    "CustomerGroupSet",
    "CustomerGroupAssignmentAdded",
    "CustomerGroupAssignmentRemoved",
    "CustomerGroupAssignmentsSet",
    when=Condition("[consent] customer group", lambda rules: rules.consent.reads_groups),
    scope="view_customer_groups",
)
def follow_group(notification: Notification, services: Services) -> None:
    """Have consent follow the customer's group: joining it is a yes, leaving it a no."""
    at = _decided_at(notification)

    def told(place: str) -> Told | None:
        key = group_of(place)
        group = services.commercetools.customer_group_id(key) if key else None
        return told_by_group(notification.type, notification.payload, group, at) if group else None

    _follow(notification, services, told)


def _follow(notification: Notification, services: Services, teller: Teller) -> None:
    """Copy the customer, and have consent follow what the message told.

    Raises Ignored for a message about other fields or groups, one that does not tell (`payloadNotIncluded`: the change
    that comes with it copies what stands there), and one that says what is not so any more.
    """
    if "payloadNotIncluded" in notification.payload:
        raise Ignored("payload_not_included")
    places = services.settings.sync.consent.places
    told = {channel: said for channel in CHANNELS if channel in places and (said := teller(places[channel]))}
    if not told:
        raise Ignored("other_field")

    def read() -> Customer | None:
        customer = as_told(notification, services.commercetools.customer(notification.resource.id, groups=True))
        if customer and not _that_hold(told, customer, places) and not current_budget().has_written:
            raise Ignored("superseded")
        return customer

    def then(customer: Customer, mapped: Mapped, known: KnownProfile) -> None:
        follow(customer, person(mapped, known), services, _that_hold(told, customer, places))

    copy_own(read, notification, services, then=then)


def _that_hold(told: Mapping[Channel, Told], customer: Customer, places: Mapping[Channel, str]) -> dict[Channel, Told]:
    return {channel: said for channel, said in told.items() if holds(said, customer, places[channel])}


def _decided_at(notification: Notification) -> datetime | None:
    """When the message was made; commercetools' clock may be ahead of this one."""
    made_at = notification.made_at
    return min(made_at, datetime.now(UTC)) if made_at else None
