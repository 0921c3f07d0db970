"""`manage.py preview` says in words what would happen to consent and why, but changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from commands.consent_words import consent_in_words
from commands.processes import Sandbox
from mappers.consent import Reason
from tests.functional.conftest import Run
from tests.functional.consent_shop import BOTH, EMAIL, ago, customer_with_answer


@pytest.fixture
def previewed(run: Run, settings_file: Callable[[str], str]) -> Callable[..., str]:
    """Preview the customer under these rules; return the output."""

    def preview(rules: str, *options: str) -> str:
        result = run("preview", "customer", "customer-1", *options, SYNC_CONFIG=settings_file(rules), COLUMNS="300")
        assert result.exit_code == 0, result.output
        return result.output

    return preview


def test_a_yes_and_a_no(sandbox: Sandbox, previewed: Callable[..., str]) -> None:
    """The preview shows the calls and the reason for each channel. A second run says the same: nothing changed."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True, texts=False))
    sandbox.klaviyo.set_consent(EMAIL, "NEVER_SUBSCRIBED")
    before = sandbox.klaviyo.state()
    for _ in range(2):
        output = previewed(BOTH)
        assert f"subscribe {EMAIL} (email)" in output
        assert "consent email: subscribe, because the shop says yes, and Klaviyo has no answer yet" in output
        assert "consent sms: no change, because Klaviyo agrees with the shop" in output
        assert "save the decision on profile 01SANDBOX" in output
    assert sandbox.klaviyo.state() == before


def test_a_customer_whom_klaviyo_does_not_know(sandbox: Sandbox, previewed: Callable[..., str]) -> None:
    """Klaviyo has no answer yet for a new profile, so the shop's yes counts."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    (report,) = json.loads(previewed(BOTH, "--json"))
    assert report["consent"] == ["email subscribe: yes_and_never_subscribed", "sms nothing: shop_says_nothing"]
    assert [request["path"] for request in report["requests"]] == [
        "/api/profile-import",
        "/api/profile-subscription-bulk-create-jobs",
        "/api/profiles/preview",
    ]
    assert sandbox.klaviyo.state()["profiles"] == []


def test_why_a_customer_is_not_subscribed(sandbox: Sandbox, previewed: Callable[..., str]) -> None:
    """The preview explains why a customer who ticked the box gets no mail: support is often asked that."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=1))
    output = previewed(BOTH, "--diff")
    assert "the person said no in Klaviyo, and the shop's yes has no time" in output
    assert "subscribe " not in output


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason: Reason) -> None:
    """No reason is shown as its log code."""
    text: Any = consent_in_words(f"email nothing: {reason}")
    assert text.startswith("email: no change, because ")
    assert not text.endswith(reason.value)
