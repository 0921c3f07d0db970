"""`manage.py check` checks what [consent] needs, and only if [consent] is on."""

from collections.abc import Callable
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ManagePy
from tests.functional.test_check import ALL_SCOPES

RULES = '[consent]\nemail = "custom.newsletter"\nconsented_at = "custom.at"\norders = "custom.box"\nlist = "LIST"\n'
SCOPES = [*ALL_SCOPES, "subscriptions:write", "lists:write", "lists:read"]


def _type(resource: str, **fields: str) -> dict[str, Any]:
    definitions = [{"name": name, "type": {"name": kind}} for name, kind in fields.items()]
    return {"id": f"type-{resource}", "version": 1, "resourceTypeIds": [resource], "fieldDefinitions": definitions}


@pytest.fixture
def consent_lines(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> Callable[[str], list[str]]:
    """Run `check` with these rules; return its lines about consent. Shop and account have everything RULES needs."""
    sandbox.commercetools.put("types", _type("customer", newsletter="Boolean", at="DateTime"))
    sandbox.commercetools.put("types", _type("order", box="Boolean"))
    sandbox.klaviyo.consent(lists={"LIST": True})
    sandbox.klaviyo.keys(scopes=SCOPES)

    def check(rules: str) -> list[str]:
        lines = manage_py("check", SYNC_CONFIG=settings_file(rules)).output.splitlines()
        topics = ("[consent]", "lists:write", "subscriptions:write")
        return [line for line in lines if any(topic in line for topic in topics)]

    return check


def test_a_complete_setup(sandbox: Sandbox, consent_lines: Callable[[str], list[str]]) -> None:
    """Fields, list and scopes are reported as ok, and the probes subscribe nobody."""
    assert consent_lines(RULES) == [
        "ok      Klaviyo: the key has the scope lists:write",
        "ok      Klaviyo: the key has the scope subscriptions:write",
        "ok      commercetools: the customer's custom field newsletter of [consent] email exists (Boolean)",
        "ok      commercetools: the customer's custom field at of [consent] consented_at exists (DateTime)",
        "ok      commercetools: the order's custom field box of [consent] orders exists (Boolean)",
        "ok      Klaviyo: the list LIST of [consent] exists (double opt in)",
    ]
    assert sandbox.klaviyo.state()["profiles"] == []
    assert sandbox.klaviyo.state()["confirmations"] == []


def test_consent_off_needs_nothing(sandbox: Sandbox, consent_lines: Callable[[str], list[str]]) -> None:
    """With [consent] off, `check` prints no line about it and needs none of its scopes."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    assert consent_lines("") == []


@pytest.mark.parametrize("scope", ["subscriptions:write", "lists:write"])
def test_a_missing_scope(sandbox: Sandbox, consent_lines: Callable[[str], list[str]], scope: str) -> None:
    """A missing scope for consent fails."""
    sandbox.klaviyo.keys(scopes=[one for one in SCOPES if one != scope])
    assert f"FAILED  Klaviyo: the key lacks the scope {scope}" in consent_lines(RULES)


def test_a_scope_that_only_a_backfill_does_without(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> None:
    """With [consent] on, `check --backfill` fails without lists:write, and only warns without lists:read."""
    sandbox.klaviyo.keys(scopes=[*ALL_SCOPES, "subscriptions:write", "accounts:read"])
    lines = manage_py("check", "--backfill", SYNC_CONFIG=settings_file(RULES)).output.splitlines()
    assert "FAILED  Klaviyo: the key lacks the scope lists:write" in lines
    assert "WARNING Klaviyo: the key lacks the scope lists:read" in lines


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "FAILED  commercetools: the customer's custom field newsletter of [consent] email does not exist"),
        (
            {"newsletter": "Set"},
            "WARNING commercetools: the customer's custom field newsletter of [consent] email has type Set",
        ),
    ],
    ids=["missing", "set"],
)
def test_an_unusable_field(
    sandbox: Sandbox, consent_lines: Callable[[str], list[str]], fields: dict[str, str], line: str
) -> None:
    """A missing field fails, and a field of a type that can't hold yes or no is a warning."""
    sandbox.commercetools.put("types", _type("customer", at="DateTime", **fields))
    assert line in consent_lines(RULES)


def test_unreadable_types_and_lists(sandbox: Sandbox, consent_lines: Callable[[str], list[str]]) -> None:
    """Without view_types and lists:read, fields and list are reported as unknown, which is no failure."""
    sandbox.commercetools.tokens(deny_scopes=["view_types", "manage_types"])
    sandbox.klaviyo.keys(scopes=[one for one in SCOPES if one != "lists:read"])
    lines = consent_lines(RULES)
    assert [line for line in lines if line.startswith("FAILED")] == []
    assert sum(line.startswith("?") for line in lines) == 2


def test_a_missing_list_and_group(sandbox: Sandbox, consent_lines: Callable[[str], list[str]]) -> None:
    """A missing list and a missing group fail. An existing group is ok."""
    lines = consent_lines('[consent]\nemail = "group:news"\nlist = "GONE"\n')
    assert "FAILED  Klaviyo: the list GONE of [consent] does not exist" in lines
    assert "FAILED  commercetools: the customer group news of [consent] does not exist" in lines
    sandbox.commercetools.put("customer-groups", {"id": "g", "version": 1, "key": "news", "name": "News"})
    assert "ok      commercetools: the customer group news of [consent] exists" in consent_lines(
        '[consent]\nemail = "group:news"\n'
    )
