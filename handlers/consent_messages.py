"""Messages that tell when a customer gave or withdrew consent, by a change of a custom field or customer group."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from clients.klaviyo import KnownProfile
from clients.retrying import current_budget
from core.conditions import Condition
from core.errors import Ignored
from core.notification import Notification
from core.rules_consent import CHANNELS, Channel
from handlers.consent import person_of, update_consent
from handlers.current import up_to_date
from handlers.customer_profile import copy_notified_customer
from handlers.registry import handles
from handlers.services import Services
from mappers.consent_answer import (
    MessageAnswer,
    answer_from_field_message,
    answer_from_group_message,
    group_of,
    still_holds,
)
from mappers.documents import Customer
from mappers.mapped import Mapped

ReadAnswer = Callable[[str], MessageAnswer | None]
"""Reads the answer for one place of `[consent]` from a message; None if the message is about something else."""


@handles(
    "customer",
    "CustomerCustomFieldAdded",
    "CustomerCustomFieldChanged",
    "CustomerCustomTypeSet",
    when=Condition("[consent] custom field", lambda rules: rules.consent.reads_fields),
)
def update_consent_from_field(notification: Notification, services: Services) -> None:
    """Update consent from the customer's custom field, as of the time at which the field changed."""
    rules, at = services.settings.sync.consent, _decided_at(notification)
    _copy_with_answers(
        notification, services, lambda place: answer_from_field_message(notification.payload, place, at, rules)
    )


@handles(
    "customer",
    "CustomerGroupSet",
    "CustomerGroupAssignmentAdded",
    "CustomerGroupAssignmentRemoved",
    "CustomerGroupAssignmentsSet",
    when=Condition("[consent] customer group", lambda rules: rules.consent.reads_groups),
    scope="view_customer_groups",
)
def update_consent_from_group(notification: Notification, services: Services) -> None:
    """Update consent from the customer's group: joining it is a yes, leaving it a no."""
    at = _decided_at(notification)

    def answer(place: str) -> MessageAnswer | None:
        key = group_of(place)
        group = services.commercetools.customer_group_id(key) if key else None
        return answer_from_group_message(notification.type, notification.payload, group, at) if group else None

    _copy_with_answers(notification, services, answer)


def _copy_with_answers(notification: Notification, services: Services, read_answer: ReadAnswer) -> None:
    """Copy the customer, and update consent from the answers in the message.

    Raises Ignored for a message
    - without its payload (`payload_not_included`): the `ResourceUpdated` that comes with it copies the current answer;
    - about other fields or groups (`other_field`);
    - whose answers no longer hold (`superseded`).
    """
    if "payloadNotIncluded" in notification.payload:
        raise Ignored("payload_not_included")
    places = services.settings.sync.consent.places
    answers = {
        channel: answer for channel in CHANNELS if channel in places and (answer := read_answer(places[channel]))
    }
    if not answers:
        raise Ignored("other_field")

    def read() -> Customer | None:
        customer = up_to_date(notification, services.commercetools.customer(notification.resource.id, groups=True))
        if customer and not _still_valid(answers, customer, places) and not current_budget().has_written:
            raise Ignored("superseded")
        return customer

    def then(customer: Customer, mapped: Mapped, known: KnownProfile) -> None:
        update_consent(customer, person_of(mapped, known), services, _still_valid(answers, customer, places))

    copy_notified_customer(read, notification, services, then=then)


def _still_valid(
    answers: Mapping[Channel, MessageAnswer], customer: Customer, places: Mapping[Channel, str]
) -> dict[Channel, MessageAnswer]:
    return {channel: answer for channel, answer in answers.items() if still_holds(answer, customer, places[channel])}


def _decided_at(notification: Notification) -> datetime | None:
    """When the message was created, but not in the future: commercetools' clock may be ahead of this machine's."""
    occurred_at = notification.occurred_at
    return min(occurred_at, datetime.now(UTC)) if occurred_at else None
