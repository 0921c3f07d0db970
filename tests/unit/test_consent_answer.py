"""The shop's answer about consent: from field values, groups, times, messages and the box at checkout."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.conditions import Condition
from core.errors import ConfigurationError
from core.rules import SyncRules
from core.rules_consent import ConsentRules
from core.settings import load_rules
from handlers.registry import registrations
from mappers.consent import Reason
from mappers.consent_answer import (
    MessageAnswer,
    answer_from_field_message,
    answer_from_group_message,
    answer_of,
    consent_difference,
    is_member,
    is_ticked,
    may_have_declined_since,
    shop_answer,
    still_holds,
)  # fmt: skip
from mappers.consent_bodies import unsubscription
from tests.unit.strategies import settings_with

AT = datetime(2026, 5, 1, 10, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
RULES = ConsentRules(email="custom.newsletter", consented_at="custom.at", orders="custom.box")


def with_fields(**fields: Any) -> Any:
    """A customer, or an order, with these custom fields."""
    return {"id": "c", "lastModifiedAt": LATER.isoformat(), "custom": {"fields": fields}}


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (True, True), ("true", True), ("yes", True), ("opt-in", True), ("subscribed", True),
        (False, False), ("false", False), ("no", False), ("opt-out", False), ("unsubscribed", False),
        # In Python, 1 == True and 0 == False.
        (1, None), (0, None), (1.0, None), ("", None), ("YES", None), (" yes", None), ("maybe", None), (None, None),
        ([], None), ([True], None), ({}, None), ({"key": "yes"}, None),
    ],
)  # fmt: skip
def test_only_configured_values_are_answers(value: Any, answer: bool | None) -> None:  # noqa: FBT001 - from a table
    """A value counts if it is listed with the same type and spelling. Any other is no answer."""
    assert answer_of(value, ConsentRules()) is answer


def test_a_shop_can_configure_its_own_values() -> None:
    """The settings may list numbers and words. They replace the default values."""
    rules = ConsentRules(subscribed=(1, "ja"), unsubscribed=(0, "nein"))
    assert [answer_of(value, rules) for value in (1, "ja", 0, "nein", True, False, "yes")] == [
        True, True, False, False, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{}, {"other": True}, {"newsletter": None}, {"consent": True}, {"consent": {"sms": True}}, {"consent": [True]}],
)
@pytest.mark.parametrize("place", ["custom.newsletter", "custom.consent.email"])
def test_a_missing_field_is_no_answer(fields: dict[str, Any], place: str) -> None:
    """The same holds for a path into a field that is not an object."""
    assert shop_answer(with_fields(**fields), place, RULES).answer is None
    assert shop_answer({"id": "c"}, place, RULES).answer is None


def test_the_time_of_a_yes_is_consented_at() -> None:
    """The time of a no is the later of `consented_at` and the message's time. An unreadable time counts as none."""
    yes, no = with_fields(newsletter=True, at=AT.isoformat()), with_fields(newsletter=False, at=AT.isoformat())
    assert shop_answer(yes, "custom.newsletter", RULES, MessageAnswer(True, LATER, True)).at == AT
    assert shop_answer(no, "custom.newsletter", RULES, MessageAnswer(False, LATER, False)).at == LATER
    assert shop_answer(no, "custom.newsletter", RULES).at == AT
    times: list[Any] = ["soon", 5, None, [], "", "2026-05-01", "2026-05-01T10:00:00", "2026-W23-1", "20260501T100000Z"]
    for odd in times:
        assert shop_answer(with_fields(newsletter=True, at=odd), "custom.newsletter", RULES).at is None


def test_a_consent_time_in_the_future_is_capped_or_ignored() -> None:
    """The shop's clock may be a few seconds ahead: then now counts. A time further ahead is ignored."""
    before = datetime.now(UTC)

    def time_of_a_no(ahead: timedelta) -> Any:
        no = with_fields(newsletter=False, at=(before + ahead).isoformat())
        return shop_answer(no, "custom.newsletter", RULES, MessageAnswer(False, AT, False)).at

    assert before <= time_of_a_no(timedelta(seconds=3)) <= datetime.now(UTC)
    assert time_of_a_no(timedelta(hours=1)) == AT


def _added(value: Any) -> dict[str, Any]:
    return {"name": "newsletter", "value": value}


def _changed(value: Any, previous: Any) -> dict[str, Any]:
    return {**_added(value), "previousValue": previous}


