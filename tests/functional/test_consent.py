"""The newsletter checkbox: from the customer's field to Klaviyo, and never by mistake."""

from collections.abc import Callable
from typing import Any

import pytest

from commands.running import Sandbox
from tests.functional.conftest import Function, Serve
from tests.functional.consenting import (
    BOTH,
    EMAIL,
    MARK,
    PHONE,
    RULES,
    SUBSCRIBE,
    TIMED,
    UNSUBSCRIBE,
    UPSERT,
    ago,
    answering,
    calls,
    consent,
    field_message,
    marketing,
    profile_of,
)  # fmt: skip
from tests.functional.documents import address, change, customer
from tests.functional.measuring import measured

Asked = Callable[[str], Function]


@pytest.fixture
def asked(serve: Serve, settings_file: Callable[[str], str]) -> Asked:
    """A function with these rules of consent: `asked(RULES)`."""
    return lambda rules: serve(SYNC_CONFIG=settings_file(f"{rules}\n[limits]\nstale_after = 30\nbackoff = 0.01\n"))


@pytest.fixture
def function(asked: Asked) -> Function:
    """A function that reads `custom.newsletter`."""
    return asked(RULES)


def updated(version: int = 1) -> dict[str, object]:
    """The change of a customer, without a word about what changed."""
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def test_a_yes_subscribes_and_leaves_a_marker(sandbox: Sandbox, function: Function) -> None:
    """Two calls more than the copy, in our name, by the id of the profile; the next update needs none of them."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    first = measured(sandbox, function, updated())
    assert first.written == (UPSERT, SUBSCRIBE, MARK)
    body = next(call["body"] for call in sandbox.klaviyo.requests() if call["operation"] == SUBSCRIBE)["data"]
    assert body == {
        "type": "profile-subscription-bulk-create-job",
        "attributes": {
            "custom_source": "commercetools",
            "historical_import": False,
            "profiles": {
                "data": [
                    {
                        "type": "profile",
                        "id": profile_of(sandbox)["id"],
                        "attributes": {
                            "email": EMAIL,
                            "subscriptions": {"email": {"marketing": {"consent": "SUBSCRIBED"}}},
                        },
                    }
                ]
            },
        },
    }
    assert consent(sandbox) == "SUBSCRIBED"
    assert str(profile_of(sandbox)["properties"]["ct_consent_email"]).startswith("yes@")
    assert first.answer.line["consent"] == ["email subscribe: yes_and_never_subscribed"]
    sandbox.commercetools.put("customers", answering(newsletter=True, version=2))
    again = measured(sandbox, function, updated(2))
    assert again.written == (UPSERT,)
    assert again.answer.line["consent"] == ["email nothing: agrees"]


def test_switched_off_nothing_is_asked(sandbox: Sandbox, asked: Asked) -> None:
    """Without [consent] the upsert asks for no consent, and messages about fields are ignored."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    function = asked("")
    assert measured(sandbox, function, updated()).written == (UPSERT,)
    (call,) = sandbox.klaviyo.requests()
    assert "additional-fields" not in call["path"]
    assert measured(sandbox, function, field_message(True, at=ago(hours=1))).outcome == "ignored disabled"
    assert consent(sandbox) == "NEVER_SUBSCRIBED"


