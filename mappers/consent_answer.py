"""The shop's answer about consent: from a customer's field or group, from a message, or from the box at checkout.

Also compares that answer with Klaviyo, for reports.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from core.rules_consent import CUSTOM, GROUP, Channel, ConsentRules, typed_answers
from core.settings import Settings
from core.times import parsed_time
from mappers.consent import SUBSCRIBED, Action, Reason, ShopAnswer, decide, klaviyo_consent
from mappers.documents import Customer
from mappers.mapped import JsonObject, mapper
from mappers.order_documents import Order

_TIME_WITH_ZONE = re.compile(r"\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$")
_CLOCK_SKEW = timedelta(seconds=5)
"""How far the shop's clock may be ahead of this machine's."""


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """What a message says about a channel.

    `at` is when the customer decided, None if the message does not say. `value` is the field's value in the message:
    the message only counts while the field still has it. `is_uncertain` as in `ShopAnswer`.
    """

    answer: bool | None
    at: datetime | None
    value: Any = None
    is_uncertain: bool = False


def answer_of(value: object, rules: ConsentRules) -> bool | None:
    """True for a value that means yes, False for one that means no, None for any other."""
    if is_unreadable(value):
        return None
    typed = (type(value), value)
    if typed in typed_answers(rules.subscribed):
        return True
    return False if typed in typed_answers(rules.unsubscribed) else None


def is_unreadable(value: object) -> bool:
    """True for a value that can't be an answer: a list or an object."""
    return isinstance(value, (list, dict))


@mapper
def value_at(fields: Mapping[str, Any] | None, place: str) -> Any:
    """Value of a custom field by its path in sync.toml (`custom.consent.email`); None if it is not set."""
    value: Any = fields
    for name in place.removeprefix(CUSTOM).split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def field_of(place: str) -> str:
    """Name of the custom field at the start of a path; empty for a group."""
    return place.removeprefix(CUSTOM).partition(".")[0] if place.startswith(CUSTOM) else ""


def group_of(place: str) -> str:
    """Key of the customer group that serves as the answer; empty for a field."""
    return place.removeprefix(GROUP) if place.startswith(GROUP) else ""


@mapper
def is_member(customer: Customer, key: str) -> bool | None:
    """True if the customer is in the group with this key. None if unknown: one of their groups was not expanded."""
    assignments = customer.get("customerGroupAssignments") or []
    groups = [customer.get("customerGroup"), *(assignment.get("customerGroup") for assignment in assignments)]
    keys = [((group.get("obj") or {}).get("key"), "obj" in group) for group in groups if group]
    if any(group_key == key for group_key, _ in keys):
        return True
    return False if all(is_expanded for _, is_expanded in keys) else None


@mapper
def current_value(customer: Customer, place: str) -> Any:
    """The customer's current value at a place: the value of the field, or membership in the group."""
    if group := group_of(place):
        return is_member(customer, group)
    return value_at((customer.get("custom") or {}).get("fields"), place)


@mapper
def shop_answer(
    customer: Customer, place: str, rules: ConsentRules, message: MessageAnswer | None = None
) -> ShopAnswer:
    """What the shop says about a channel now. `message` is the answer of a message, if it still holds.

    The time of a yes is `consented_at` if the shop keeps one, else the message's. The message's time is less reliable,
    because a script that rewrites all fields causes messages too. The time of a no is the later of the two.
    """
    value = current_value(customer, place)
    # Not being in a group is no answer, unless a message reported it.
    answer = (message.answer if message else value or None) if group_of(place) else answer_of(value, rules)
    consented_at, message_at = _consented_at(customer, rules), message.at if message else None
    if answer is False:
        at = max(filter(None, (consented_at, message_at)), default=None)
        return ShopAnswer(False, at, is_uncertain=bool(message and message.is_uncertain))
    return ShopAnswer(answer, consented_at or message_at)


def still_holds(message: MessageAnswer, customer: Customer, place: str) -> bool:
    """True if the customer still has the value, or the group membership, that the message reported."""
    now = current_value(customer, place)
    if group_of(place):
        return now is message.answer
    return type(now) is type(message.value) and bool(now == message.value)


