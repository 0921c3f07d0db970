"""`reconcile` on the command line and as a job: table, JSON, options, and the log line for metrics."""

import json
from dataclasses import replace

import pytest

from commands.processes import Sandbox
from jobs.outcome import BAD_ARGUMENTS, DRIFT
from tests.functional.conftest import ManagePy
from tests.functional.job_runs import Job, answered_calls
from tests.functional.races import delete_from_catalog, rename_item
from tests.functional.synced_shop import reconcile_config, reconcile_job


def test_the_table_shows_drift_and_the_fix(shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]) -> None:
    """Exit code 3 while something differs, 0 once it is fixed."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    found = manage_py("reconcile", **reconcile_env)
    assert found.exit_code == DRIFT
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["same", "missing", "differing", "extra"]
    assert [line.split() for line in lines[1:6]] == [
        ["categories", "1", "0", "0", "0"],
        ["items", "1", "1", "0", "0"],
        ["variants", "1", "2", "0", "0"],
        ["profiles", "1", "0", "0", "0"],
        ["events", "0", "0", "0", "0"],
    ]
    assert "items missing in Klaviyo: product-1" in lines
    assert "variants missing in Klaviyo: sku-1, sku-2" in lines
    assert "Klaviyo differs from the shop: --fix fixes it." in found.stderr
    fixed = manage_py("reconcile", "--fix", "--json", **reconcile_env)
    assert fixed.exit_code == 0
    report = json.loads(fixed.stdout)
    assert {kind: one["mended"] for kind, one in report["kinds"].items()} == {
        "categories": 0, "items": 1, "variants": 2, "profiles": 0, "events": 0,
    }  # fmt: skip
    assert report["calls"].keys() == {"commercetools", "klaviyo"}
    assert manage_py("reconcile", **reconcile_env).exit_code == 0


def test_only_the_selected_kind_is_compared(shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]) -> None:
    """Other kinds are neither read nor reported."""
    delete_from_catalog(shop, "catalog-categories", "category-1")
    shop.klaviyo.forget_requests()
    found = manage_py("reconcile", "--only", "profiles", "--json", **reconcile_env)
    assert (found.exit_code, json.loads(found.stdout)["kinds"].keys()) == (0, {"profiles"})
    assert {call["operation"] for call in shop.klaviyo.requests(kind="api")} == {"get_profiles"}


def test_drift_of_an_unselected_kind_is_not_counted(shop: Sandbox, job: Job) -> None:
    """With `--only items`, a missing variant of a product is not drift."""
    delete_from_catalog(shop, "catalog-variants", "sku-1")
    done = reconcile_job(job).run("--only", "items", SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.report["kinds"].keys(), done.report["drift"]) == ({"items"}, 0)


def test_since_compares_only_changed_products(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]
) -> None:
    """Of two products without an item, the changed one is reported. Klaviyo's items are not listed."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    shop.commercetools.patch("products", "product-2", {"key": "new"})
    shop.klaviyo.forget_requests()
    found = json.loads(manage_py("reconcile", "--since", "1h", "--only", "items", "--json", **reconcile_env).stdout)
    assert found["kinds"]["items"]["ids"] == {"missing": ["product-2"]}
    assert answered_calls(shop, "get_catalog_items") == []


def test_a_refused_fix_is_recorded_and_the_rest_is_fixed(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str], job: Job
) -> None:
    """Exit code 1, and an errors file that `backfill --ids` accepts."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/data/attributes/title"}}]}
    shop.klaviyo.fail("^/api/catalog-items", method="POST", count=1, status=400, body=refused)
    found = manage_py("reconcile", "--fix", **reconcile_env)
    assert found.exit_code == 1
    [line] = reconcile_job(job).error_lines()
    assert line["pass"] == "products"
    assert line["resource"] in ("product/product-1", "product/product-2")
    assert len(shop.klaviyo.state()["items"]) == 1
    again = manage_py("backfill", "--ids", str(job.folder / "reconcile-errors.jsonl"), "--state",
                      str(job.folder / "again.json"), **reconcile_env)  # fmt: skip
    assert again.exit_code == 0
    assert len(shop.klaviyo.state()["items"]) == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--delete-extra"], "--delete-extra needs --fix"),
        (["--from-messages"], "--from-messages needs --since"),
        (["--from-messages", "--since", "1h", "--only", "items"], "leave out --only"),
        (["--fix", "--delete-extra", "--since", "1h"], "leave out --since"),
        (["--since", "soon"], "--since must be a date"),
        (["--max-delete", "120%"], "--max-delete"),
        (["--only", "orders"], "--only"),
    ],
)
def test_wrong_options_are_refused(
    sandbox: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str], arguments: list[str], problem: str
) -> None:
    """Exit code 2 and the problem, before any call to Klaviyo."""
    found = manage_py("reconcile", *arguments, **reconcile_env)
    assert (found.exit_code, sandbox.klaviyo.requests()) == (BAD_ARGUMENTS, [])
    assert problem in found.stderr


def test_the_job_logs_one_line_for_metrics(shop: Sandbox, job: Job) -> None:
    """`reconciled` is an error from the second run with drift in a row. Other kinds, or `--since`, don't count."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    compare, environment = replace(reconcile_job(job), as_json=False), {"SYNC_CONFIG": reconcile_config(job.folder)}
    logged = []
    for arguments in ((), ("--only", "events"), ("--since", "1h"), ()):
        done = compare.run(*arguments, **environment)
        [line] = [line for line in done.lines if line["message"] == "reconciled"]
        logged.append((line["severity"], line["drifting_runs"], line["kinds"].get("items", {}).get("missing")))
        assert done.code == 0
    assert logged[0] == ("INFO", 1, 1)
    assert logged[1] == ("INFO", 0, None)
    assert logged[3] == ("ERROR", 2, 1)
    assert compare.state["project"] == "shop"


def test_drift_below_the_limit_makes_no_drifting_run(shop: Sandbox, job: Job) -> None:
    """`[reconcile] max_drift` sets the limit."""
    rename_item(shop, "product-1")
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text("[reconcile]\nsecond_look = 0\nmax_drift = 0.5\n", encoding="utf-8")
    report = compare.run(SYNC_CONFIG=str(config)).report
    assert (report["drift"] > 0, report["drifting_runs"]) == (True, 0)