@pytest.mark.parametrize("fields", [{"mailing": False}, {"newsletter": ""}, {"newsletter": "later"}, {}])
@pytest.mark.parametrize("conflict", ["newest", "klaviyo", "commercetools"])
def test_a_renamed_or_missing_field_unsubscribes_nobody(
    sandbox: Sandbox, asked: Asked, fields: dict[str, object], conflict: str
) -> None:
    """A field that is not there, and a value that is neither yes nor no, say nothing, whoever wins."""
    function = asked(f'{RULES}conflict = "{conflict}"')
    sandbox.klaviyo.says(EMAIL, "SUBSCRIBED", custom_method_detail="commercetools")
    sandbox.commercetools.put("customers", answering(**fields))  # type: ignore[arg-type]
    result = measured(sandbox, function, updated())
    assert result.written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_the_field_is_renamed_for_everybody(sandbox: Sandbox, function: Function) -> None:
    """Customers who were subscribed by their field stay so when it gets another name, type and default."""
    ids = [f"customer-{number}" for number in range(1, 6)]
    for own_id in ids:
        told = answering(newsletter=True) | {"id": own_id, "email": f"{own_id}@example.com", "addresses": []}
        sandbox.commercetools.put("customers", told)
        assert function.deliver(change("ResourceUpdated", "customer", own_id)).outcome == "synced"
    for own_id in ids:
        told = answering(mailing=False, version=2) | {"id": own_id, "email": f"{own_id}@example.com", "addresses": []}
        sandbox.commercetools.put("customers", told)
        assert function.deliver(change("ResourceUpdated", "customer", own_id, version=2)).outcome == "synced"
    assert UNSUBSCRIBE not in calls(sandbox)
    assert {consent(sandbox, email=f"{own_id}@example.com") for own_id in ids} == {"SUBSCRIBED"}


@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
def test_a_field_that_was_always_false_unsubscribes_nobody(sandbox: Sandbox, asked: Asked, conflict: str) -> None:
    """Who subscribed by a form survives edits of the customer, and a first `false` in the field."""
    function = asked(f'{RULES}conflict = "{conflict}"')
    sandbox.klaviyo.says(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=30), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", answering(newsletter=False))
    assert measured(sandbox, function, updated()).written == (UPSERT,)
    sandbox.commercetools.put("customers", answering(newsletter=False, version=2, other=1))
    assert measured(sandbox, function, updated(2)).written == (UPSERT,)
    added = field_message(False, at=ago(hours=1), version=2)
    assert measured(sandbox, function, added).written == (UPSERT,)
    type_set = added | {"type": "CustomerCustomTypeSet", "customFields": {"fields": {"newsletter": False}}}
    assert measured(sandbox, function, type_set).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_a_changed_phone_number_resubscribes_nobody(sandbox: Sandbox, function: Function) -> None:
    """Subscribed by the field, unsubscribed by the link in a mail: later edits of the customer change nothing."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    assert function.deliver(updated()).outcome == "synced"
    sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", suppression=[{"reason": "UNSUBSCRIBE", "timestamp": ago()}])
    moved = answering(newsletter=True, version=2) | {"addresses": [address(mobile="0171 3920015")]}
    sandbox.commercetools.put("customers", moved)
    result = measured(sandbox, function, updated(2))
    assert result.written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert result.answer.line["consent"] == ["email nothing: no_in_klaviyo_and_yes_without_time"]


def test_a_no_in_the_field_takes_back_what_it_gave(sandbox: Sandbox, function: Function) -> None:
    """The subscription is our own, so the plain change of the customer is enough: +2 calls, and no list."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    assert function.deliver(updated()).outcome == "synced"
    sandbox.commercetools.put("customers", answering(newsletter=False, version=2))
    assert measured(sandbox, function, updated(2)).written == (UPSERT, UNSUBSCRIBE, MARK)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert str(profile_of(sandbox)["properties"]["ct_consent_email"]).startswith("no@")
    body = next(call["body"] for call in sandbox.klaviyo.requests() if call["operation"] == UNSUBSCRIBE)
    assert "relationships" not in body["data"]
    sandbox.commercetools.put("customers", answering(newsletter=False, version=3))
    assert measured(sandbox, function, updated(3)).written == (UPSERT,)


