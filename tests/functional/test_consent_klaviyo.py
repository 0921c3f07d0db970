"""Consent and what Klaviyo makes of it: double opt-in, suppressions, texts, jobs, and refusals."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, Function, ServeConsent
from tests.functional.consent_shop import (
    BOTH,
    EMAIL,
    PHONE,
    RULES,
    SUBSCRIBE,
    TIMED,
    UNSUBSCRIBE,
    UPDATE,
    UPSERT,
    ago,
    consent,
    consent_details,
    customer_updated,
    customer_with_answer,
    field_message,
    profile_of,
)
from tests.functional.documents import change, customer, message, order


@pytest.fixture
def function(serve_consent: ServeConsent) -> Function:
    """A function that reads `custom.newsletter`."""
    return serve_consent(RULES)


def test_the_shop_did_double_opt_in(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """`confirmed`: subscribed at the shop's time without a mail; nothing where the time is missing or to come."""
    function = serve_consent(f"{TIMED}confirmed = true")
    sandbox.klaviyo.consent(double_optin=True)
    for version, time in enumerate((None, ago(days=-1), "soon"), start=1):
        sandbox.commercetools.put(
            "customers", customer_with_answer(newsletter=True, newsletterAt=time, version=version)
        )
        result = measured(sandbox, function, customer_updated(version))
        assert result.written == (UPSERT,)
        assert result.answer.line["cuts"] == ["consent email: confirmed_without_time"]
    given = ago(days=40)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, newsletterAt=given, version=9))
    assert measured(sandbox, function, customer_updated(9)).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent_details(sandbox)["consent_timestamp"][:23] == given[:23]
    assert sandbox.klaviyo.state()["confirmations"] == []


@pytest.mark.parametrize("of_list", [False, True], ids=["account", "list"])
def test_double_opt_in_sends_one_mail(sandbox: Sandbox, serve_consent: ServeConsent, *, of_list: bool) -> None:
    """Whatever follows: edits, ticks, redeliveries, and a box at checkout. Confirmed in the end, all agree."""
    function = serve_consent(RULES + 'orders = "custom.newsletter"\n' + ('list = "LIST"' if of_list else ""))
    sandbox.klaviyo.consent(double_optin=not of_list, lists={"LIST": True})
    for version in range(1, 4):
        sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=version))
        assert function.deliver(customer_updated(version)).outcome == "synced"
    told = field_message(True, previous=False, at=ago(seconds=1), version=3)
    assert function.deliver(told).outcome == "synced"
    assert function.deliver(told, deliveryAttempt=2).outcome == "synced"
    assert consent(sandbox) == "NEVER_SUBSCRIBED"
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]
    sandbox.klaviyo.confirm(EMAIL)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=4))
    assert measured(sandbox, function, customer_updated(4)).written == (UPSERT,)


def test_a_marker_that_could_not_be_left(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo takes the subscribe and fails at the marker: the message comes again, and sends no second mail."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    sandbox.klaviyo.fail("^/api/profiles/", method="PATCH", status=503, count=3)
    assert measured(sandbox, function, customer_updated()).outcome == "retried klaviyo_error"
    again = measured(sandbox, function, customer_updated())
    assert again.written == (UPSERT, UPDATE)
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]
    assert str(profile_of(sandbox)["properties"]["ct_consent_email"]).startswith("yes@")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT,)


def test_jobs_take_their_time(sandbox: Sandbox, function: Function) -> None:
    """Ticked, unticked and ticked again while Klaviyo has done nothing yet: the last word stands in the end."""
    sandbox.klaviyo.jobs(3600)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    no = field_message(False, previous=True, at=ago(), version=2)
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, UPDATE), "what was asked is taken back"
    assert measured(sandbox, function, no).written == (UPSERT,)


def test_complaints_and_bounces_stay(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """However new the yes is, and even where the shop always wins."""
    for number, conflict in enumerate(("newest", "commercetools")):
        function = serve_consent(f'{RULES}conflict = "{conflict}"')
        for index, reason in enumerate(("SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL")):
            version = number * 10 + index + 1
            suppression = [{"reason": reason, "timestamp": ago(days=9)}]
            sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=9), suppression=suppression)
            sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=version))
            told = field_message(True, previous=False, at=ago(hours=1), version=version)
            assert measured(sandbox, function, told).written == (UPSERT,)
            assert consent_details(sandbox)["suppression"] == suppression