@mapper
def answer_from_field_message(
    payload: Mapping[str, Any], place: str, at: datetime | None, rules: ConsentRules
) -> MessageAnswer | None:
    """Answer of CustomerCustomFieldAdded, …Changed or CustomerCustomTypeSet; None if it is about other fields.

    It has a time only if the answer itself changed. Two cases never have one: a field whose first value is no, which is
    a default and not a withdrawal, and a custom type that replaces another one, which rewrites all fields.
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
    is_changed = answer is not answer_of(previous, rules)
    is_default = answer is False and previous is None
    return MessageAnswer(answer, at if is_changed and not is_default else None, value)


@mapper
def answer_from_group_message(
    message_type: str, payload: Mapping[str, Any], group_id: str, at: datetime | None
) -> MessageAnswer | None:
    """Answer of a message about a customer's groups; None if it is about another group.

    CustomerGroupSet and CustomerGroupAssignmentsSet don't name the customer's previous groups. So their no is
    uncertain: the customer may never have been in the group. And a yes of CustomerGroupAssignmentsSet has no time: the
    customer may have been in the group before.
    """
    match message_type:
        case "CustomerGroupSet":
            is_in = _group_id(payload.get("customerGroup")) == group_id
            return MessageAnswer(is_in, at if is_in else None, is_uncertain=not is_in)
        case "CustomerGroupAssignmentsSet":
            assignments: Sequence[Any] = payload.get("customerGroupAssignments") or []
            is_in = any(_group_id(assignment) == group_id for assignment in assignments)
            return MessageAnswer(is_in, None, is_uncertain=not is_in)
    if _group_id(payload.get("customerGroupAssignment")) != group_id:
        return None
    return MessageAnswer(message_type == "CustomerGroupAssignmentAdded", at)


def _group_id(assigned: Any) -> str:
    """Id of a group, from an assignment or a reference."""
    return str(((assigned or {}).get("customerGroup") or assigned or {}).get("id") or "")


@mapper
def is_ticked(order: Order, rules: ConsentRules) -> bool:
    """True if the box at checkout, `[consent] orders`, means yes."""
    fields = (order.get("custom") or {}).get("fields")
    return bool(rules.orders) and answer_of(value_at(fields, rules.orders), rules) is True


@mapper
def may_have_declined_since(customer: Customer, ordered_at: datetime, rules: ConsentRules) -> bool:
    """True if the customer may have said no after an order.

    That is, their field says no (or they are not in the group), and the answer is newer than the order or of unknown
    age. Its time is `consented_at` if the shop keeps one, else that of the customer's last change.
    """
    place = rules.email
    if not place:
        return False
    value = current_value(customer, place)
    says_no = value is not True if group_of(place) else answer_of(value, rules) is False
    changed = _consented_at(customer, rules) or parsed_time(customer.get("lastModifiedAt"))
    return says_no and (changed is None or changed > ordered_at)


def _consented_at(customer: Customer, rules: ConsentRules) -> datetime | None:
    """Time in the `consented_at` field. None if it has no time zone, and so may be hours off, or is in the future."""
    fields = (customer.get("custom") or {}).get("fields")
    text = value_at(fields, rules.consented_at) if rules.consented_at else None
    if not isinstance(text, str) or not _TIME_WITH_ZONE.match(text) or (at := parsed_time(text)) is None:
        return None
    now = datetime.now(UTC)
    return min(at, now) if at <= now + _CLOCK_SKEW else None


@dataclass(frozen=True, slots=True)
class ConsentDifference:
    """A channel in which the shop and Klaviyo disagree, for a report. Comparing changes nobody's consent.

    Holds nothing personal. `action` is what the next update of the customer would do, and `reason` why, also if it
    would do nothing.
    """

    channel: Channel
    wanted: Literal["yes", "no"]
    found: str
    action: Action
    reason: Reason


def consent_difference(
    customer: Customer, profile_attributes: JsonObject, settings: Settings, now: datetime | None = None
) -> tuple[ConsentDifference, ...]:
    """The channels in which a customer's answer and the profile's consent disagree.

    Skips a channel if the shop or Klaviyo says nothing about it. The customer's groups must be expanded, and the
    attributes must include `subscriptions`.
    """
    rules = settings.sync.consent
    differences = []
    for channel, place in rules.places.items():
        shop, klaviyo = shop_answer(customer, place, rules), klaviyo_consent(profile_attributes, channel)
        if shop.answer is None or not klaviyo.consent or shop.answer is (klaviyo.consent == SUBSCRIBED):
            continue
        decision = decide(shop, klaviyo, rules, now or datetime.now(UTC))
        wanted: Literal["yes", "no"] = "yes" if shop.answer else "no"
        differences.append(ConsentDifference(channel, wanted, klaviyo.consent, decision.action, decision.reason))
    return tuple(differences)