def test_the_message_about_the_field_tells_the_time(sandbox: Sandbox, function: Function) -> None:
    """Ticked again after the link in a mail: subscribed. Unticked after a form: unsubscribed. Redelivered: nothing."""
    sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", answering(newsletter=True))
    ticked = field_message(True, previous=False, at=ago(days=1))
    assert measured(sandbox, function, ticked).written == (UPSERT, SUBSCRIBE, MARK)
    assert measured(sandbox, function, ticked).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.klaviyo.says(EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=20), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", answering(newsletter=False, version=2))
    unticked = field_message(False, previous=True, at=ago(hours=10), version=2)
    assert measured(sandbox, function, unticked).written == (UPSERT, UNSUBSCRIBE, MARK)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert measured(sandbox, function, unticked).written == (UPSERT,)


@pytest.mark.parametrize("answer", [True, False], ids=["yes", "no"])
def test_a_message_that_is_older_than_klaviyo(sandbox: Sandbox, function: Function, *, answer: bool) -> None:
    """A form or a link that was used after the field moved has the last word."""
    said = "UNSUBSCRIBED" if answer else "SUBSCRIBED"
    sandbox.klaviyo.says(EMAIL, said, consent_timestamp=ago(hours=1), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", answering(newsletter=answer))
    late = field_message(answer, previous=not answer, at=ago(days=1))
    assert measured(sandbox, function, late).written == (UPSERT,)
    assert consent(sandbox) == said


def test_a_message_that_is_not_true_any_more(sandbox: Sandbox, function: Function) -> None:
    """Two field changes that come in the wrong order: the first one's value is not the customer's now."""
    sandbox.klaviyo.says(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=9), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", answering(newsletter=False, version=3))
    no = field_message(False, previous=True, at=ago(hours=1), version=3)
    yes = field_message(True, previous=False, at=ago(hours=2), version=2)
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, MARK)
    late = measured(sandbox, function, yes)
    assert (late.outcome, late.written) == ("ignored superseded", ())
    assert consent(sandbox) == "UNSUBSCRIBED"


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (field_message(True, at=ago(), name="shoeSize"), "other_field"),
        (field_message(True, at=ago()) | {"payloadNotIncluded": {"payloadType": "CustomerCustomFieldAdded"}},
         "payload_not_included"),
    ],
)  # fmt: skip
def test_messages_that_say_nothing_of_consent(
    sandbox: Sandbox, function: Function, delivery: dict[str, object], reason: str
) -> None:
    """No call: the change of the customer that comes with them copies what stands there."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    result = measured(sandbox, function, delivery)
    assert (result.outcome, result.calls) == (f"ignored {reason}", (0, 0))


def test_one_part_of_an_object_moved(sandbox: Sandbox, asked: Asked) -> None:
    """A field with an answer a channel: a change of the texts is no new yes to the mails."""
    function = asked('[consent]\nemail = "custom.consent.email"\nsms = "custom.consent.sms"')
    sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", answering(consent={"email": True, "sms": True}))
    moved = field_message({"email": True, "sms": True}, {"email": True, "sms": False}, at=ago(days=1), name="consent")
    assert measured(sandbox, function, moved).written == (UPSERT, SUBSCRIBE, MARK)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert consent(sandbox, "sms") == "SUBSCRIBED"


def test_the_types_of_all_customers_are_set_anew(sandbox: Sandbox, function: Function) -> None:
    """A migration that writes all fields with another type is nobody's new yes; a first type with a yes is one."""
    sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", answering(newsletter=True))
    told = field_message(True, at=ago(days=1)) | {
        "type": "CustomerCustomTypeSet",
        "customFields": {"fields": {"newsletter": True}},
    }
    assert measured(sandbox, function, told | {"previousTypeId": "type-0"}).written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert measured(sandbox, function, told).written == (UPSERT, SUBSCRIBE, MARK)


