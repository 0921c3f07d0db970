"""What ends a comparison early, and how the next run resumes it."""

import json
import signal

import pytest

from commands.processes import Sandbox
from jobs.outcome import BRAKE, INTERRUPTED, REFUSED
from tests.functional.conftest import ManagePy
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until
from tests.functional.races import create_variant, delete_from_catalog
from tests.functional.synced_shop import reconcile_config, reconcile_job

DAMAGED = json.dumps({"version": 1, "command": "reconcile", "project": "shop", "counts": None, "drifting_runs": {},
                      "unfinished": {}})  # fmt: skip


def test_a_stopped_run_resumes_with_the_next_phase(shop: Sandbox, job: Job) -> None:
    """The catalog is not read again, but its findings are in the report. Together both count as one drifting run."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    shop.klaviyo.fail("^/api/profiles", delay=60, count=1)
    with compare.started(**environment) as process:
        wait_until(lambda: _has_requested_profiles(shop))
        process.send_signal(signal.SIGTERM)
        stopped = result_of(process)
    assert stopped.code == INTERRUPTED
    shop.klaviyo.clear_failures()
    shop.klaviyo.forget_requests()
    done = compare.run(**environment)
    assert done.report["kinds"]["items"]["missing"] == 1
    assert answered_calls(shop, "get_catalog_items") == []
    assert done.report["drifting_runs"] == 1
    assert compare.run(**environment).report["drifting_runs"] == 2
    compare.run("--fix", **environment)
    assert compare.run(**environment).report["drifting_runs"] == 0


def test_a_resumed_run_keeps_errors_brakes_and_counts(shop: Sandbox, job: Job) -> None:
    """Those of the phases that the stopped run had finished."""
    delete_from_catalog(shop, "catalog-items", "product-2")
    create_variant(shop, "surplus", "product-1")
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}
    shop.klaviyo.fail("^/api/catalog-items$", method="POST", status=400, body=refused)
    shop.klaviyo.fail("^/api/profiles", delay=60, count=1)
    options = ("--fix", "--delete-extra", "--max-delete", "0")
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    with compare.started(*options, **environment) as process:
        wait_until(lambda: _has_requested_profiles(shop))
        process.send_signal(signal.SIGTERM)
        assert result_of(process).code == INTERRUPTED
    shop.klaviyo.clear_failures()
    done = compare.run(*options, **environment)
    assert (done.code, "Nothing extra was deleted" in done.stop_reasons) == (BRAKE, True)
    assert [line["resource"] for line in compare.error_lines()] == ["product/product-2"]
    assert compare.state["counts"] == {"categories": 1, "items": 2, "variants": 3}


def _has_requested_profiles(sandbox: Sandbox) -> bool:
    """True if Klaviyo has received a request for profiles, answered or not."""
    return any(call["operation"] == "get_profiles" for call in sandbox.klaviyo.requests())


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"version": 1, "command": "backfill"}', DAMAGED])
def test_another_file_is_not_overwritten(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str], job: Job, content: str
) -> None:
    """`--state` may name a wrong file by mistake."""
    state = job.folder / "reconcile-state.json"
    state.write_text(content, encoding="utf-8")
    found = manage_py("reconcile", **reconcile_env)
    assert (found.exit_code, state.read_text(encoding="utf-8")) == (REFUSED, content)
    assert "is not the state file of a reconcile" in found.stderr
    assert shop


def test_a_state_of_another_project_is_refused(shop: Sandbox, job: Job) -> None:
    """Its counts are those of another shop."""
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    compare.run("--only", "items", **environment)
    state = job.folder / "reconcile-state.json"
    state.write_text(state.read_text(encoding="utf-8").replace('"shop"', '"another"'), encoding="utf-8")
    done = compare.run("--only", "items", **environment)
    assert (done.code, "belongs to the project another" in done.stop_reasons) == (REFUSED, True)
    assert shop


@pytest.mark.parametrize("operation", ["catalog-items", "catalog-variants", "catalog-categories", "profiles"])
def test_a_list_that_klaviyo_refuses_ends_the_run(shop: Sandbox, job: Job, operation: str) -> None:
    """Exit code 78, the reason, and no traceback."""
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}
    shop.klaviyo.fail(f"^/api/{operation}$", method="GET", status=400, body=refused)
    done = reconcile_job(job).run(SYNC_CONFIG=reconcile_config(job.folder))
    assert done.code == REFUSED
    assert "can't be read" in done.stop_reasons


def test_a_list_that_fails_at_times_is_still_read_in_full(shop: Sandbox, job: Job) -> None:
    """Nothing is lost or counted twice."""
    shop.klaviyo.fail("^/api/catalog-(items|variants|categories)$", method="GET", status=503, count=6)
    done = reconcile_job(job).run(SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.code, done.report["drift"]) == (0, 0)
    assert {kind: one["same"] for kind, one in done.report["kinds"].items()} == {
        "categories": 1, "items": 2, "variants": 3, "profiles": 1, "events": 0,
    }  # fmt: skip
