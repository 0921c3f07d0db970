"""Consent under Klaviyo's rules: double opt-in, suppressions, texts, asynchronous jobs, and refusals."""

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
    """A function that reads consent from `custom.newsletter`."""
    return serve_consent(RULES)


def test_consent_confirmed_by_the_shop(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """With `confirmed` the shop's time is used and no mail is sent. A missing or future time subscribes nobody."""
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
    """Edits, further ticks and redeliveries send no second confirmation mail. Once confirmed, both sides agree."""
    function = serve_consent(RULES + 'orders = "custom.newsletter"\n' + ('list = "LIST"' if of_list else ""))
    sandbox.klaviyo.consent(double_optin=not of_list, lists={"LIST": True})
    for version in range(1, 4):
        sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=version))
        assert function.deliver(customer_updated(version)).outcome == "synced"
    ticked = field_message(True, previous=False, at=ago(seconds=1), version=3)
    assert function.deliver(ticked).outcome == "synced"
    assert function.deliver(ticked, deliveryAttempt=2).outcome == "synced"
    assert consent(sandbox) == "NEVER_SUBSCRIBED"
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]
    sandbox.klaviyo.confirm(EMAIL)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=4))
    assert measured(sandbox, function, customer_updated(4)).written == (UPSERT,)


def test_a_marker_that_could_not_be_written(sandbox: Sandbox, function: Function) -> None:
    """If writing the marker fails after the subscribe, the redelivery writes it and sends no second mail."""
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


def test_answers_that_change_before_klaviyos_job_is_done(sandbox: Sandbox, function: Function) -> None:
    """A no that follows before Klaviyo has processed the yes is sent too, once."""
    sandbox.klaviyo.jobs(3600)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    no = field_message(False, previous=True, at=ago(), version=2)
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, UPDATE), (
        "the pending subscription must be taken back"
    )
    assert measured(sandbox, function, no).written == (UPSERT,)


def test_complaints_and_bounces_stay(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Complaints and bounces stay suppressed, however new the yes is, and even if the shop always wins."""
    for number, conflict in enumerate(("newest", "commercetools")):
        function = serve_consent(f'{RULES}conflict = "{conflict}"')
        for index, reason in enumerate(("SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL")):
            version = number * 10 + index + 1
            suppression = [{"reason": reason, "timestamp": ago(days=9)}]
            sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=9), suppression=suppression)
            sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=version))
            ticked = field_message(True, previous=False, at=ago(hours=1), version=version)
            assert measured(sandbox, function, ticked).written == (UPSERT,)
            assert consent_details(sandbox)["suppression"] == suppression


def test_a_newer_yes_lifts_a_manual_suppression(sandbox: Sandbox, function: Function) -> None:
    """USER_SUPPRESSED counts as a no at its time, so only a later yes subscribes."""
    suppression = [{"reason": "USER_SUPPRESSED", "timestamp": ago(days=2)}]
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED", suppression=suppression)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=3))).written == (UPSERT,)
    assert measured(sandbox, function, field_message(True, at=ago(days=1))).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent_details(sandbox)["suppression"]) == ("SUBSCRIBED", [])


def test_mails_and_texts(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Both channels are subscribed in one call, each with its marker. Ending one leaves the other."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts="yes"))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "SUBSCRIBED")
    assert {"ct_consent_email", "ct_consent_sms"} <= profile_of(sandbox)["properties"].keys()
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts="no", version=2))
    no = field_message("no", previous="yes", at=ago(), version=2, name="texts")
    assert measured(sandbox, function, no).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert (consent(sandbox), consent(sandbox, "sms")) == ("SUBSCRIBED", "UNSUBSCRIBED")


def test_refused_texts_do_not_affect_mails(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """If Klaviyo refuses texts, for an unserved region or an age gate, mails and the profile are still right."""
    function = serve_consent(BOTH)
    refusals: list[dict[str, Any]] = [{"unserved": ["+49"]}, {"unserved": [], "age_gated": True}]
    for version, refusal in enumerate(refusals, start=1):
        sandbox.klaviyo.reset()
        sandbox.klaviyo.consent(**refusal)
        own_id = f"customer-{version}"
        ticked = customer_with_answer(newsletter=True, texts=True) | {"id": own_id, "email": f"{own_id}@example.com"}
        sandbox.commercetools.put("customers", ticked)
        result = measured(sandbox, function, change("ResourceUpdated", "customer", own_id))
        assert result.outcome == "synced"
        assert result.written == (UPSERT, SUBSCRIBE, SUBSCRIBE, UPDATE)
        assert result.answer.line["cuts"] == ["consent sms: refused by Klaviyo"]
        profile = profile_of(sandbox, f"{own_id}@example.com")
        assert (profile["phone_number"], profile["first_name"]) == (PHONE, "Annika")
        assert consent(sandbox, email=profile["email"]) == "SUBSCRIBED"
        assert consent(sandbox, "sms", profile["email"]) == "NEVER_SUBSCRIBED"
        assert "ct_consent_sms" not in profile["properties"]


def test_texts_without_a_number(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Without a phone number only mails are subscribed."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts=True) | {"addresses": []})
    result = measured(sandbox, function, customer_updated())
    assert result.written == (UPSERT, SUBSCRIBE, UPDATE)
    assert "sms nothing: no_address_of_this_profile" in result.answer.line["consent"]


def test_a_missing_list(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """A missing list in the settings fails no message: the consent is skipped, and an ERROR line triggers the alert."""
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
    """A missing scope is retried like any denied call, so no consent is lost."""
    scopes = {"profiles:read", "profiles:write", "subscriptions:write", "lists:write"}
    sandbox.klaviyo.keys(scopes=sorted(scopes - {missing}))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    assert measured(sandbox, function, customer_updated()).outcome == "retried klaviyo_denied"
    sandbox.klaviyo.keys(scopes=sorted(scopes))
    assert measured(sandbox, function, customer_updated()).outcome == "synced"
    assert consent(sandbox) == "SUBSCRIBED"


def test_an_upsert_answer_without_consent(sandbox: Sandbox, function: Function) -> None:
    """If Klaviyo's answer to the upsert has no consent, nobody is subscribed."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    bodies: list[dict[str, Any]] = [{"data": {}}]
    bodies += [{"data": {"id": "x", "attributes": {"created": ago(), "email": EMAIL}}}]
    for body in bodies:
        sandbox.klaviyo.fail("profile-import", status=200, body=body, apply=True, count=1)
        result = measured(sandbox, function, customer_updated())
        assert (result.outcome, result.written) == ("synced", (UPSERT,))
        assert result.answer.line["cuts"] == ["consent email: klaviyo_does_not_say"]


def test_an_email_of_another_profile(sandbox: Sandbox, function: Function) -> None:
    """If the customer's e-mail belongs to another profile in Klaviyo, that profile is not subscribed."""
    sandbox.commercetools.put("customers", customer(email="old@example.com"))
    assert function.deliver(customer_updated()).outcome == "synced"
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, version=2))
    result = measured(sandbox, function, customer_updated(2))
    assert SUBSCRIBE not in result.written
    assert "email nothing: no_address_of_this_profile" in result.answer.line["consent"]
    assert (consent(sandbox), consent(sandbox, email="old@example.com")) == ("NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED")


