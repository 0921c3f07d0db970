"""What the shop says of consent: values, places, groups, times, and what messages about them tell."""

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
        # Python takes 1 for True and 0 for False.
        (1, None), (0, None), (1.0, None), ("", None), ("YES", None), (" yes", None), ("maybe", None), (None, None),
        ([], None), ([True], None), ({}, None), ({"key": "yes"}, None),
    ],
)  # fmt: skip
def test_values(value: Any, answer: bool | None) -> None:  # noqa: FBT001 - of a table
    """Those that are listed mean yes and no, by type and letter; any other says nothing."""
    assert answer_of(value, ConsentRules()) is answer


def test_a_shop_has_words_of_its_own() -> None:
    """Numbers and words that the settings list, and no others."""
    rules = ConsentRules(subscribed=(1, "ja"), unsubscribed=(0, "nein"))
    assert [answer_of(value, rules) for value in (1, "ja", 0, "nein", True, False, "yes")] == [
        True, True, False, False, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{}, {"other": True}, {"newsletter": None}, {"consent": True}, {"consent": {"sms": True}}, {"consent": [True]}],
)
@pytest.mark.parametrize("place", ["custom.newsletter", "custom.consent.email"])
def test_a_place_that_is_not_there(fields: dict[str, Any], place: str) -> None:
    """A missing field, and a part of one that is no object, are no answer."""
    assert shop_answer(with_fields(**fields), place, RULES).answer is None
    assert shop_answer({"id": "c"}, place, RULES).answer is None


def test_the_time_of_a_yes_is_the_shops_own() -> None:
    """And that of a no the later one; a time that can't be read is none."""
    yes, no = with_fields(newsletter=True, at=AT.isoformat()), with_fields(newsletter=False, at=AT.isoformat())
    assert shop_answer(yes, "custom.newsletter", RULES, MessageAnswer(True, LATER, True)).at == AT
    assert shop_answer(no, "custom.newsletter", RULES, MessageAnswer(False, LATER, False)).at == LATER
    assert shop_answer(no, "custom.newsletter", RULES).at == AT
    times: list[Any] = ["soon", 5, None, [], "", "2026-05-01", "2026-05-01T10:00:00", "2026-W23-1", "20260501T100000Z"]
    for odd in times:
        assert shop_answer(with_fields(newsletter=True, at=odd), "custom.newsletter", RULES).at is None


def test_a_time_to_come_does_not_hide_the_messages_own() -> None:
    """The shop's clock may be seconds ahead; further ahead it is no time at all."""
    now = datetime.now(UTC)
    for ahead, most in ((timedelta(seconds=3), now + timedelta(seconds=1)), (timedelta(hours=1), AT)):
        no = with_fields(newsletter=False, at=(now + ahead).isoformat())
        at = shop_answer(no, "custom.newsletter", RULES, MessageAnswer(False, AT, False)).at
        assert at is not None
        assert AT <= at <= most


def _added(value: Any) -> dict[str, Any]:
    return {"name": "newsletter", "value": value}


def _changed(value: Any, previous: Any) -> dict[str, Any]:
    return {**_added(value), "previousValue": previous}


def _typed(previous_type: str = "", **fields: Any) -> dict[str, Any]:
    return {"customFields": {"fields": fields}, **({"previousTypeId": previous_type} if previous_type else {})}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (_added(True), (True, AT)),
        (_added(False), (False, None)),
        (_changed(True, False), (True, AT)),
        (_changed(False, True), (False, AT)),
        (_changed("no", "maybe"), (False, AT)),
        (_changed("yes", True), (True, None)),
        (_changed("opt-out", "no"), (False, None)),
        (_changed("maybe", True), (None, AT)),
        (_typed(newsletter=True), (True, AT)),
        (_typed(newsletter=False), (False, None)),
        (_typed("type-0", newsletter=True), (True, None)),
        (_typed(other=True), None),
        ({"name": "other", "value": True}, None),
        ({}, None),
    ],
)
def test_what_a_message_about_a_field_tells(payload: Any, told: tuple[Any, Any] | None) -> None:
    """A time only where the answer moved: not a first `false`, not another word for the same, not another type."""
    found = answer_from_field_message(payload, "custom.newsletter", AT, RULES)
    assert (found and (found.answer, found.at)) == told


def test_a_part_of_an_object_that_did_not_move() -> None:
    """The field moved, and the answer for mails did not."""
    payload = _changed({"email": True, "sms": True}, {"email": True, "sms": False})
    tells = [
        answer_from_field_message(payload, f"custom.newsletter.{part}", AT, RULES) for part in ("email", "sms", "push")
    ]
    assert [found and found.at for found in tells] == [None, AT, None]


@pytest.mark.parametrize(("now", "is_so"), [(True, True), (1, False), ("true", False), (False, False), (None, False)])
def test_whether_a_message_is_still_so(now: Any, *, is_so: bool) -> None:
    """The very value that the message told."""
    assert still_holds(MessageAnswer(True, AT, True), with_fields(newsletter=now), "custom.newsletter") is is_so


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
def test_members(customer: Any, member: bool | None) -> None:  # noqa: FBT001 - of a table
    """By the main group or an assignment; None where a group could not be read. Who is not in says nothing."""
    assert is_member(customer, "news") is member
    assert shop_answer(customer, "group:news", RULES).answer is (True if member else None)


