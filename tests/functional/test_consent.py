"""The customer's newsletter field and Klaviyo's consent: who is subscribed and unsubscribed, and who must not be."""

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, ServeConsent
from tests.functional.consent_shop import (
    EMAIL,
    RULES,
    SUBSCRIBE,
    TIMED,
    UNSUBSCRIBE,
    UPDATE,
    UPSERT,
    ago,
    consent,
    customer_updated,
    customer_with_answer,
    field_message,
    klaviyo_calls,
    profile_of,
)
from tests.functional.documents import address, change


@pytest.fixture
def function(serve_consent: ServeConsent) -> Function:
    """A function that reads consent from `custom.newsletter`."""
    return serve_consent(RULES)


def test_a_yes_subscribes_and_sets_a_marker(sandbox: Sandbox, function: Function) -> None:
    """A yes subscribes by profile id, with commercetools as source. It costs two more calls, the next update none."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    first = measured(sandbox, function, customer_updated())
    assert first.written == (UPSERT, SUBSCRIBE, UPDATE)
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
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=2))
    again = measured(sandbox, function, customer_updated(2))
    assert again.written == (UPSERT,)
    assert again.answer.line["consent"] == ["email nothing: agrees"]


def test_consent_off_reads_no_consent(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Without [consent] the upsert does not request consent, and messages about fields are ignored."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    function = serve_consent("")
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    (call,) = sandbox.klaviyo.requests()
    assert "additional-fields" not in call["path"]
    assert measured(sandbox, function, field_message(True, at=ago(hours=1))).outcome == "ignored disabled"
    assert consent(sandbox) == "NEVER_SUBSCRIBED"


@pytest.mark.parametrize("fields", [{"mailing": False}, {"newsletter": ""}, {"newsletter": "later"}, {}])
@pytest.mark.parametrize("conflict", ["newest", "klaviyo", "commercetools"])
def test_a_renamed_or_missing_field_unsubscribes_nobody(
    sandbox: Sandbox, serve_consent: ServeConsent, fields: dict[str, object], conflict: str
) -> None:
    """A missing field, and a value that is neither yes nor no, change nothing under any `conflict` rule."""
    function = serve_consent(f'{RULES}conflict = "{conflict}"')
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", custom_method_detail="commercetools")
    sandbox.commercetools.put("customers", customer_with_answer(**fields))  # type: ignore[arg-type]
    result = measured(sandbox, function, customer_updated())
    assert result.written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_renaming_the_field_for_everybody_unsubscribes_nobody(sandbox: Sandbox, function: Function) -> None:
    """Customers subscribed by their field stay subscribed when it gets another name, type and default."""
    ids = [f"customer-{number}" for number in range(1, 6)]
    for own_id in ids:
        ticked = customer_with_answer(newsletter=True) | {
            "id": own_id,
            "email": f"{own_id}@example.com",
            "addresses": [],
        }
        sandbox.commercetools.put("customers", ticked)
        assert function.deliver(change("ResourceUpdated", "customer", own_id)).outcome == "synced"
    for own_id in ids:
        renamed = customer_with_answer(mailing=False, version=2) | {
            "id": own_id,
            "email": f"{own_id}@example.com",
            "addresses": [],
        }
        sandbox.commercetools.put("customers", renamed)
        assert function.deliver(change("ResourceUpdated", "customer", own_id, version=2)).outcome == "synced"
    assert UNSUBSCRIBE not in klaviyo_calls(sandbox)
    assert {consent(sandbox, email=f"{own_id}@example.com") for own_id in ids} == {"SUBSCRIBED"}


@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
def test_a_field_that_was_always_false_unsubscribes_nobody(
    sandbox: Sandbox, serve_consent: ServeConsent, conflict: str
) -> None:
    """Somebody who subscribed by a form stays subscribed after edits, and when the field is first set to `false`."""
    function = serve_consent(f'{RULES}conflict = "{conflict}"')
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=30), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2, other=1))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT,)
    added = field_message(False, at=ago(hours=1), version=2)
    assert measured(sandbox, function, added).written == (UPSERT,)
    type_set = added | {"type": "CustomerCustomTypeSet", "customFields": {"fields": {"newsletter": False}}}
    assert measured(sandbox, function, type_set).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_a_changed_phone_number_resubscribes_nobody(sandbox: Sandbox, function: Function) -> None:
    """After unsubscribing by the link in a mail, later edits of the customer don't subscribe again."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert function.deliver(customer_updated()).outcome == "synced"
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", suppression=[{"reason": "UNSUBSCRIBE", "timestamp": ago()}])
    edited = customer_with_answer(newsletter=True, version=2) | {"addresses": [address(mobile="0171 3920015")]}
    sandbox.commercetools.put("customers", edited)
    result = measured(sandbox, function, customer_updated(2))
    assert result.written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert result.answer.line["consent"] == ["email nothing: no_in_klaviyo_and_yes_without_time"]


