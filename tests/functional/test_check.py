"""`manage.py check` names what is missing, and what to do about it."""

import json
import re
from collections.abc import Callable

import pytest

from commands.processes import Sandbox
from handlers.registry import registrations
from tests.functional.conftest import ManagePy

ALL_SCOPES = [
    "profiles:read",
    "profiles:write",
    "events:write",
    "catalogs:read",
    "catalogs:write",
    "data-privacy:write",
]


@pytest.mark.usefixtures("subscribed")
def test_all_is_well(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """Every line is fine, nothing is changed at Klaviyo, and no secret is shown."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    before = sandbox.klaviyo.state()
    result = manage_py("check")
    assert result.exit_code == 0, result.output
    assert not re.search("FAILED|WARNING", result.output)
    for scope in ALL_SCOPES:
        assert f"ok      Klaviyo: the key has the scope {scope}" in result.output
    assert sandbox.klaviyo.state() == before
    assert "sandbox-secret" not in result.output


@pytest.mark.usefixtures("subscribed")
@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_a_missing_scope_of_the_key_is_named(sandbox: Sandbox, manage_py: ManagePy, scope: str) -> None:
    """Only that line fails, and says what to do."""
    sandbox.klaviyo.keys(scopes=[one for one in ALL_SCOPES if one != scope])
    result = manage_py("check")
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED")]
    assert failed == [f"FAILED  Klaviyo: the key has the scope {scope}"]


@pytest.mark.usefixtures("subscribed")
def test_a_comparison_needs_more(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """With --reconcile the scope of metrics is checked too."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    assert manage_py("check").exit_code == 0
    result = manage_py("check", "--reconcile")
    assert result.exit_code == 1
    assert "FAILED  Klaviyo: the key has the scope metrics:read" in result.output
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, "metrics:read"])
    assert manage_py("check", "--reconcile").exit_code == 0


@pytest.mark.usefixtures("subscribed")
def test_a_backfill_needs_more(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """With --backfill its scopes are checked too, and nothing is imported."""
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, "lists:read", "accounts:read"])
    assert manage_py("check").exit_code == 0
    result = manage_py("check", "--backfill")
    assert result.exit_code == 1
    assert "ok      Klaviyo: the key has the scope lists:read" in result.output
    assert "FAILED  Klaviyo: the key has the scope lists:write" in result.output
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, "lists:read", "lists:write", "accounts:read"])
    assert manage_py("check", "--backfill").exit_code == 0
    assert sandbox.klaviyo.state()["profiles"] == []


def test_an_unknown_key_is_said_once(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """401: the key, not its scopes."""
    sandbox.klaviyo.keys(accepted=["another"])
    result = manage_py("check")
    assert result.exit_code == 1
    assert result.output.count("check KLAVIYO_AUTH_KEY") == 1


def test_nothing_answers(manage_py: ManagePy) -> None:
    """Both backends are down: each is said in a line with its address' setting."""
    nowhere = "http://127.0.0.1:9"
    result = manage_py("check", CT_API_URL=nowhere, CT_AUTH_URL=nowhere, KLAVIYO_API_URL=nowhere)
    assert result.exit_code == 1
    assert "check CT_API_URL and CT_AUTH_URL" in result.output
    assert "Klaviyo does not answer" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_wrong_secret(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """No token: the credentials and the scopes are to be checked."""
    sandbox.commercetools.tokens(client_secret="another")
    result = manage_py("check")
    assert result.exit_code == 1
    assert "check CT_API_CLIENT" in result.output


def test_subscriptions_that_are_missing_sick_or_different(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """Each of the three is a line of its own."""
    assert "klaviyo-sync-messages does not exist" in manage_py("check").output
    manage_py("subscriptions", "apply", "--yes", "--topic", "projects/p/topics/t")
    stored = {one["key"]: one for one in sandbox.commercetools.state()["documents"]["subscriptions"].values()}
    sandbox.commercetools.patch(
        "subscriptions", stored["klaviyo-sync-messages"]["id"], {"status": "ConfigurationError"}
    )
    sandbox.commercetools.patch(
        "subscriptions", stored["klaviyo-sync-changes"]["id"], {"changes": [{"resourceTypeId": "customer"}]}
    )
    result = manage_py("check")
    assert result.exit_code == 1
    assert "klaviyo-sync-messages: ConfigurationError" in result.output
    assert "klaviyo-sync-changes differs: + change category" in result.output


@pytest.mark.usefixtures("subscribed")
def test_subscriptions_are_held_against_the_plan(manage_py: ManagePy, settings_file: Callable[[str], str]) -> None:
    """What sync.toml switches off and commercetools still delivers is a difference; once applied, it is none."""
    kinds = [f"{one.resource_type}/{one.type}" for one in registrations() if one.is_change]
    rules = settings_file(f"[messages]\ndisabled = {json.dumps(kinds)}\n[payment]\nrefund_states = []\n")
    result = manage_py("check", SYNC_CONFIG=rules)
    assert result.exit_code == 1
    assert "klaviyo-sync-messages differs: - message payment/PaymentTransactionAdded" in result.output
    assert "klaviyo-sync-changes delivers messages that sync.toml switches off" in result.output
    assert "subscriptions plan --tfvars" in result.output
    manage_py("subscriptions", "apply", "--yes", "--topic", "projects/p/topics/t", SYNC_CONFIG=rules)
    assert manage_py("check", SYNC_CONFIG=rules).exit_code == 0


def test_an_incomplete_environment_is_listed(manage_py: ManagePy) -> None:
    """All that is missing, in one error."""
    result = manage_py("check", CT_API_URL="", KLAVIYO_AUTH_KEY="")
    assert result.exit_code == 1
    assert "CT_API_URL is not set" in result.output
    assert "KLAVIYO_AUTH_KEY is not set" in result.output