def _type_set(previous_type: str = "", **fields: Any) -> dict[str, Any]:
    return {"customFields": {"fields": fields}, **({"previousTypeId": previous_type} if previous_type else {})}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (_added(True), (True, AT)),
        (_added(False), (False, None)),
        (_changed(True, False), (True, AT)),
        (_changed(False, True), (False, AT)),
        (_changed("no", "maybe"), (False, AT)),
        (_changed("yes", True), (True, None)),
        (_changed("opt-out", "no"), (False, None)),
        (_changed("maybe", True), (None, AT)),
        (_type_set(newsletter=True), (True, AT)),
        (_type_set(newsletter=False), (False, None)),
        (_type_set("type-0", newsletter=True), (True, None)),
        (_type_set(other=True), None),
        ({"name": "other", "value": True}, None),
        ({}, None),
    ],
)
def test_answer_of_a_field_message(payload: Any, expected: tuple[Any, Any] | None) -> None:
    """The answer has a time only if it changed: not for a first `false`, a synonym or another custom type."""
    found = answer_from_field_message(payload, "custom.newsletter", AT, RULES)
    assert (found and (found.answer, found.at)) == expected


def test_an_unchanged_part_of_a_changed_object_has_no_time() -> None:
    """The field changed in `sms` only, so the answer for e-mail has no time."""
    payload = _changed({"email": True, "sms": True}, {"email": True, "sms": False})
    answers = [
        answer_from_field_message(payload, f"custom.newsletter.{part}", AT, RULES) for part in ("email", "sms", "push")
    ]
    assert [found and found.at for found in answers] == [None, AT, None]


@pytest.mark.parametrize(
    ("now", "expected"), [(True, True), (1, False), ("true", False), (False, False), (None, False)]
)
def test_a_message_holds_while_the_field_has_its_value(now: Any, *, expected: bool) -> None:
    """The value must be the same, type included."""
    assert still_holds(MessageAnswer(True, AT, True), with_fields(newsletter=now), "custom.newsletter") is expected


def _group(key: str | None, *, is_read: bool = True) -> dict[str, Any]:
    return {"typeId": "customer-group", "id": f"id-{key}", **({"obj": {"key": key}} if is_read else {})}


@pytest.mark.parametrize(
    ("customer", "member"),
    [
        ({}, False),
        ({"customerGroup": _group("news")}, True),
        ({"customerGroup": _group("vip")}, False),
        ({"customerGroup": _group(None)}, False),
        ({"customerGroup": _group("vip", is_read=False)}, None),
        ({"customerGroup": _group("vip"), "customerGroupAssignments": [{"customerGroup": _group("news")}]}, True),
        (
            {
                "customerGroup": _group("vip", is_read=False),
                "customerGroupAssignments": [{"customerGroup": _group("news")}],
            },
            True,
        ),
    ],
)
def test_group_membership(customer: Any, member: bool | None) -> None:  # noqa: FBT001 - from a table
    """The main group and assignments count. None if a group could not be read. Not being a member is no answer."""
    assert is_member(customer, "news") is member
    assert shop_answer(customer, "group:news", RULES).answer is (True if member else None)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("CustomerGroupSet", {"customerGroup": {"id": "g"}}, (True, AT)),
        ("CustomerGroupSet", {"customerGroup": {"id": "x"}}, (False, None)),
        ("CustomerGroupSet", {}, (False, None)),
        ("CustomerGroupAssignmentAdded", {"customerGroupAssignment": {"customerGroup": {"id": "g"}}}, (True, AT)),
        ("CustomerGroupAssignmentAdded", {"customerGroupAssignment": {"id": "g"}}, (True, AT)),
        ("CustomerGroupAssignmentAdded", {"customerGroupAssignment": {"customerGroup": {"id": "x"}}}, None),
        ("CustomerGroupAssignmentRemoved", {"customerGroupAssignment": {"customerGroup": {"id": "g"}}}, (False, AT)),
        ("CustomerGroupAssignmentRemoved", {}, None),
        ("CustomerGroupAssignmentsSet", {"customerGroupAssignments": [{"customerGroup": {"id": "g"}}]}, (True, None)),
        ("CustomerGroupAssignmentsSet", {}, (False, None)),
    ],
)
def test_answer_of_a_group_message(name: str, payload: Any, expected: tuple[Any, Any] | None) -> None:
    """The answer has a time if the message names the group joined or left, and none if it only lists the groups."""
    found = answer_from_group_message(name, payload, "g", AT)
    assert (found and (found.answer, found.at)) == expected


