"""`manage.py check` says whether [consent] has what it needs; with [consent] off it asks for nothing of it."""

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
def checked(sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]) -> Callable[[str], list[str]]:
    """Lines about consent of a check with these rules, on a shop and an account that have all that RULES need."""
    sandbox.commercetools.put("types", _type("customer", newsletter="Boolean", at="DateTime"))
    sandbox.commercetools.put("types", _type("order", box="Boolean"))
    sandbox.klaviyo.consent(lists={"LIST": True})
    sandbox.klaviyo.keys(scopes=SCOPES)

    def check(rules: str) -> list[str]:
        lines = manage_py("check", SYNC_CONFIG=settings_file(rules)).output.splitlines()
        named = ("[consent]", "lists:write", "subscriptions:write")
        return [line for line in lines if any(name in line for name in named)]

    return check


def test_all_is_there(sandbox: Sandbox, checked: Callable[[str], list[str]]) -> None:
    """Fields, list and scopes, and nobody is subscribed by the probes."""
    assert checked(RULES) == [
        "ok      Klaviyo: the key has the scope lists:write",
        "ok      Klaviyo: the key has the scope subscriptions:write",
        "ok      commercetools: the customer's custom field newsletter of [consent] email exists (Boolean)",
        "ok      commercetools: the customer's custom field at of [consent] consented_at exists (DateTime)",
        "ok      commercetools: the order's custom field box of [consent] orders exists (Boolean)",
        "ok      Klaviyo: the list LIST of [consent] exists (double opt in)",
    ]
    assert sandbox.klaviyo.state()["profiles"] == []
    assert sandbox.klaviyo.state()["confirmations"] == []


def test_off_it_needs_nothing(sandbox: Sandbox, checked: Callable[[str], list[str]]) -> None:
    """No line, and no scope of it."""
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    assert checked("") == []


@pytest.mark.parametrize("scope", ["subscriptions:write", "lists:write"])
def test_a_missing_scope(sandbox: Sandbox, checked: Callable[[str], list[str]], scope: str) -> None:
    """Named before a message has to fail for it."""
    sandbox.klaviyo.keys(scopes=[one for one in SCOPES if one != scope])
    assert f"FAILED  Klaviyo: the key has the scope {scope}" in checked(RULES)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "FAILED  commercetools: the customer's custom field newsletter of [consent] email does not exist"),
        (
            {"newsletter": "Set"},
            "WARNING commercetools: the customer's custom field newsletter of [consent] email has type Set",
        ),
    ],
    ids=["missing", "set"],
)
def test_a_field_that_gives_no_answer(
    sandbox: Sandbox, checked: Callable[[str], list[str]], fields: dict[str, str], said: str
) -> None:
    """One that was renamed, and one of a type that holds neither yes nor no."""
    sandbox.commercetools.put("types", _type("customer", at="DateTime", **fields))
    assert said in checked(RULES)


def test_what_may_not_be_read(sandbox: Sandbox, checked: Callable[[str], list[str]]) -> None:
    """Without view_types and lists:read it is said that nobody knows, and nothing fails for it."""
    sandbox.commercetools.tokens(deny_scopes=["view_types", "manage_types"])
    sandbox.klaviyo.keys(scopes=[one for one in SCOPES if one != "lists:read"])
    lines = checked(RULES)
    assert [line for line in lines if line.startswith("FAILED")] == []
    assert sum(line.startswith("?") for line in lines) == 2


def test_a_list_and_a_group_that_are_not_there(sandbox: Sandbox, checked: Callable[[str], list[str]]) -> None:
    """Both are named; a group that is there is fine."""
    lines = checked('[consent]\nemail = "group:news"\nlist = "GONE"\n')
    assert "FAILED  Klaviyo: the list GONE of [consent] does not exist" in lines
    assert "FAILED  commercetools: the customer group news of [consent] does not exist" in lines
    sandbox.commercetools.put("customer-groups", {"id": "g", "version": 1, "key": "news", "name": "News"})
    assert "ok      commercetools: the customer group news of [consent] exists" in checked(
        '[consent]\nemail = "group:news"\n'
    )
