"""`backfill --with-consent`: the shop's past consent, at its own time, without a mail, and nobody unsubscribed."""

from collections.abc import Callable
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.consent_shop import SUBSCRIBE, TIMED, UNSUBSCRIBE, ago
from tests.functional.documents import customer, reference
from tests.functional.job_runs import Job, Json, answered_calls

MANY = 520
"""More than are done one by one."""
CUSTOMERS = ("--only", "customers")
WITH = (*CUSTOMERS, "--with-consent")


def one(number: int, newsletter: Any, at: str | None) -> Json:
    """A customer who said this at that time."""
    told = {"newsletter": newsletter, "newsletterAt": at}
    fields = {name: value for name, value in told.items() if value is not None}
    custom = {"type": reference("type", "type-1"), "fields": fields}
    return customer(f"c-{number:05d}", email=f"c{number}@shop.example", addresses=[], custom=custom)


@pytest.fixture
def rules(settings_file: Callable[[str], str]) -> str:
    """A sync.toml with the field and its time."""
    return settings_file(TIMED)


def consents(sandbox: Sandbox) -> dict[str, str]:
    """Consent by e-mail, of those of whom Klaviyo has any."""
    profiles = [profile for profile in sandbox.klaviyo.state()["profiles"] if "subscriptions" in profile]
    return {profile["email"]: profile["subscriptions"]["email"]["marketing"]["consent"] for profile in profiles}


@pytest.mark.parametrize("told", ["", '[consent]\nemail = "custom.newsletter"\n'], ids=["off", "no time"])
def test_without_a_time_it_refuses(job: Job, settings_file: Callable[[str], str], sandbox: Sandbox, told: str) -> None:
    """Nothing is done, and the reason says what is missing."""
    sandbox.commercetools.put("customers", one(1, newsletter=True, at=None))
    end = job.run(*WITH, SYNC_CONFIG=settings_file(told))
    assert end.code == 2
    assert "consented_at" in end.stop_reasons
    assert sandbox.klaviyo.requests() == []


def test_a_backfill_changes_no_consent_unless_it_is_told(sandbox: Sandbox, job: Job, rules: str) -> None:
    """A shop's past must not send a confirmation mail to everybody."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.commercetools.put("customers", one(1, newsletter=True, at=ago(days=9)))
    assert job.run(*CUSTOMERS, SYNC_CONFIG=rules).code == 0
    assert answered_calls(sandbox, SUBSCRIBE) == []
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


@pytest.mark.parametrize("count", [6, MANY], ids=["one by one", "in bulk"])
def test_what_is_loaded(sandbox: Sandbox, job: Job, rules: str, count: int) -> None:
    """The table holds: a later no in Klaviyo stays, complaints stay, a no and a yes without time say nothing."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.klaviyo.consent(double_optin=True)
    given = ago(days=30)
    shop = [one(number, newsletter=True, at=given) for number in range(count)]
    shop[1] = one(1, newsletter=False, at=given)
    shop[2] = one(2, newsletter=True, at=None)
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


def test_a_bulk_call_that_is_refused(sandbox: Sandbox, job: Job, settings_file: Callable[[str], str]) -> None:
    """One number of a region that is not served: all are done one by one, and only that one gets no texts."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.klaviyo.consent(unserved=["+4917"])
    texts = settings_file('[consent]\nsms = "custom.newsletter"\nconsented_at = "custom.newsletterAt"\n')
    shop = [one(number, newsletter=number in (3, 4), at=ago(days=3)) for number in range(MANY)]
    for number, mobile in ((3, "0171 3920014"), (4, "0151 11111112")):
        shop[number] |= {"addresses": [{"id": "a", "country": "DE", "mobile": mobile}], "defaultBillingAddressId": "a"}
    sandbox.commercetools.put_all({"customers": shop})
    assert job.run(*WITH, SYNC_CONFIG=texts).code == 0
    told = {one["email"]: one.get("subscriptions") for one in sandbox.klaviyo.state()["profiles"] if one.get("email")}
    assert told["c3@shop.example"] is None
    assert told["c4@shop.example"]["sms"]["marketing"]["consent"] == "SUBSCRIBED"
