"""What the shop says of consent: the answer in a customer's field or group, in a message, or in an order's box.

And where Klaviyo has it otherwise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from core.rules_consent import CUSTOM, GROUP, Channel, ConsentRules, typed_answers
from core.settings import Settings
from mappers.consent import SUBSCRIBED, Action, Wanted, Why, decided, found, moment
from mappers.documents import Customer
from mappers.mapped import JsonObject, mapper
from mappers.order_documents import Order

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$")
_CLOCKS_DIFFER = timedelta(seconds=5)
"""By which the shop's clock may be ahead of this machine's."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a message says of a channel. `at` is when the customer decided; None where the message can't tell.

    `value` is what stood in the field then: the message counts only while it still does. `is_doubted` as in `Wanted`.
    """

    answer: bool | None
    at: datetime | None
    value: Any = None
    is_doubted: bool = False


def answer_of(value: object, rules: ConsentRules) -> bool | None:
    """Yes, no, or None for any value that is neither."""
    if is_unreadable(value):
        return None
    told = (type(value), value)
    if told in typed_answers(rules.subscribed):
        return True
    return False if told in typed_answers(rules.unsubscribed) else None


def is_unreadable(value: object) -> bool:
    """Whether a value is of a kind that can be no answer."""
    return isinstance(value, (list, dict))


@mapper
def value_at(fields: Mapping[str, Any] | None, place: str) -> Any:
    """The value of a custom field by its path in sync.toml; None where there is none."""
    value: Any = fields
    for name in place.removeprefix(CUSTOM).split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def field_of(place: str) -> str:
    """Name of the custom field that a path begins with; empty for a group."""
    return place.removeprefix(CUSTOM).partition(".")[0] if place.startswith(CUSTOM) else ""


def group_of(place: str) -> str:
    """Key of the customer group that is the answer; empty for a field."""
    return place.removeprefix(GROUP) if place.startswith(GROUP) else ""


@mapper
def is_member(customer: Customer, key: str) -> bool | None:
    """Whether a customer is in the group with this key; None where a group's key was not read."""
    assigned = customer.get("customerGroupAssignments") or []
    groups = [customer.get("customerGroup"), *(one.get("customerGroup") for one in assigned)]
    keys = [((group.get("obj") or {}).get("key"), "obj" in group) for group in groups if group]
    if any(known == key for known, _ in keys):
        return True
    return False if all(is_read for _, is_read in keys) else None


@mapper
def current_value(customer: Customer, place: str) -> Any:
    """What stands at the place of an answer now: the field's value, or whether the customer is in the group."""
    if group := group_of(place):
        return is_member(customer, group)
    return value_at((customer.get("custom") or {}).get("fields"), place)


@mapper
def wanted(customer: Customer, place: str, rules: ConsentRules, told: Told | None = None) -> Wanted:
    """What the shop says of a channel now. `told` is what a message said, if it still holds.

    The time of a yes is the shop's own, where it keeps one: a script that writes all fields anew makes messages too.
    A no is as late as the latest that is known.
    """
    value = current_value(customer, place)
    # Who is not in a group has said nothing, but by a message about leaving it.
    answer = (told.answer if told else value or None) if group_of(place) else answer_of(value, rules)
    kept, said = _consented_at(customer, rules), told.at if told else None
    if answer is False:
        at = max(filter(None, (kept, said)), default=None)
        return Wanted(False, at, is_doubted=bool(told and told.is_doubted))
    return Wanted(answer, kept or said)


def holds(told: Told, customer: Customer, place: str) -> bool:
    """Whether what a message told is still so."""
    now = current_value(customer, place)
    if group_of(place):
        return now is told.answer
    return type(now) is type(told.value) and bool(now == told.value)


@mapper
def told_by_field(payload: Mapping[str, Any], place: str, at: datetime | None, rules: ConsentRules) -> Told | None:
    """What CustomerCustomFieldAdded, …Changed or CustomerCustomTypeSet says of a place; None: it is about others.

    It tells a time only where the answer itself moved. A field that is set to no for the first time is a default, and
    no withdrawal; and with another type all fields are written anew.
    """
    if "customFields" in payload:
        fields = (payload["customFields"] or {}).get("fields") or {}
        before: Mapping[str, Any] = {}
        if field_of(place) not in fields:
            return None
        if payload.get("previousTypeId"):
            at = None
    else:
        if not field_of(place) or payload.get("name") != field_of(place):
            return None
        fields = {field_of(place): payload.get("value")}
        before = {field_of(place): payload.get("previousValue")}
    value, previous = value_at(fields, place), value_at(before, place)
    answer = answer_of(value, rules)
    is_moved = answer is not answer_of(previous, rules)
    is_default = answer is False and previous is None
    return Told(answer, at if is_moved and not is_default else None, value)