def test_the_shops_own_time(sandbox: Sandbox, asked: Asked) -> None:
    """With `consented_at` the plain change of a customer has a time: the later word wins, both ways."""
    function = asked(TIMED)
    sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", answering(newsletter=True, newsletterAt=ago(days=3)))
    assert measured(sandbox, function, updated()).written == (UPSERT,)
    sandbox.commercetools.put("customers", answering(newsletter=True, newsletterAt=ago(days=1), version=2))
    assert measured(sandbox, function, updated(2)).written == (UPSERT, SUBSCRIBE, MARK)
    sandbox.klaviyo.says(EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=9), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", answering(newsletter=False, newsletterAt=ago(hours=10), version=3))
    assert measured(sandbox, function, updated(3)).written == (UPSERT,)
    sandbox.commercetools.put("customers", answering(newsletter=False, newsletterAt=ago(hours=8), version=4))
    assert measured(sandbox, function, updated(4)).written == (UPSERT, UNSUBSCRIBE, MARK)


def test_the_shop_did_double_opt_in(sandbox: Sandbox, asked: Asked) -> None:
    """`confirmed`: subscribed at the shop's time without a mail; nothing where the time is missing or to come."""
    function = asked(f"{TIMED}confirmed = true")
    sandbox.klaviyo.consent(double_optin=True)
    for version, time in enumerate((None, ago(days=-1), "soon"), start=1):
        sandbox.commercetools.put("customers", answering(newsletter=True, newsletterAt=time, version=version))
        result = measured(sandbox, function, updated(version))
        assert result.written == (UPSERT,)
        assert result.answer.line["cuts"] == ["consent email: confirmed_without_time"]
    given = ago(days=40)
    sandbox.commercetools.put("customers", answering(newsletter=True, newsletterAt=given, version=9))
    assert measured(sandbox, function, updated(9)).written == (UPSERT, SUBSCRIBE, MARK)
    assert marketing(sandbox)["consent_timestamp"][:23] == given[:23]
    assert sandbox.klaviyo.state()["confirmations"] == []


@pytest.mark.parametrize("of_list", [False, True], ids=["account", "list"])
def test_double_opt_in_sends_one_mail(sandbox: Sandbox, asked: Asked, *, of_list: bool) -> None:
    """Whatever follows: edits, ticks, redeliveries, and a box at checkout. Confirmed in the end, all agree."""
    function = asked(RULES + 'orders = "custom.newsletter"\n' + ('list = "LIST"' if of_list else ""))
    sandbox.klaviyo.consent(double_optin=not of_list, lists={"LIST": True})
    for version in range(1, 4):
        sandbox.commercetools.put("customers", answering(newsletter=True, version=version))
        assert function.deliver(updated(version)).outcome == "synced"
    told = field_message(True, previous=False, at=ago(seconds=1), version=3)
    assert function.deliver(told).outcome == "synced"
    assert function.deliver(told, deliveryAttempt=2).outcome == "synced"
    assert consent(sandbox) == "NEVER_SUBSCRIBED"
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]
    sandbox.klaviyo.confirm(EMAIL)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", answering(newsletter=True, version=4))
    assert measured(sandbox, function, updated(4)).written == (UPSERT,)


def test_a_marker_that_could_not_be_left(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo takes the subscribe and fails at the marker: the message comes again, and sends no second mail."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", answering(newsletter=True))
    sandbox.klaviyo.fail("^/api/profiles/", method="PATCH", status=503, count=3)
    assert measured(sandbox, function, updated()).outcome == "retried klaviyo_error"
    again = measured(sandbox, function, updated())
    assert again.written == (UPSERT, MARK)
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]
    assert str(profile_of(sandbox)["properties"]["ct_consent_email"]).startswith("yes@")
    sandbox.commercetools.put("customers", answering(newsletter=True, version=2))
    assert measured(sandbox, function, updated(2)).written == (UPSERT,)


def test_jobs_take_their_time(sandbox: Sandbox, function: Function) -> None:
    """Ticked, unticked and ticked again while Klaviyo has done nothing yet: the last word stands in the end."""
    sandbox.klaviyo.jobs(3600)
    sandbox.commercetools.put("customers", answering(newsletter=True))
    assert measured(sandbox, function, updated()).written == (UPSERT, SUBSCRIBE, MARK)
    sandbox.commercetools.put("customers", answering(newsletter=False, version=2))
    no = field_message(False, previous=True, at=ago(), version=2)
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, MARK), "what was asked is taken back"
    assert measured(sandbox, function, no).written == (UPSERT,)