def test_a_no_unsubscribes_whom_the_field_subscribed(sandbox: Sandbox, function: Function) -> None:
    """A no without a time is enough to end a subscription from the field. It costs two calls, and names no list."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert function.deliver(customer_updated()).outcome == "synced"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert str(profile_of(sandbox)["properties"]["ct_consent_email"]).startswith("no@")
    body = next(call["body"] for call in sandbox.klaviyo.requests() if call["operation"] == UNSUBSCRIBE)
    assert "relationships" not in body["data"]
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    assert measured(sandbox, function, customer_updated(3)).written == (UPSERT,)


def test_a_field_message_gives_the_time_of_the_answer(sandbox: Sandbox, function: Function) -> None:
    """A tick after an unsubscribe link subscribes; an untick after a form unsubscribes; redeliveries change nothing."""
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    ticked = field_message(True, previous=False, at=ago(days=1))
    assert measured(sandbox, function, ticked).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert measured(sandbox, function, ticked).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=20), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    unticked = field_message(False, previous=True, at=ago(hours=10), version=2)
    assert measured(sandbox, function, unticked).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert measured(sandbox, function, unticked).written == (UPSERT,)


@pytest.mark.parametrize("answer", [True, False], ids=["yes", "no"])
def test_a_message_older_than_klaviyos_consent(sandbox: Sandbox, function: Function, *, answer: bool) -> None:
    """A form or an unsubscribe link used after the field changed wins."""
    status = "UNSUBSCRIBED" if answer else "SUBSCRIBED"
    sandbox.klaviyo.set_consent(EMAIL, status, consent_timestamp=ago(hours=1), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=answer))
    late = field_message(answer, previous=not answer, at=ago(days=1))
    assert measured(sandbox, function, late).written == (UPSERT,)
    assert consent(sandbox) == status


def test_an_outdated_message(sandbox: Sandbox, function: Function) -> None:
    """If two field changes arrive out of order, the older one is ignored: its value is no longer the customer's."""
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=9), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    no = field_message(False, previous=True, at=ago(hours=1), version=3)
    yes = field_message(True, previous=False, at=ago(hours=2), version=2)
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, UPDATE)
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
def test_messages_without_consent(
    sandbox: Sandbox, function: Function, delivery: dict[str, object], reason: str
) -> None:
    """Messages about other fields or without payload cost no call: a ResourceUpdated copies the customer."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    result = measured(sandbox, function, delivery)
    assert (result.outcome, result.calls) == (f"ignored {reason}", (0, 0))


def test_one_channel_of_an_object_changes(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """In a field with one answer per channel, a changed answer for texts is no new yes to mails."""
    function = serve_consent('[consent]\nemail = "custom.consent.email"\nsms = "custom.consent.sms"')
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", customer_with_answer(consent={"email": True, "sms": True}))
    changed = field_message({"email": True, "sms": True}, {"email": True, "sms": False}, at=ago(days=1), name="consent")
    assert measured(sandbox, function, changed).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert consent(sandbox, "sms") == "SUBSCRIBED"


def test_a_new_custom_type_is_no_new_yes(sandbox: Sandbox, function: Function) -> None:
    """A migration that sets another custom type with the same fields is no new yes. A first type with a yes is one."""
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    type_set = field_message(True, at=ago(days=1)) | {
        "type": "CustomerCustomTypeSet",
        "customFields": {"fields": {"newsletter": True}},
    }
    assert measured(sandbox, function, type_set | {"previousTypeId": "type-0"}).written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"
    assert measured(sandbox, function, type_set).written == (UPSERT, SUBSCRIBE, UPDATE)


def test_consented_at_gives_the_time(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """With `consented_at` a ResourceUpdated also has the answer's time, and the later of both sides wins."""
    function = serve_consent(TIMED)
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, newsletterAt=ago(days=3)))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, newsletterAt=ago(days=1), version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT, SUBSCRIBE, UPDATE)
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=9), custom_method_detail="Footer")
    sandbox.commercetools.put(
        "customers", customer_with_answer(newsletter=False, newsletterAt=ago(hours=10), version=3)
    )
    assert measured(sandbox, function, customer_updated(3)).written == (UPSERT,)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, newsletterAt=ago(hours=8), version=4))
    assert measured(sandbox, function, customer_updated(4)).written == (UPSERT, UNSUBSCRIBE, UPDATE)


@pytest.mark.parametrize("value", [["yes"], {"answer": "yes"}], ids=["set", "object"])
def test_an_unreadable_answer(sandbox: Sandbox, function: Function, value: object) -> None:
    """A value that can't be an answer is logged as unreadable and changes nothing."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=value))
    result = measured(sandbox, function, customer_updated())
    assert result.written == (UPSERT,)
    assert result.answer.line["cuts"] == ["consent email: consent_unreadable"]


def test_copying_klaviyos_no_back_to_the_shop_does_not_loop(sandbox: Sandbox, function: Function) -> None:
    """If a shop copies Klaviyo's no into its field, that change finds both sides equal and writes nothing."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert function.deliver(customer_updated()).outcome == "synced"
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT,)
    unticked = field_message(False, previous=True, at=ago(), version=2)
    assert measured(sandbox, function, unticked).written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"