@pytest.mark.parametrize(
    ("name", "payload", "told"),
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
def test_what_a_message_about_groups_tells(name: str, payload: Any, told: tuple[Any, Any] | None) -> None:
    """A time where it names the group that was joined or left, and none where it only says who is in."""
    found = answer_from_group_message(name, payload, "g", AT)
    assert (found and (found.answer, found.at)) == told


def test_the_box_and_the_customers_own_word() -> None:
    """A yes alone ticks; a no of the customer that may be later than the order speaks against it."""
    assert [is_ticked(with_fields(box=value), RULES) for value in (True, "yes", False, None, 1)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not is_ticked(with_fields(newsletter=True), ConsentRules(email="custom.newsletter"))
    untimed = RULES.model_copy(update={"consented_at": ""})
    for value, at, rules, is_later in (
        (False, AT, untimed, True),
        (False, LATER, untimed, False),
        (True, AT, untimed, False),
        (None, AT, untimed, False),
        (False, AT, RULES.model_copy(update={"email": ""}), False),
    ):
        assert may_have_declined_since(with_fields(newsletter=value), at, rules) is is_later
    kept = with_fields(newsletter=False, at=(AT - timedelta(days=1)).isoformat())
    assert not may_have_declined_since(kept, AT, RULES)


@pytest.mark.parametrize(
    ("line", "said"),
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
def test_mistakes_in_the_settings(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told in words: a value that means both yes and no would subscribe whoever said no."""
    (tmp_path / "sync.toml").write_text(f"[consent]\n{line}\n", encoding="utf-8")
    monkeypatch.setenv("SYNC_CONFIG", str(tmp_path / "sync.toml"))
    with pytest.raises(ConfigurationError) as raised:
        load_rules()
    assert said in raised.value.problems[0]


def test_its_messages_are_consumed_only_when_it_needs_them() -> None:
    """Those of fields with a field, those of groups with a group, and none while it is off or for the box alone."""

    def on(**consent: str) -> set[str]:
        rules = SyncRules(consent=ConsentRules(**consent))  # type: ignore[arg-type]
        ours = [one for one in registrations() if isinstance(one.when, Condition) and "[consent]" in one.when.name]
        assert len(ours) == 7
        return {one.type for one in ours if not one.switched_off_by(rules)}

    fields = {"CustomerCustomFieldAdded", "CustomerCustomFieldChanged", "CustomerCustomTypeSet"}
    assert on() == on(orders="custom.box") == set()
    assert on(email="custom.a") == on(sms="custom.a.b") == fields
    assert {name.removeprefix("CustomerGroup") for name in on(email="group:news")} == {
        "Set", "AssignmentAdded", "AssignmentRemoved", "AssignmentsSet",
    }  # fmt: skip
    assert len(on(email="custom.a", sms="group:news")) == 7


def test_differences_for_a_report() -> None:
    """Where both say something else: what stands on either side, what a change would do, and why. Nothing personal."""
    settings = settings_with({"consent": {"email": "custom.newsletter", "sms": "custom.texts"}})

    def of(consent: str, **fields: Any) -> Any:
        marketing = {"consent": consent, "consent_timestamp": AT.isoformat(), "custom_method_detail": "Footer"}
        attributes = {"email": "a@x.io", "subscriptions": {"email": {"marketing": marketing}}}
        found = consent_difference(with_fields(**fields), attributes, settings, LATER)
        return [(one.channel, one.wanted, one.found, one.action, one.reason) for one in found]

    assert of("SUBSCRIBED", newsletter=True) == of("UNSUBSCRIBED", newsletter=False) == of("SUBSCRIBED") == []
    assert of("UNSUBSCRIBED", newsletter=True) == [("email", "yes", "UNSUBSCRIBED", "nothing", Reason.NO_TIME)]
    assert of("SUBSCRIBED", newsletter=False) == [("email", "no", "SUBSCRIBED", "nothing", Reason.NOT_OURS)]
    assert of("SUBSCRIBED", newsletter=True, texts=True) == [
        ("sms", "yes", "NEVER_SUBSCRIBED", "subscribe", Reason.NEW_YES)
    ]
    assert consent_difference(with_fields(newsletter=True), {"email": "a@x.io"}, settings) == ()


@pytest.mark.parametrize(("place", "read"), [("group:newsletter", False), ("group:newsletter", True)])
def test_a_group_that_nobody_is_seen_in_may_be_a_later_no(place: str, *, read: bool) -> None:
    """Also where the key of the customer's group could not be read: then nobody knows."""
    group = {"typeId": "customer-group", "id": "g", **({"obj": {"key": "vip"}} if read else {})}
    customer: Any = {"id": "c", "customerGroup": group, "lastModifiedAt": LATER.isoformat()}
    rules = ConsentRules(email=place, orders="custom.newsletter")
    assert may_have_declined_since(customer, AT, rules)
    assert not may_have_declined_since(customer, LATER + timedelta(hours=1), rules)


def test_one_person_is_unsubscribed_from_nothing_but_what_is_named() -> None:
    """One profile, its channels, and no list: Klaviyo would unsubscribe whoever is not in that from everything."""
    body = unsubscription({"email": "a@example.com"})["data"]
    [profile] = body["attributes"]["profiles"]["data"]
    assert profile["attributes"]["email"] == "a@example.com"
    assert profile["attributes"]["subscriptions"] == {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}
    assert "relationships" not in body
