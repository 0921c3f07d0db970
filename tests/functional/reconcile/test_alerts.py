"""Terraform's scheduled jobs: their arguments, and the log lines behind the drift metric and the alerts."""

import json
import re
import subprocess
import sys
from pathlib import Path

from commands.processes import ROOT, Sandbox
from jobs.drift.findings import KINDS
from jobs.outcome import DENIED
from tests.functional.conftest import Serve
from tests.functional.documents import product, variant
from tests.functional.job_runs import Job, Json, environment_of
from tests.functional.races import delete_from_catalog
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all

JOBS, DRIFT, VARIABLES = (
    (ROOT / "terraform" / name).read_text(encoding="utf-8") for name in ("jobs.tf", "drift.tf", "variables_jobs.tf")
)


def _arguments(job: str, folder: Path) -> list[str]:
    """The arguments of a job in jobs.tf; for the comparison, those that no variable changes."""
    (block,) = re.findall(rf"^    {job} = \{{\n(.*?)^    \}}", JOBS, re.MULTILINE | re.DOTALL)
    (listed,) = re.findall(r"arguments\s+= (?:concat\(\s+)?\[(.*?)\]", block, re.DOTALL)
    return [word.replace("${local.state_folder}", str(folder)) for word in re.findall(r'"([^"]+)"', listed)]


def _run(job: Job, *arguments: str, **environment: str) -> tuple[int, list[Json]]:
    """Run a job as Cloud Run starts it. Returns its exit code and log lines."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *arguments],
        cwd=ROOT,
        env={**environment_of(job.sandbox), "RECONCILE_STATE": str(job.folder / "reconcile-state.json"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def _triggers_stop_alert(line: Json) -> bool:
    """True if the alert on stopped jobs matches the line."""
    (ended, drift) = re.findall(r'NOT jsonPayload\.message(=~?\\"[^"]+)\\"', JOBS)
    is_end = re.search(ended.removeprefix('=~\\"'), line["message"])
    is_drift = line["message"] == drift.removeprefix('=\\"')
    return bool(("why" in line and not is_end) or (line["severity"] == "ERROR" and not is_drift))


def _reconciled(lines: list[Json]) -> list[Json]:
    """The lines that the drift metric matches."""
    assert 'jsonPayload.message=\\"reconciled\\"' in DRIFT
    return [line for line in lines if line["message"] == "reconciled"]


def test_drift_is_logged_as_an_error_from_the_second_run(sandbox: Sandbox, serve: Serve, job: Job) -> None:
    """The alert on drift fires at the second run. The alert on stopped jobs does not fire."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")]))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    delete_from_catalog(sandbox, "catalog-items", "product-1")
    config = reconcile_config(reconcile_job(job).folder)
    found = []
    for _ in range(2):
        code, lines = _run(job, *_arguments("reconcile", job.folder), SYNC_CONFIG=config)
        assert code == 0, "Cloud Run retries a job that exits with another code"
        assert [line for line in lines if _triggers_stop_alert(line)] == []
        (line,) = _reconciled(lines)
        assert line["drift"] > 0
        found.append((line["drifting_runs"], line["severity"]))
    assert found == [(1, "INFO"), (2, "ERROR")]
    assert "jsonPayload.drifting_runs>=2" in DRIFT
    assert "EXTRACT(jsonPayload.drift)" in DRIFT


def test_a_stopped_comparison_triggers_the_alert(sandbox: Sandbox, job: Job) -> None:
    """It logs no `reconciled` line, so the drift metric does not count it."""
    sandbox.klaviyo.fail("^/api", status=401)
    code, lines = _run(
        job, *_arguments("reconcile", job.folder), SYNC_CONFIG=reconcile_config(reconcile_job(job).folder)
    )
    assert code == DENIED
    assert _reconciled(lines) == []
    assert [line["message"] for line in lines if _triggers_stop_alert(line)] == ["reconcile stopped"]


def test_a_refused_price_query_triggers_no_alert(sandbox: Sandbox, job: Job) -> None:
    """`prices due` runs every 15 minutes, and the nightly comparison finds the prices it missed."""
    arguments = _arguments("prices", job.folder)
    assert arguments[:3] == ["prices", "due", "--since=1h"]
    sandbox.commercetools.fail("product-projections", status=400)
    code, lines = _run(job, *arguments)
    assert code == 0
    assert [line["message"] for line in lines if "why" in line] == ["prices ended"]
    assert [line for line in lines if _triggers_stop_alert(line)] == []
    assert lines[-1]["message"] == "prices ended"


def test_terraform_accepts_the_same_kinds_as_the_option() -> None:
    """`reconcile.only` in Terraform takes the values of `--only`."""
    (listed,) = re.findall(r"setsubtract\(try\(var\.reconcile\.only, \[\]\), \[(.*?)\]\)", VARIABLES)
    assert tuple(re.findall(r'"(\w+)"', listed)) == KINDS