def test_a_suppression_by_hand_is_lifted_by_a_newer_yes(sandbox: Sandbox, function: Function) -> None:
    """USER_SUPPRESSED counts as a no at its time."""
    suppression = [{"reason": "USER_SUPPRESSED", "timestamp": ago(days=2)}]
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED", suppression=suppression)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=3))).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=1))).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent_details(sandbox)["suppression"]) == ("SUBSCRIBED", [])


def test_mails_and_texts(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Both channels go in one call, each with its marker; one that is taken back leaves the other."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts="yes"))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "SUBSCRIBED")
    assert {"ct_consent_email", "ct_consent_sms"} <= profile_of(sandbox)["properties"].keys()
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts="no", version=2))
    no = field_message("no", previous="yes", at=ago(), version=2, name="texts")
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "UNSUBSCRIBED")


def test_refused_texts_leave_mails_and_profile_right(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """A region without a sending number, and an age that is asked for: the mails alone, and the profile is whole."""
    function = serve_consent(BOTH)
    rules: list[dict[str, Any]] = [{"unserved": ["+49"]}, {"unserved": [], "age_gated": True}]
    for version, refuses in enumerate(rules, start=1):
        sandbox.klaviyo.reset()
        sandbox.klaviyo.consent(**refuses)
        own = f"customer-{version}"
        told = customer_with_answer(newsletter=True, texts=True) | {"id": own, "email": f"{own}@example.com"}
        sandbox.commercetools.put("customers", told)
        result = measured(sandbox, function, change("ResourceUpdated", "customer", own))
        assert result.outcome == "synced"
        assert result.written == (UPSERT, SUBSCRIBE, SUBSCRIBE, UPDATE)
        assert result.answer.line["cuts"] == ["consent sms: refused by Klaviyo"]
        profile = profile_of(sandbox, f"{own}@example.com")
        assert (profile["phone_number"], profile["first_name"]) == (PHONE, "Annika")
        assert consent(sandbox, email=profile["email"]) == "SUBSCRIBED"
        assert consent(sandbox, "sms", profile["email"]) == "NEVER_SUBSCRIBED"
        assert "ct_consent_sms" not in profile["properties"]


def test_texts_without_a_number(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Nobody can be texted without a number: the mails alone."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts=True) | {"addresses": []})
    result = measured(sandbox, function, customer_updated())
    assert result.written == (UPSERT, SUBSCRIBE, UPDATE)
    assert "sms nothing: no_address_of_this_profile" in result.answer.line["consent"]


def test_a_list_that_is_not_there(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """A mistake in the settings holds no customer up: synced with a cut, and an error for the alert."""
    function = serve_consent(f'{RULES}list = "GONE"')
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    result = measured(sandbox, function, customer_updated())
    assert (result.outcome, result.written) == ("synced", (UPSERT, SUBSCRIBE))
    assert result.answer.line["cuts"] == ["consent: the list is unknown"]
    assert [line["reason"] for line in function.lines() if line["severity"] == "ERROR"] == ["consent_list"]
    sandbox.klaviyo.consent(lists={"GONE": False})
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT, SUBSCRIBE, UPDATE)


@pytest.mark.parametrize("missing", ["subscriptions:write", "lists:write"])
def test_a_missing_scope(sandbox: Sandbox, function: Function, missing: str) -> None:
    """Retried like any denial, so nothing is lost; the profile is written already."""
    scopes = {"profiles:read", "profiles:write", "subscriptions:write", "lists:write"}
    sandbox.klaviyo.keys(scopes=sorted(scopes - {missing}))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).outcome == "retried klaviyo_denied"
    sandbox.klaviyo.keys(scopes=sorted(scopes))
    assert measured(sandbox, function, customer_updated()).outcome == "synced"
    assert consent(sandbox) == "SUBSCRIBED"


def test_an_answer_that_can_not_be_read(sandbox: Sandbox, function: Function) -> None:
    """The upsert is done, and Klaviyo's answer says nothing of consent: nobody is subscribed on a guess."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    bodies: list[dict[str, Any]] = [{"data": {}}]
    bodies += [{"data": {"id": "x", "attributes": {"created": ago(), "email": EMAIL}}}]
    for body in bodies:
        sandbox.klaviyo.fail("profile-import", status=200, body=body, apply=True, count=1)
        result = measured(sandbox, function, customer_updated())
        assert (result.outcome, result.written) == ("synced", (UPSERT,))
        assert result.answer.line["cuts"] == ["consent email: klaviyo_does_not_say"]


def test_an_email_of_another_profile(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo leaves the e-mail with the profile that has it: that one's consent is not this customer's to give."""
    assert function.deliver(customer_updated()).reason == "deleted_meanwhile"
    sandbox.commercetools.put("customers", customer(email="old@example.com"))
    assert function.deliver(customer_updated()).outcome == "synced"
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=2))
    result = measured(sandbox, function, customer_updated(2))
    assert SUBSCRIBE not in result.written
    assert "email nothing: no_address_of_this_profile" in result.answer.line["consent"]
    assert (consent(sandbox), consent(sandbox, email="old@example.com")) == ("NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED")


