"""`manage.py check` on commercetools: scopes, catalog model, workflow states, and `--find`."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from commands.check_commercetools import SCOPES
from commands.processes import ROOT, Sandbox
from tests.functional.conftest import ManagePy
from tests.functional.documents import product


@pytest.mark.usefixtures("subscribed")
@pytest.mark.parametrize(
    ("denied", "state", "use"),
    [
        *((name, "FAILED", "") for name in sorted({scope.name for scope in SCOPES if not scope.is_optional})),
        ("view_standalone_prices", "WARNING", "Your settings need it ([price] standalone)."),
        ("view_discount_codes", "?", "Needed if the shop has any."),
        ("view_customer_groups", "WARNING", "Your settings need it ([customer.properties] customerGroup)."),
    ],
)
def test_a_missing_scope_of_the_client(
    sandbox: Sandbox,
    manage_py: ManagePy,
    denied: str,
    state: str,
    use: str,
) -> None:
    """A missing scope is reported with its use. An optional one does not fail; it warns if the settings need it."""
    sandbox.commercetools.tokens(deny_scopes=[denied])
    result = manage_py("check")
    assert result.exit_code == (1 if state == "FAILED" else 0)
    lines = result.output.splitlines()
    row = next(row for row, line in enumerate(lines) if line.startswith(state) and "commercetools:" in line)
    wrong = [line for line in lines if " be read (" in line and not line.startswith("ok")]
    assert len(wrong) == sum(scope.name == denied for scope in SCOPES)
    assert all(line.endswith(f"can't be read ({denied})") for line in wrong)
    assert f"{denied}:shop" in lines[row + 1]
    assert use in lines[row + 1]
    assert ("Optional, for " in lines[row + 1]) is (state != "FAILED")


def test_a_scope_the_settings_do_not_need(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> None:
    """A scope that no setting needs is reported with the setting that is off, whether the client has it or not."""
    rules = settings_file('[customer.properties]\nexclude = ["customerGroup"]\n')
    note = "Your settings do not need it ([customer.properties] customerGroup is off)."
    for denied, state in (([], "ok"), (["view_customer_groups"], "?")):
        sandbox.commercetools.tokens(deny_scopes=denied)
        lines = manage_py("check", SYNC_CONFIG=rules).output.splitlines()
        row = next(row for row, line in enumerate(lines) if line.endswith("(view_customer_groups)"))
        assert lines[row].split()[0] == state
        assert note in lines[row + 1]


@pytest.mark.usefixtures("subscribed")
def test_a_scope_missing_in_ct_scope_warns(manage_py: ManagePy) -> None:
    """A scope that commercetools documents as needed but CT_SCOPE lacks is a warning, even if the read succeeds."""
    named = ("view_customers", "view_orders", "view_payments", "view_products", "view_standalone_prices")
    incomplete = manage_py("check", CT_SCOPE=" ".join(f"{scope}:shop" for scope in named))
    warned = [line for line in incomplete.output.splitlines() if line.startswith("WARNING")]
    assert [line.split("(")[1] for line in warned] == ["view_published_products)"]
    assert incomplete.exit_code == 0
    assert "CT_SCOPE does not name view_published_products" in incomplete.output
    for scopes in (
        "manage_project:shop",
        "manage_customers manage_orders manage_payments manage_products manage_standalone_prices",
    ):
        assert "WARNING" not in manage_py("check", CT_SCOPE=scopes).output


def test_docs_and_deploy_sh_list_the_same_scopes(manage_py: ManagePy) -> None:
    """docs/settings.md and deploy.sh list exactly the scopes that `check` reads, required and optional ones."""
    assert manage_py("check").output.count("can be read") == len(SCOPES)
    names = {optional: {one.name for one in SCOPES if one.is_optional is optional} for optional in (False, True)}
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `CT_SCOPE` |"))
    required, _, optional = row.partition(";")
    assert (set(re.findall(r"view_\w+", required)), set(re.findall(r"view_\w+", optional))) == (
        names[False],
        names[True],
    )
    script = (ROOT / "deploy.sh").read_text(encoding="utf-8")
    listed = script.split("CT_SCOPE               ")[1].split("CT_API_CLIENT ")[0]
    required, _, optional = listed.partition("and optionally")
    assert (set(re.findall(r"view_\w+", required)), set(re.findall(r"view_\w+", optional))) == (
        names[False],
        names[True],
    )


@pytest.mark.usefixtures("subscribed")
@pytest.mark.parametrize(
    ("model", "state", "text"),
    [
        (None, "ok", "products contain their variants (catalog model Classic)"),
        ("Classic", "ok", "products contain their variants (catalog model Classic)"),
        ("InMigration", "WARNING", "the project is migrating to the catalog model Modular (InMigration)"),
        ("Modular", "WARNING", "the project has the catalog model Modular"),
    ],
)
def test_the_catalog_model_from_the_project(
    sandbox: Sandbox, manage_py: ManagePy, model: str | None, state: str, text: str
) -> None:
    """The catalog model comes from the project's settings, by default Classic. A warning does not fail the check."""
    sandbox.commercetools.project(**({"productCatalogModel": model} if model else {}))
    result = manage_py("check")
    assert result.exit_code == 0
    (line,) = (line for line in result.output.splitlines() if "catalog model" in line)
    assert line.split() == [state, "commercetools:", *text.split()]


