"""`reconcile` as people and schedules use it: tables, JSON, options, and the line for metrics."""

import json
from dataclasses import replace

import pytest

from commands.processes import Sandbox
from jobs.outcome import BAD_ARGUMENTS, DRIFT
from tests.functional.conftest import ManagePy
from tests.functional.job_runs import Job, answered_calls
from tests.functional.races import delete_from_catalog, rename_item
from tests.functional.synced_shop import reconcile_config, reconcile_job


def test_a_table_tells_what_differs_and_what_to_do(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """3 while something does, 0 once it is mended."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    found = manage_py("reconcile", **told)
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
    mended = manage_py("reconcile", "--fix", "--json", **told)
    assert mended.exit_code == 0
    report = json.loads(mended.stdout)
    assert {kind: one["mended"] for kind, one in report["kinds"].items()} == {
        "categories": 0, "items": 1, "variants": 2, "profiles": 0, "events": 0,
    }  # fmt: skip
    assert report["calls"].keys() == {"commercetools", "klaviyo"}
    assert manage_py("reconcile", **told).exit_code == 0


def test_one_kind_alone(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """Nothing else is compared, or told of."""
    delete_from_catalog(shop, "catalog-categories", "category-1")
    shop.klaviyo.forget_requests()
    found = manage_py("reconcile", "--only", "profiles", "--json", **told)
    assert (found.exit_code, json.loads(found.stdout)["kinds"].keys()) == (0, {"profiles"})
    assert {call["operation"] for call in shop.klaviyo.requests(kind="api")} == {"get_profiles"}


def test_one_kind_alone_is_reported_and_mended(shop: Sandbox, job: Job) -> None:
    """Variants of the same product are not told of."""
    delete_from_catalog(shop, "catalog-variants", "sku-1")
    done = reconcile_job(job).run("--only", "items", SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.report["kinds"].keys(), done.report["drift"]) == ({"items"}, 0)


def test_since_looks_at_what_has_changed(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """Two products lack their items; the one that was changed lately is looked at, without any list of items."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    shop.commercetools.patch("products", "product-2", {"key": "new"})
    shop.klaviyo.forget_requests()
    found = json.loads(manage_py("reconcile", "--since", "1h", "--only", "items", "--json", **told).stdout)
    assert found["kinds"]["items"]["ids"] == {"missing": ["product-2"]}
    assert answered_calls(shop, "get_catalog_items") == []


def test_what_klaviyo_refuses_is_named_and_the_rest_is_mended(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str], job: Job
) -> None:
    """1, and an errors file that `backfill --ids` takes."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/data/attributes/title"}}]}
    shop.klaviyo.fail("^/api/catalog-items", method="POST", count=1, status=400, body=refused)
    found = manage_py("reconcile", "--fix", **told)
    assert found.exit_code == 1
    [line] = reconcile_job(job).error_lines()
    assert line["pass"] == "products"
    assert line["resource"] in ("product/product-1", "product/product-2")
    assert len(shop.klaviyo.state()["items"]) == 1
    again = manage_py("backfill", "--ids", str(job.folder / "reconcile-errors.jsonl"), "--state",
                      str(job.folder / "again.json"), **told)  # fmt: skip
    assert again.exit_code == 0
    assert len(shop.klaviyo.state()["items"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
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
def test_wrong_options_are_told(
    sandbox: Sandbox, manage_py: ManagePy, told: dict[str, str], arguments: list[str], said: str
) -> None:
    """Before anything is asked of anybody."""
    found = manage_py("reconcile", *arguments, **told)
    assert (found.exit_code, sandbox.klaviyo.requests()) == (BAD_ARGUMENTS, [])
    assert said in found.stderr


def test_the_job_logs_one_line_for_metrics(shop: Sandbox, job: Job) -> None:
    """`reconciled`, an error from the second run on that drifts; runs over other kinds, or `--since`, don't count."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    compare, environment = replace(reconcile_job(job), as_json=False), {"SYNC_CONFIG": reconcile_config(job.folder)}
    told = []
    for arguments in ((), ("--only", "events"), ("--since", "1h"), ()):
        done = compare.run(*arguments, **environment)
        [line] = [line for line in done.lines if line["message"] == "reconciled"]
        told.append((line["severity"], line["drifting_runs"], line["kinds"].get("items", {}).get("missing")))
        assert done.code == 0
    assert told[0] == ("INFO", 1, 1)
    assert told[1] == ("INFO", 0, None)
    assert told[3] == ("ERROR", 2, 1)
    assert compare.state["project"] == "shop"


def test_a_little_drift_may_be_allowed(shop: Sandbox, job: Job) -> None:
    """Runs below `max_drift` are none of those in a row."""
    rename_item(shop, "product-1")
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text("[reconcile]\nsecond_look = 0\nmax_drift = 0.5\n", encoding="utf-8")
    report = compare.run(SYNC_CONFIG=str(config)).report
    assert (report["drift"] > 0, report["drifting_runs"]) == (True, 0)