def test_concurrent_messages_send_one_mail(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Concurrent changes, ticks and guest orders with the same e-mail send one confirmation mail."""
    function = serve_consent(f'{RULES}orders = "custom.newsletter"')
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    sandbox.klaviyo.fail("bulk-create-jobs", delay=0.2)
    deliveries: list[dict[str, Any]] = [customer_updated(), field_message(True, previous=False, at=ago(minutes=1))]
    for number in range(4):
        box = {"custom": {"fields": {"newsletter": True}}, "createdAt": ago(minutes=number)}
        placed = order(f"order-{number}", customerId=None, customerEmail=EMAIL) | box
        deliveries.append(message("OrderCreated", "order", placed["id"], order=placed))
    with ThreadPoolExecutor(len(deliveries)) as pool:
        answers = list(pool.map(function.deliver, deliveries))
    while waiting := [one for one, answer in zip(deliveries, answers, strict=True) if answer.status != ACKNOWLEDGED]:
        answers = [function.deliver(one) for one in waiting]
        deliveries = waiting
    assert sandbox.klaviyo.state()["confirmations"] == [EMAIL]


def test_a_confirmed_yes_of_this_moment(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The time sent to Klaviyo is at least a few seconds in the past, in case Klaviyo's clock is behind."""
    function = serve_consent(f"{RULES}confirmed = true")
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    ticked = field_message(True, previous=False, at=ago(seconds=-2))
    assert measured(sandbox, function, ticked).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent_details(sandbox)["consent_timestamp"] < ago(seconds=4)


@pytest.mark.parametrize("operation", ["bulk-create-jobs", "bulk-delete-jobs"])
def test_an_unknown_refusal(sandbox: Sandbox, function: Function, operation: str) -> None:
    """If Klaviyo refuses consent for an unknown reason, the profile is written and the dead letter names consent."""
    subscribes = "create" in operation
    status = "NEVER_SUBSCRIBED" if subscribes else "SUBSCRIBED"
    sandbox.klaviyo.set_consent(EMAIL, status, consent_timestamp=ago(days=3))
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=subscribes))
    sandbox.klaviyo.fail(f"subscription-{operation}", status=400)
    result = measured(sandbox, function, field_message(subscribes, previous=not subscribes, at=ago(hours=1)))
    assert (result.answer.reason, result.answer.line["part"]) == ("klaviyo_refused", "consent")
    assert profile_of(sandbox)["first_name"] == "Annika"


@pytest.mark.parametrize("operation", ["bulk-create-jobs", "bulk-delete-jobs"])
def test_an_outage_between_profile_and_consent(sandbox: Sandbox, function: Function, operation: str) -> None:
    """An outage after the upsert is retried, and the next attempt changes the consent."""
    subscribes = "create" in operation
    sandbox.klaviyo.set_consent(
        EMAIL, "NEVER_SUBSCRIBED" if subscribes else "SUBSCRIBED", consent_timestamp=ago(days=3)
    )
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=subscribes))
    sandbox.klaviyo.fail(f"subscription-{operation}", status=503, count=3)
    changed = field_message(subscribes, previous=not subscribes, at=ago(hours=1))
    assert measured(sandbox, function, changed).outcome == "retried klaviyo_error"
    assert measured(sandbox, function, changed).written == (UPSERT, SUBSCRIBE if subscribes else UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == ("SUBSCRIBED" if subscribes else "UNSUBSCRIBED")
