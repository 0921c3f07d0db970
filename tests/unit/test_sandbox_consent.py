"""The Klaviyo stand-in's consent: what its jobs reject, which suppressions they lift, and double opt-in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openapi_client.models import PatchProfileResponse

from sandbox import Control
from sandbox.calls import Calls, Response
from tests.fake_clock import FakeClock
from tests.unit.klaviyo_bodies import profile, refusal

EMAIL, PHONE = "jane@x.io", "+4915112345678"
SUBSCRIBE, UNSUBSCRIBE = "profile-subscription-bulk-create-job", "profile-subscription-bulk-delete-job"
PAST = (datetime.now(UTC) - timedelta(days=9)).isoformat()
FUTURE = (datetime.now(UTC) + timedelta(days=9)).isoformat()


def row(consent: str = "SUBSCRIBED", at: str | None = None, channel: str = "email", **attributes: Any) -> Any:
    """A row of a job."""
    time = {"consented_at": at} if at else {}
    subscriptions = {channel: {"marketing": {"consent": consent, **time}}}
    own_id = {"id": attributes.pop("id")} if "id" in attributes else {}
    return {"type": "profile", **own_id, "attributes": {**attributes, "subscriptions": subscriptions}}


def job(calls: Calls, kind: str, *rows: Any, in_list: str = "", **attributes: Any) -> Response:
    """Post a job with these rows and return the answer."""
    data: dict[str, Any] = {"type": kind, "attributes": {"profiles": {"data": list(rows)}, **attributes}}
    if in_list:
        data["relationships"] = {"list": {"data": {"type": "list", "id": in_list}}}
    return calls("POST", f"/api/{kind}s", {"data": data})


def marketing(calls: Calls, email: str = EMAIL, channel: str = "email") -> Any:
    """A channel's consent, as the answer to an upsert shows it."""
    answer = calls(
        "POST", "/api/profile-import", profile(email=email), query={"additional-fields[profile]": "subscriptions"}
    )
    return answer.body["data"]["attributes"]["subscriptions"][channel]["marketing"]


def test_consent_is_shown_on_request(calls: Calls) -> None:
    """The upsert, the PATCH and the list return `subscriptions` on request, in a form that the SDK's model accepts."""
    plain = calls("POST", "/api/profile-import", profile(email=EMAIL))
    assert "subscriptions" not in plain.body["data"]["attributes"]
    assert marketing(calls)["consent"] == "NEVER_SUBSCRIBED"
    own_id = plain.body["data"]["id"]
    query = {"additional-fields[profile]": "subscriptions"}
    patched = calls("PATCH", f"/api/profiles/{own_id}", profile(own_id, title="Dr"), query=query)
    PatchProfileResponse.from_dict(patched.body)
    (listed,) = calls("GET", "/api/profiles", query=query).body["data"]
    assert listed["attributes"]["subscriptions"] == patched.body["data"]["attributes"]["subscriptions"]
    odd = calls("GET", "/api/profiles", query={"additional-fields[profile]": "everything"})
    assert odd.status == 400


@pytest.mark.parametrize(
    ("rows", "options", "pointer"),
    [
        ([], {}, "/data/attributes/profiles/data"),
        ([row(email=EMAIL)] * 1001, {}, "/data/attributes/profiles/data"),
        ([row(at=PAST, email=EMAIL)], {}, "/data/attributes/profiles/data/0/attributes/subscriptions/email"),
        (
            [row(email=EMAIL)],
            {"historical_import": True},
            "/data/attributes/profiles/data/0/attributes/subscriptions/email",
        ),
        (
            [row(at=FUTURE, email=EMAIL)],
            {"historical_import": True},
            "/data/attributes/profiles/data/0/attributes/subscriptions/email",
        ),
        ([row(email=EMAIL), row(email="no mail")], {}, "/data/attributes/profiles/data/1/attributes/email"),
        ([row(channel="sms", email=EMAIL)], {}, "/data/attributes/profiles/data/0/attributes/phone_number"),
        ([row("UNSUBSCRIBED", email=EMAIL)], {},
         "/data/attributes/profiles/data/0/attributes/subscriptions/email/marketing/consent"),
    ],
)  # fmt: skip
def test_an_invalid_job_subscribes_nobody(
    control: Control, calls: Calls, rows: Any, options: Any, pointer: str
) -> None:
    """400 with a pointer, and nobody is subscribed."""
    assert refusal(job(calls, SUBSCRIBE, *rows, **options)) == (400, "invalid", pointer)
    assert control.state()["profiles"] == []


def test_some_phone_numbers_are_refused(control: Control, calls: Calls) -> None:
    """A region without a sending number, or an age-gated account without a date of birth, is rejected."""
    subscription = row(channel="sms", phone_number=PHONE)
    control.consent(unserved=["+49"])
    assert refusal(job(calls, SUBSCRIBE, subscription))[2] == "/data/attributes/profiles/data/0/attributes/phone_number"
    control.consent(unserved=[], age_gated=True)
    assert refusal(job(calls, SUBSCRIBE, subscription))[0] == 400
    assert (
        job(calls, SUBSCRIBE, row(channel="sms", phone_number=PHONE, age_gated_date_of_birth="1990-01-01")).status
        == 202
    )


def test_an_unsubscribe_job_has_limits(calls: Calls) -> None:
    """A job unsubscribes at most 100 profiles, and rejects rows with an id."""
    rows = [row("UNSUBSCRIBED", email=f"p{number}@x.io") for number in range(101)]
    assert job(calls, UNSUBSCRIBE, *rows).status == 400
    assert job(calls, UNSUBSCRIBE, *rows[:100]).status == 202
    assert job(calls, UNSUBSCRIBE, row("UNSUBSCRIBED", id="x", email=EMAIL)).status == 400


