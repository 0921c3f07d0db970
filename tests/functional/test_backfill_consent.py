"""`backfill --with-consent` subscribes past consents at their own time. It sends no mail and unsubscribes nobody."""

from collections.abc import Callable
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.consent_shop import SUBSCRIBE, TIMED, UNSUBSCRIBE, ago
from tests.functional.documents import customer, reference
from tests.functional.job_runs import Job, Json, answered_calls

MANY = 520
"""Customers: enough for a bulk call."""
CUSTOMERS = ("--only", "customers")
WITH = (*CUSTOMERS, "--with-consent")


def numbered_customer(number: int, newsletter: Any, at: str | None) -> Json:
    """A customer with an id and e-mail from this number, and this newsletter answer, given at that time."""
    answers = {"newsletter": newsletter, "newsletterAt": at}
    fields = {name: value for name, value in answers.items() if value is not None}
    custom = {"type": reference("type", "type-1"), "fields": fields}
    return customer(f"c-{number:05d}", email=f"c{number}@shop.example", addresses=[], custom=custom)


@pytest.fixture
def rules(settings_file: Callable[[str], str]) -> str:
    """A sync.toml with the newsletter field and the field of its time."""
    return settings_file(TIMED)


def consents(sandbox: Sandbox) -> dict[str, str]:
    """Consent status by e-mail, of profiles that have one."""
    profiles = [profile for profile in sandbox.klaviyo.state()["profiles"] if "subscriptions" in profile]
    return {profile["email"]: profile["subscriptions"]["email"]["marketing"]["consent"] for profile in profiles}


@pytest.mark.parametrize("text", ["", '[consent]\nemail = "custom.newsletter"\n'], ids=["off", "no time"])
def test_it_refuses_without_a_time_field(
    job: Job, settings_file: Callable[[str], str], sandbox: Sandbox, text: str
) -> None:
    """Without `consented_at` in sync.toml the run stops before any call, and names the missing setting."""
    sandbox.commercetools.put("customers", numbered_customer(1, newsletter=True, at=None))
    end = job.run(*WITH, SYNC_CONFIG=settings_file(text))
    assert end.code == 2
    assert "consented_at" in end.stop_reasons
    assert sandbox.klaviyo.requests() == []


def test_consent_needs_its_option(sandbox: Sandbox, job: Job, rules: str) -> None:
    """Without `--with-consent` a backfill changes no consent: nobody gets a confirmation mail."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", numbered_customer(1, newsletter=True, at=ago(days=9)))
    assert job.run(*CUSTOMERS, SYNC_CONFIG=rules).code == 0
    assert answered_calls(sandbox, SUBSCRIBE) == []
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


@pytest.mark.parametrize("count", [6, MANY], ids=["one by one", "in bulk"])
def test_which_consents_are_loaded(sandbox: Sandbox, job: Job, rules: str, count: int) -> None:
    """A yes is loaded if Klaviyo has no later no and no complaint. A no, and a yes without a time, change nothing."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.klaviyo.consent(double_optin=True)
    given = ago(days=30)
    shop = [numbered_customer(number, newsletter=True, at=given) for number in range(count)]
    shop[1] = numbered_customer(1, newsletter=False, at=given)
    shop[2] = numbered_customer(2, newsletter=True, at=None)
    sandbox.commercetools.put_all({"customers": shop})
    sandbox.klaviyo.set_consent("c1@shop.example", "SUBSCRIBED", consent_timestamp=ago(days=60))
    sandbox.klaviyo.set_consent("c3@shop.example", "UNSUBSCRIBED", consent_timestamp=ago(days=10))
    sandbox.klaviyo.set_consent("c4@shop.example", "UNSUBSCRIBED", consent_timestamp=ago(days=60))
    spam = [{"reason": "SPAM_COMPLAINT", "timestamp": ago(days=60)}]
    sandbox.klaviyo.set_consent("c5@shop.example", "UNSUBSCRIBED", consent_timestamp=ago(days=60), suppression=spam)
    end = job.run(*WITH, SYNC_CONFIG=rules)
    assert end.code == 0, end.stop_reasons
    found = consents(sandbox)
    assert {email: found.pop(email) for email in ("c1@shop.example", "c3@shop.example", "c5@shop.example")} == {
        "c1@shop.example": "SUBSCRIBED",
        "c3@shop.example": "UNSUBSCRIBED",
        "c5@shop.example": "UNSUBSCRIBED",
    }
    assert set(found) == {f"c{number}@shop.example" for number in range(count) if number not in (1, 2, 3, 5)}
    assert set(found.values()) == {"SUBSCRIBED"}
    assert sandbox.klaviyo.state()["confirmations"] == []
    assert answered_calls(sandbox, UNSUBSCRIBE) == []
    bodies = [call["body"]["data"]["attributes"] for call in answered_calls(sandbox, SUBSCRIBE)]
    assert all(body["historical_import"] for body in bodies)
    times = {
        row["attributes"]["subscriptions"]["email"]["marketing"]["consented_at"][:19]
        for body in bodies
        for row in body["profiles"]["data"]
    }
    assert times == {given[:19]}
    assert len(bodies) == (1 if count == MANY else 2)


def test_a_refused_bulk_call_is_split(sandbox: Sandbox, job: Job, settings_file: Callable[[str], str]) -> None:
    """If one number in a bulk call is in an unserved region, all are subscribed one by one, and only that one fails."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.klaviyo.consent(unserved=["+4917"])
    rules = settings_file('[consent]\nsms = "custom.newsletter"\nconsented_at = "custom.newsletterAt"\n')
    shop = [numbered_customer(number, newsletter=number in (3, 4), at=ago(days=3)) for number in range(MANY)]
    for number, mobile in ((3, "0171 3920014"), (4, "0151 11111112")):
        shop[number] |= {"addresses": [{"id": "a", "country": "DE", "mobile": mobile}], "defaultBillingAddressId": "a"}
    sandbox.commercetools.put_all({"customers": shop})
    assert job.run(*WITH, SYNC_CONFIG=rules).code == 0
    subscriptions = {
        one["email"]: one.get("subscriptions") for one in sandbox.klaviyo.state()["profiles"] if one.get("email")
    }
    assert subscriptions["c3@shop.example"] is None
    assert subscriptions["c4@shop.example"]["sms"]["marketing"]["consent"] == "SUBSCRIBED"