def test_complaints_and_bounces_stay(sandbox: Sandbox, asked: Asked) -> None:
    """However new the yes is, and even where the shop always wins."""
    for number, conflict in enumerate(("newest", "commercetools")):
        function = asked(f'{RULES}conflict = "{conflict}"')
        for index, reason in enumerate(("SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL")):
            version = number * 10 + index + 1
            suppression = [{"reason": reason, "timestamp": ago(days=9)}]
            sandbox.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=9), suppression=suppression)
            sandbox.commercetools.put("customers", answering(newsletter=True, version=version))
            told = field_message(True, previous=False, at=ago(hours=1), version=version)
            assert measured(sandbox, function, told).written == (UPSERT,)
            assert marketing(sandbox)["suppression"] == suppression


def test_a_suppression_by_hand_is_lifted_by_a_newer_yes(sandbox: Sandbox, function: Function) -> None:
    """USER_SUPPRESSED counts as a no at its time."""
    suppression = [{"reason": "USER_SUPPRESSED", "timestamp": ago(days=2)}]
    sandbox.klaviyo.says(EMAIL, "NEVER_SUBSCRIBED", suppression=suppression)
    sandbox.commercetools.put("customers", answering(newsletter=True))
    assert measured(sandbox, function, updated()).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=3))).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=1))).written == (UPSERT, SUBSCRIBE, MARK)
    assert (consent(sandbox), marketing(sandbox)["suppression"]) == ("SUBSCRIBED", [])


def test_mails_and_texts(sandbox: Sandbox, asked: Asked) -> None:
    """Both channels go in one call, each with its marker; one that is taken back leaves the other."""
    function = asked(BOTH)
    sandbox.commercetools.put("customers", answering(newsletter=True, texts="yes"))
    assert measured(sandbox, function, updated()).written == (UPSERT, SUBSCRIBE, MARK)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "SUBSCRIBED")
    assert {"ct_consent_email", "ct_consent_sms"} <= profile_of(sandbox)["properties"].keys()
    sandbox.commercetools.put("customers", answering(newsletter=True, texts="no", version=2))
    no = field_message("no", previous="yes", at=ago(), version=2, name="texts")
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, MARK)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "UNSUBSCRIBED")


def test_refused_texts_leave_mails_and_profile_right(sandbox: Sandbox, asked: Asked) -> None:
    """A region without a sending number, and an age that is asked for: the mails alone, and the profile is whole."""
    function = asked(BOTH)
    rules: list[dict[str, Any]] = [{"unserved": ["+49"]}, {"unserved": [], "age_gated": True}]
    for version, refuses in enumerate(rules, start=1):
        sandbox.klaviyo.reset()
        sandbox.klaviyo.consent(**refuses)
        own = f"customer-{version}"
        told = answering(newsletter=True, texts=True) | {"id": own, "email": f"{own}@example.com"}
        sandbox.commercetools.put("customers", told)
        result = measured(sandbox, function, change("ResourceUpdated", "customer", own))
        assert result.outcome == "synced"
        assert result.written == (UPSERT, SUBSCRIBE, SUBSCRIBE, MARK)
        assert result.answer.line["cuts"] == ["consent sms: refused by Klaviyo"]
        profile = profile_of(sandbox, f"{own}@example.com")
        assert (profile["phone_number"], profile["first_name"]) == (PHONE, "Annika")
        assert consent(sandbox, email=profile["email"]) == "SUBSCRIBED"
        assert consent(sandbox, "sms", profile["email"]) == "NEVER_SUBSCRIBED"
        assert "ct_consent_sms" not in profile["properties"]