@mapper
def told_by_group(message_type: str, payload: Mapping[str, Any], group_id: str, at: datetime | None) -> Told | None:
    """What a message about a customer's groups says of one of them; None: it is about others.

    Which group a customer was in before, CustomerGroupSet and CustomerGroupAssignmentsSet do not say, so nobody knows
    whether this one was left then, or joined.
    """
    match message_type:
        case "CustomerGroupSet":
            is_in = _id_of(payload.get("customerGroup")) == group_id
            return Told(is_in, at if is_in else None, is_doubted=not is_in)
        case "CustomerGroupAssignmentsSet":
            assigned: Sequence[Any] = payload.get("customerGroupAssignments") or []
            is_in = any(_id_of(one) == group_id for one in assigned)
            return Told(is_in, None, is_doubted=not is_in)
    if _id_of(payload.get("customerGroupAssignment")) != group_id:
        return None
    return Told(message_type == "CustomerGroupAssignmentAdded", at)


def _id_of(assigned: Any) -> str:
    """Id of the group of an assignment, or of a reference."""
    return str(((assigned or {}).get("customerGroup") or assigned or {}).get("id") or "")


@mapper
def is_ticked(order: Order, rules: ConsentRules) -> bool:
    """Whether the box at checkout says yes."""
    fields = (order.get("custom") or {}).get("fields")
    return bool(rules.orders) and answer_of(value_at(fields, rules.orders), rules) is True


@mapper
def answered_since(customer: Customer, moment_of_order: datetime, rules: ConsentRules) -> bool:
    """Whether a customer may have said no after an order: the field says no, and the customer has changed since.

    By the shop's own time, where it keeps one.
    """
    place = rules.email
    if not place:
        return False
    value = current_value(customer, place)
    says_no = value is not True if group_of(place) else answer_of(value, rules) is False
    changed = _consented_at(customer, rules) or moment(customer.get("lastModifiedAt"))
    return says_no and (changed is None or changed > moment_of_order)


def _consented_at(customer: Customer, rules: ConsentRules) -> datetime | None:
    """The shop's own time of an answer; None for one without a zone, which may be hours off, and for one to come."""
    fields = (customer.get("custom") or {}).get("fields")
    text = value_at(fields, rules.consented_at) if rules.consented_at else None
    if not isinstance(text, str) or not _TIME.match(text) or (at := moment(text)) is None:
        return None
    now = datetime.now(UTC)
    return min(at, now) if at <= now + _CLOCKS_DIFFER else None


@dataclass(frozen=True, slots=True)
class ConsentDifference:
    """A channel in which the shop and Klaviyo say something else, for a report: a comparison changes nobody's.

    Holds nothing personal. `action` is what a plain change of the customer would bring about, `why` the reason, also
    where it is nothing.
    """

    channel: Channel
    wanted: Literal["yes", "no"]
    found: str
    action: Action
    why: Why


def consent_difference(
    customer: Customer, profile_attributes: JsonObject, settings: Settings, now: datetime | None = None
) -> tuple[ConsentDifference, ...]:
    """The channels in which a customer's answer and the profile's consent differ; none where the shop says nothing.

    The customer's groups are expanded, and the attributes hold `subscriptions`: where Klaviyo does not say what it has,
    there is nothing to compare.
    """
    rules = settings.sync.consent
    differences = []
    for channel, place in rules.places.items():
        want, have = wanted(customer, place, rules), found(profile_attributes, channel)
        if want.answer is None or not have.consent or want.answer is (have.consent == SUBSCRIBED):
            continue
        decision = decided(want, have, rules, now or datetime.now(UTC))
        said: Literal["yes", "no"] = "yes" if want.answer else "no"
        differences.append(ConsentDifference(channel, said, have.consent, decision.action, decision.why))
    return tuple(differences)