@pytest.mark.parametrize(
    ("changes", "state", "ending"),
    [
        ({}, "ok", "(catalog model Classic)"),
        ({"masterVariant": None}, "WARNING", "has the catalog model Modular"),
        (None, "?", "the catalog model"),
    ],
    ids=["with variants", "without", "no product"],
)
def test_the_catalog_model_from_a_product(
    sandbox: Sandbox, manage_py: ManagePy, changes: dict[str, Any] | None, state: str, ending: str
) -> None:
    """If the client can't read the project's settings, the catalog model is derived from a published product."""
    sandbox.commercetools.tokens(deny_scopes=["view_project_settings"])
    if changes is not None:
        document = product()
        current = {**document["masterData"]["current"], **changes}
        current = {name: value for name, value in current.items() if value is not None}
        sandbox.commercetools.put(
            "products", {**document, "masterData": {**document["masterData"], "current": current}}
        )
    lines = [line for line in manage_py("check").output.splitlines() if "catalog model" in line]
    assert [line.split()[0] for line in lines] == [state]
    assert lines[0].endswith(ending)


@pytest.mark.parametrize("denied", [False, True], ids=["readable", "denied"])
def test_workflow_states_of_the_settings(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str], *, denied: bool
) -> None:
    """A configured key that no order state has would never send its event: this is a warning."""
    sandbox.commercetools.put("states", {"id": "state-1", "key": "packed", "type": "OrderState"})
    sandbox.commercetools.put("states", {"id": "state-2", "key": "ordered", "type": "LineItemState"})
    sandbox.commercetools.tokens(deny_scopes=["view_states"] if denied else [])
    rules = settings_file('[order]\ntransitions = { packed = "Packed", packd = "Packd", ordered = "Ordered" }\n')
    lines = manage_py("check", SYNC_CONFIG=rules).output.splitlines()
    found = [(line.split(maxsplit=1)[0], line.partition("state ")[2]) for line in lines if "workflow state " in line]
    origin = "of [order] transitions"
    expected = [
        ("ok", f"packed {origin} exists"),
        ("WARNING", f"packd {origin} does not exist"),
        ("WARNING", f"ordered {origin} has type LineItemState"),
    ]
    assert found == ([] if denied else expected)
    assert any("No Packd is sent" in line for line in lines) is not denied


KINDS = {"channel": "channels", "customer group": "customer-groups", "store": "stores"}


class TestFind:
    """`check --find KEY`."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_match(self, sandbox: Sandbox, manage_py: ManagePy, kind: str) -> None:
        """One match is printed as id and kind, and nothing else is requested."""
        sandbox.commercetools.put(KINDS[kind], {"id": "id-1", "key": "süd/1"})
        sandbox.commercetools.put(KINDS[kind], {"id": "id-2", "key": "nord"})
        found = manage_py("check", "--find", "süd/1")
        assert (found.exit_code, found.stdout, found.stderr) == (0, f"id-1\t{kind}\n", "")
        operations = {one["operation"] for one in sandbox.commercetools.requests(kind="api")}
        assert operations == {"channels.get", "customer-groups.get", "stores.get"}
        assert sandbox.klaviyo.requests() == []

    def test_no_match(self, manage_py: ManagePy) -> None:
        """Without a match there is an error that says what was looked up."""
        found = manage_py("check", "--find", "south")
        assert (found.exit_code, found.stdout) == (1, "")
        assert found.stderr == "Error: Found no channel, no customer group, no store with the key south.\n"

    def test_several_matches(self, sandbox: Sandbox, manage_py: ManagePy) -> None:
        """Several matches are an error that lists them."""
        for kind, collection in KINDS.items():
            sandbox.commercetools.put(collection, {"id": f"id-of-{kind.replace(' ', '-')}", "key": "south"})
        found = manage_py("check", "--find", "south")
        assert (found.exit_code, found.stdout) == (1, "")
        for kind in KINDS:
            assert f"id-of-{kind.replace(' ', '-')}\t{kind}" in found.stderr

    def test_an_unreadable_kind(self, sandbox: Sandbox, manage_py: ManagePy) -> None:
        """A kind that can't be read is reported, and the others are still looked up."""
        sandbox.commercetools.put("channels", {"id": "id-1", "key": "south"})
        sandbox.commercetools.tokens(deny_scopes=["view_stores"])
        found = manage_py("check", "--find", "south")
        assert (found.exit_code, found.stdout) == (0, "id-1\tchannel\n")
        assert found.stderr == "Did not look for a store: CT_SCOPE lacks view_stores.\n"
        sandbox.commercetools.delete("channels", "id-1")
        none = manage_py("check", "--find", "south")
        assert (none.exit_code, "view_stores" in none.stderr) == (1, True)

    def test_commercetools_is_unreachable(self, manage_py: ManagePy) -> None:
        """If commercetools is unreachable, the error does not claim that the key was not found."""
        found = manage_py("check", "--find", "south", CT_API_URL="http://127.0.0.1:9")
        assert (found.exit_code, found.stdout) == (1, "")
        assert "commercetools_unreachable" in found.stderr
        assert "Found no" not in found.stderr
