"""`manage.py check` reports what is missing and what to do about it."""

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
def test_a_complete_setup(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """With a complete setup no check fails or warns. Klaviyo is unchanged, and no secret is printed."""
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
def test_a_missing_scope_of_the_key_fails(sandbox: Sandbox, manage_py: ManagePy, scope: str) -> None:
    """Only the line of the missing scope fails."""
    sandbox.klaviyo.keys(scopes=[one for one in ALL_SCOPES if one != scope])
    result = manage_py("check")
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED")]
    assert failed == [f"FAILED  Klaviyo: the key lacks the scope {scope}"]


@pytest.mark.usefixtures("subscribed")
def test_reconcile_needs_another_scope(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """With `--reconcile` the scope `metrics:read` is checked too."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    assert manage_py("check").exit_code == 0
    result = manage_py("check", "--reconcile")
    assert result.exit_code == 1
    assert "FAILED  Klaviyo: the key lacks the scope metrics:read" in result.output
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, "metrics:read"])
    assert manage_py("check", "--reconcile").exit_code == 0


BACKFILL_SCOPES = {
    "lists:read": "customers one by one instead of by bulk jobs",
    "lists:write": "customers one by one instead of by bulk jobs",
    "accounts:read": "needs --restart",
}
"""Scopes that a backfill can do without, and what it then costs."""


@pytest.mark.usefixtures("subscribed")
@pytest.mark.parametrize("scope", BACKFILL_SCOPES)
def test_a_backfill_does_without_some_scopes(sandbox: Sandbox, manage_py: ManagePy, scope: str) -> None:
    """With `--backfill` they are checked too. A missing one is a warning that says what the fallback costs."""
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, *(BACKFILL_SCOPES.keys() - {scope})])
    result = manage_py("check", "--backfill")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    warning = f"WARNING Klaviyo: the key lacks the scope {scope}"
    assert [line for line in lines if line.startswith(("WARNING", "FAILED"))] == [warning]
    assert BACKFILL_SCOPES[scope] in lines[lines.index(warning) + 1]
    for other in BACKFILL_SCOPES.keys() - {scope}:
        assert f"ok      Klaviyo: the key has the scope {other}" in lines
    assert sandbox.klaviyo.state()["profiles"] == []
    assert "WARNING" not in manage_py("check").output


@pytest.mark.usefixtures("subscribed")
def test_a_backfill_with_all_its_scopes(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """There is no warning, and nothing is imported."""
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, *BACKFILL_SCOPES])
    result = manage_py("check", "--backfill")
    assert result.exit_code == 0, result.output
    assert not re.search("FAILED|WARNING", result.output)
    assert sandbox.klaviyo.state()["profiles"] == []


@pytest.mark.usefixtures("subscribed")
def test_a_backfill_without_bulk_jobs_needs_no_lists(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> None:
    """With `[backfill] profiles = "single"` only bulk jobs' scopes are not looked for."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    output = manage_py("check", "--backfill", SYNC_CONFIG=settings_file('[backfill]\nprofiles = "single"\n')).output
    assert "WARNING Klaviyo: the key lacks the scope accounts:read" in output
    assert "lists:" not in output


def test_an_invalid_key_is_no_warning(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """If Klaviyo stops accepting the key before a scope of a backfill is checked, that fails the command."""
    sandbox.klaviyo.fail("accounts", status=401)
    result = manage_py("check", "--backfill")
    assert result.exit_code == 1
    assert "FAILED  Klaviyo: the key has the scope accounts:read" in result.output


def test_an_unknown_key_is_reported_once(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """On a 401, `check` reports the key once instead of every scope."""
    sandbox.klaviyo.keys(accepted=["another"])
    result = manage_py("check")
    assert result.exit_code == 1
    assert result.output.count("check KLAVIYO_AUTH_KEY") == 1


def test_unreachable_backends(manage_py: ManagePy) -> None:
    """If both backends are down, `check` says so for each of them, without a traceback."""
    nowhere = "http://127.0.0.1:9"
    result = manage_py("check", CT_API_URL=nowhere, CT_AUTH_URL=nowhere, KLAVIYO_API_URL=nowhere)
    assert result.exit_code == 1
    assert "check CT_API_URL and CT_AUTH_URL" in result.output
    assert "Klaviyo does not answer" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_wrong_secret(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """If the secret is wrong, `check` says to check CT_API_CLIENT."""
    sandbox.commercetools.tokens(client_secret="another")
    result = manage_py("check")
    assert result.exit_code == 1
    assert "check CT_API_CLIENT" in result.output


def test_missing_failing_and_different_subscriptions(sandbox: Sandbox, manage_py: ManagePy) -> None:
    """A missing, a failing and a different Subscription are each reported."""
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
def test_subscriptions_are_compared_with_the_plan(manage_py: ManagePy, settings_file: Callable[[str], str]) -> None:
    """Messages that sync.toml disables but commercetools still delivers are a difference until the plan is applied."""
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
    """All missing settings are listed in one error."""
    result = manage_py("check", CT_API_URL="", KLAVIYO_AUTH_KEY="")
    assert result.exit_code == 1
    assert "CT_API_URL is not set" in result.output
    assert "KLAVIYO_AUTH_KEY is not set" in result.output