def test_the_box_at_checkout_and_a_later_no() -> None:
    """Only a yes ticks the box. A no of the customer counts against it if it may be newer than the order."""
    assert [is_ticked(with_fields(box=value), RULES) for value in (True, "yes", False, None, 1)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not is_ticked(with_fields(newsletter=True), ConsentRules(email="custom.newsletter"))
    untimed = RULES.model_copy(update={"consented_at": ""})
    for value, at, rules, may_be_later in (
        (False, AT, untimed, True),
        (False, LATER, untimed, False),
        (True, AT, untimed, False),
        (None, AT, untimed, False),
        (False, AT, RULES.model_copy(update={"email": ""}), False),
    ):
        assert may_have_declined_since(with_fields(newsletter=value), at, rules) is may_be_later
    declined_before = with_fields(newsletter=False, at=(AT - timedelta(days=1)).isoformat())
    assert not may_have_declined_since(declined_before, AT, RULES)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('email = "newsletter"', "must look like custom.newsletter or group:newsletter"),
        ('email = "custom."', "must look like custom.newsletter or group:newsletter"),
        ('email = "custom.a..b"', "must name a field, such as custom.newsletter"),
        ('consented_at = "group:x"', "must look like custom.newsletter, the path of a custom field"),
        ('conflict = "shop"', "must be 'newest', 'klaviyo' or 'commercetools'"),
        ('unsubscribed = [true, "no"]', "has true in common with subscribed"),
        ('mail = "custom.newsletter"', "is not known; did you mean email?"),
    ],
)
def test_mistakes_in_the_settings_are_explained(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, a value listed for both yes and no would subscribe people who said no."""
    (tmp_path / "sync.toml").write_text(f"[consent]\n{line}\n", encoding="utf-8")
    monkeypatch.setenv("SYNC_CONFIG", str(tmp_path / "sync.toml"))
    with pytest.raises(ConfigurationError) as raised:
        load_rules()
    assert message in raised.value.problems[0]


def test_consent_messages_are_consumed_only_if_needed() -> None:
    """Field messages need a configured field, group messages a group. The box at checkout needs neither."""

    def consumed(**consent: str) -> set[str]:
        rules = SyncRules(consent=ConsentRules(**consent))  # type: ignore[arg-type]
        consent_messages = [
            one for one in registrations() if isinstance(one.when, Condition) and "[consent]" in one.when.name
        ]
        assert len(consent_messages) == 7
        return {one.type for one in consent_messages if not one.switched_off_by(rules)}

    fields = {"CustomerCustomFieldAdded", "CustomerCustomFieldChanged", "CustomerCustomTypeSet"}
    assert consumed() == consumed(orders="custom.box") == set()
    assert consumed(email="custom.a") == consumed(sms="custom.a.b") == fields
    assert {name.removeprefix("CustomerGroup") for name in consumed(email="group:news")} == {
        "Set", "AssignmentAdded", "AssignmentRemoved", "AssignmentsSet",
    }  # fmt: skip
    assert len(consumed(email="custom.a", sms="group:news")) == 7


def test_consent_differences_for_a_report() -> None:
    """A difference names both sides, what the next update would do, and why, and holds nothing else."""
    settings = settings_with({"consent": {"email": "custom.newsletter", "sms": "custom.texts"}})

    def found(consent: str, **fields: Any) -> Any:
        marketing = {"consent": consent, "consent_timestamp": AT.isoformat(), "custom_method_detail": "Footer"}
        attributes = {"email": "a@x.io", "subscriptions": {"email": {"marketing": marketing}}}
        differences = consent_difference(with_fields(**fields), attributes, settings, LATER)
        return [astuple(one) for one in differences]

    assert found("SUBSCRIBED", newsletter=True) == found("UNSUBSCRIBED", newsletter=False) == found("SUBSCRIBED") == []
    assert found("UNSUBSCRIBED", newsletter=True) == [("email", "yes", "UNSUBSCRIBED", "nothing", Reason.NO_TIME)]
    assert found("SUBSCRIBED", newsletter=False) == [("email", "no", "SUBSCRIBED", "nothing", Reason.NOT_OURS)]
    assert found("SUBSCRIBED", newsletter=True, texts=True) == [
        ("sms", "yes", "NEVER_SUBSCRIBED", "subscribe", Reason.NEW_YES)
    ]
    assert consent_difference(with_fields(newsletter=True), {"email": "a@x.io"}, settings) == ()


@pytest.mark.parametrize("is_read", [False, True])
def test_a_missing_group_membership_may_be_a_later_no(*, is_read: bool) -> None:
    """The same holds if the key of the customer's group could not be read, so that membership is unknown."""
    group = {"typeId": "customer-group", "id": "g", **({"obj": {"key": "vip"}} if is_read else {})}
    customer: Any = {"id": "c", "customerGroup": group, "lastModifiedAt": LATER.isoformat()}
    rules = ConsentRules(email="group:newsletter", orders="custom.newsletter")
    assert may_have_declined_since(customer, AT, rules)
    assert not may_have_declined_since(customer, LATER + timedelta(hours=1), rules)


def test_an_unsubscription_names_one_profile_and_no_list() -> None:
    """It names only the given channels. With a list, Klaviyo unsubscribes people outside it from everything."""
    body = unsubscription({"email": "a@example.com"})["data"]
    [profile] = body["attributes"]["profiles"]["data"]
    assert profile["attributes"]["email"] == "a@example.com"
    assert profile["attributes"]["subscriptions"] == {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}
    assert "relationships" not in body