def test_texts_without_a_number(sandbox: Sandbox, asked: Asked) -> None:
    """Nobody can be texted without a number: the mails alone."""
    function = asked(BOTH)
    sandbox.commercetools.put("customers", answering(newsletter=True, texts=True) | {"addresses": []})
    result = measured(sandbox, function, updated())
    assert result.written == (UPSERT, SUBSCRIBE, MARK)
    assert "sms nothing: no_address_of_this_profile" in result.answer.line["consent"]


def test_a_list_that_is_not_there(sandbox: Sandbox, asked: Asked) -> None:
    """A mistake in the settings holds no customer up: synced with a cut, and an error for the alert."""
    function = asked(f'{RULES}list = "GONE"')
    sandbox.commercetools.put("customers", answering(newsletter=True))
    result = measured(sandbox, function, updated())
    assert (result.outcome, result.written) == ("synced", (UPSERT, SUBSCRIBE))
    assert result.answer.line["cuts"] == ["consent: the list is unknown"]
    assert [line["reason"] for line in function.lines() if line["severity"] == "ERROR"] == ["consent_list"]
    sandbox.klaviyo.consent(lists={"GONE": False})
    sandbox.commercetools.put("customers", answering(newsletter=True, version=2))
    assert measured(sandbox, function, updated(2)).written == (UPSERT, SUBSCRIBE, MARK)


@pytest.mark.parametrize("missing", ["subscriptions:write", "lists:write"])
def test_a_missing_scope(sandbox: Sandbox, function: Function, missing: str) -> None:
    """Retried like any denial, so nothing is lost; the profile is written already."""
    scopes = {"profiles:read", "profiles:write", "subscriptions:write", "lists:write"}
    sandbox.klaviyo.keys(scopes=sorted(scopes - {missing}))
    sandbox.commercetools.put("customers", answering(newsletter=True))
    assert measured(sandbox, function, updated()).outcome == "retried klaviyo_denied"
    sandbox.klaviyo.keys(scopes=sorted(scopes))
    assert measured(sandbox, function, updated()).outcome == "synced"
    assert consent(sandbox) == "SUBSCRIBED"


@pytest.mark.parametrize("value", [["yes"], {"answer": "yes"}], ids=["set", "object"])
def test_a_value_that_can_be_no_answer(sandbox: Sandbox, function: Function, value: object) -> None:
    """Counted as unreadable, and nothing is done."""
    sandbox.commercetools.put("customers", answering(newsletter=value))
    result = measured(sandbox, function, updated())
    assert result.written == (UPSERT,)
    assert result.answer.line["cuts"] == ["consent email: consent_unreadable"]


def test_an_answer_that_can_not_be_read(sandbox: Sandbox, function: Function) -> None:
    """The upsert is done, and Klaviyo's answer says nothing of consent: nobody is subscribed on a guess."""
    sandbox.commercetools.put("customers", answering(newsletter=True))
    bodies: list[dict[str, Any]] = [{"data": {}}]
    bodies += [{"data": {"id": "x", "attributes": {"created": ago(), "email": EMAIL}}}]
    for body in bodies:
        sandbox.klaviyo.fail("profile-import", status=200, body=body, apply=True, count=1)
        result = measured(sandbox, function, updated())
        assert (result.outcome, result.written) == ("synced", (UPSERT,))
        assert result.answer.line["cuts"] == ["consent email: klaviyo_does_not_say"]


def test_an_email_of_another_profile(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo leaves the e-mail with the profile that has it: that one's consent is not this customer's to give."""
    assert function.deliver(updated()).reason == "deleted_meanwhile"
    sandbox.commercetools.put("customers", customer(email="old@example.com"))
    assert function.deliver(updated()).outcome == "synced"
    sandbox.klaviyo.says(EMAIL, "NEVER_SUBSCRIBED")
    sandbox.commercetools.put("customers", answering(newsletter=True, version=2))
    result = measured(sandbox, function, updated(2))
    assert SUBSCRIBE not in result.written
    assert "email nothing: no_address_of_this_profile" in result.answer.line["consent"]
    assert (consent(sandbox), consent(sandbox, email="old@example.com")) == ("NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED")