def test_consent_changes_once_the_job_is_processed(control: Control, calls: Calls, sandbox_clock: FakeClock) -> None:
    """The answer is 202 without a body. The profile is unchanged until the job is processed."""
    control.jobs(0.6)
    answer = job(calls, SUBSCRIBE, row(email=EMAIL), custom_source="us")
    assert (answer.status, answer.body) == (202, None)
    assert marketing(calls)["consent"] == "NEVER_SUBSCRIBED"
    sandbox_clock.sleep(0.6)
    assert marketing(calls)["consent"] == "SUBSCRIBED"
    assert marketing(calls)["custom_method_detail"] == "us"


def test_subscribing_lifts_suppressions(control: Control, calls: Calls) -> None:
    """Repeating a subscribe is dangerous: it lifts unsubscribes, manual suppressions and complaints. Bounces stay."""
    reasons = ("UNSUBSCRIBE", "USER_SUPPRESSED", "SPAM_COMPLAINT", "HARD_BOUNCE")
    control.set_consent(
        EMAIL, "UNSUBSCRIBED", suppression=[{"reason": reason, "timestamp": PAST} for reason in reasons]
    )
    assert job(calls, SUBSCRIBE, row(email=EMAIL)).status == 202
    email = marketing(calls)
    assert (email["consent"], [entry["reason"] for entry in email["suppression"]]) == ("SUBSCRIBED", ["HARD_BOUNCE"])
    assert email["can_receive_email_marketing"] is False


def test_double_opt_in_waits_for_a_confirmation(control: Control, calls: Calls) -> None:
    """The account decides, or the list if one is given. A historical import skips double opt-in."""
    control.consent(double_optin=True, lists={"ONE": False, "TWO": True})
    assert job(calls, SUBSCRIBE, row(email=EMAIL)).status == 202
    assert (marketing(calls)["consent"], control.state()["confirmations"]) == ("NEVER_SUBSCRIBED", [EMAIL])
    control.confirm(EMAIL)
    assert marketing(calls)["consent"] == "SUBSCRIBED"
    job(calls, SUBSCRIBE, row(email="one@x.io"), in_list="ONE")
    job(calls, SUBSCRIBE, row(email="two@x.io"), in_list="TWO")
    job(calls, SUBSCRIBE, row(at=PAST, email="past@x.io"), historical_import=True)
    assert control.state()["confirmations"] == [EMAIL, "two@x.io"]
    assert [marketing(calls, f"{name}@x.io")["consent"] for name in ("one", "two", "past")] == [
        "SUBSCRIBED", "NEVER_SUBSCRIBED", "SUBSCRIBED",
    ]  # fmt: skip
    assert marketing(calls, "past@x.io")["consent_timestamp"] == PAST
    assert refusal(job(calls, SUBSCRIBE, row(email=EMAIL), in_list="GONE"))[:2] == (404, "not_found")


def test_unsubscribing_from_a_list_depends_on_membership(control: Control, calls: Calls) -> None:
    """A member leaves the list only; a profile that is not a member is unsubscribed altogether."""
    control.consent(lists={"ONE": False})
    job(calls, SUBSCRIBE, row(email=EMAIL), in_list="ONE")
    job(calls, UNSUBSCRIBE, row("UNSUBSCRIBED", email=EMAIL), in_list="ONE")
    assert marketing(calls)["consent"] == "SUBSCRIBED"
    job(calls, UNSUBSCRIBE, row("UNSUBSCRIBED", email=EMAIL), in_list="ONE")
    email = marketing(calls)
    assert (email["consent"], email["suppression"][0]["reason"]) == ("UNSUBSCRIBED", "UNSUBSCRIBE")


def test_a_row_is_matched_by_id_first(control: Control, calls: Calls) -> None:
    """The id is matched before e-mail and phone number; without a match a profile is created."""
    own_id = calls("POST", "/api/profile-import", profile(external_id="c1", phone_number=PHONE)).body["data"]["id"]
    job(calls, SUBSCRIBE, row(id=own_id, channel="sms", phone_number=PHONE))
    job(calls, SUBSCRIBE, row(email="new@x.io"))
    assert sorted(person.get("email", "") for person in control.state()["profiles"]) == ["", "new@x.io"]
    assert marketing(calls, "new@x.io", "sms")["consent"] == "NEVER_SUBSCRIBED"
    assert "custom_method_detail" not in marketing(calls, "new@x.io", "sms")


@pytest.mark.parametrize("missing", ["subscriptions:write", "lists:write", "profiles:write"])
def test_a_job_needs_three_scopes(control: Control, calls: Calls, missing: str) -> None:
    """Both jobs need all three scopes; without any one of them they answer 403, whatever the body."""
    control.keys(scopes=sorted({"subscriptions:write", "lists:write", "profiles:write"} - {missing}))
    assert job(calls, SUBSCRIBE).status == job(calls, UNSUBSCRIBE).status == 403


def test_a_list_shows_its_opt_in_process(control: Control, calls: Calls) -> None:
    """A list shows its opt-in process; an unknown list gives 404."""
    control.consent(lists={"ONE": True})
    assert calls("GET", "/api/lists/ONE").body["data"]["attributes"]["opt_in_process"] == "double_opt_in"
    assert calls("GET", "/api/lists/TWO").status == 404