def test_many_messages_at_once_ask_once(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Changes of the customer, ticks, and a guest's orders under the same e-mail, at the same time: one mail."""
    function = serve_consent(f'{RULES}orders = "custom.newsletter"')
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    sandbox.klaviyo.fail("bulk-create-jobs", delay=0.2)
    deliveries: list[dict[str, Any]] = [customer_updated(), field_message(True, previous=False, at=ago(minutes=1))]
    for number in range(4):
        box = {"custom": {"fields": {"newsletter": True}}, "createdAt": ago(minutes=number)}
        told = order(f"order-{number}", customerId=None, customerEmail=EMAIL) | box
        deliveries.append(message("OrderCreated", "order", told["id"], order=told))
    with ThreadPoolExecutor(len(deliveries)) as pool:
        answers = list(pool.map(function.deliver, deliveries))
    while waiting := [one for one, answer in zip(deliveries, answers, strict=True) if answer.status != ACKNOWLEDGED]:
        answers = [function.deliver(one) for one in waiting]
        deliveries = waiting
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]


def test_a_yes_of_this_moment_with_confirmed(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Klaviyo's clock may be behind: the time that it is told lies in its past as well."""
    function = serve_consent(f"{RULES}confirmed = true")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    told = field_message(True, previous=False, at=ago(seconds=-2))
    assert measured(sandbox, function, told).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent_details(sandbox)["consent_timestamp"] < ago(seconds=4)


@pytest.mark.parametrize("operation", ["bulk-create-jobs", "bulk-delete-jobs"])
def test_a_refusal_that_nobody_knows(sandbox: Sandbox, function: Function, operation: str) -> None:
    """The profile is written, and the letter says that it is about consent."""
    answer = "create" in operation
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED" if answer else "SUBSCRIBED", consent_timestamp=ago(days=3))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=answer))
    sandbox.klaviyo.fail(f"subscription-{operation}", status=400)
    result = measured(sandbox, function, field_message(answer, previous=not answer, at=ago(hours=1)))
    assert (result.answer.reason, result.answer.line["part"]) == ("klaviyo_refused", "consent")
    assert profile_of(sandbox)["first_name"] == "Annika"


@pytest.mark.parametrize("operation", ["bulk-create-jobs", "bulk-delete-jobs"])
def test_an_outage_between_profile_and_consent(sandbox: Sandbox, function: Function, operation: str) -> None:
    """Retried, and done by the next attempt."""
    subscribes = "create" in operation
    sandbox.klaviyo.set_consent(
        EMAIL, "NEVER_SUBSCRIBED" if subscribes else "SUBSCRIBED", consent_timestamp=ago(days=3)
    )
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=subscribes))
    sandbox.klaviyo.fail(f"subscription-{operation}", status=503, count=3)
    told = field_message(subscribes, previous=not subscribes, at=ago(hours=1))
    assert measured(sandbox, function, told).outcome == "retried klaviyo_error"
    assert measured(sandbox, function, told).written == (UPSERT, SUBSCRIBE if subscribes else UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == ("SUBSCRIBED" if subscribes else "UNSUBSCRIBED")
