"""What Terraform's jobs with a schedule are started with, and the lines that its metric and alerts are made of."""

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
    """Those of a job's program, as jobs.tf has them; of the comparison the ones that it always has."""
    (block,) = re.findall(rf"^    {job} = \{{\n(.*?)^    \}}", JOBS, re.MULTILINE | re.DOTALL)
    (listed,) = re.findall(r"arguments\s+= (?:concat\(\s+)?\[(.*?)\]", block, re.DOTALL)
    return [word.replace("${local.state_folder}", str(folder)) for word in re.findall(r'"([^"]+)"', listed)]


def _run(job: Job, *arguments: str, **environment: str) -> tuple[int, list[Json]]:
    """Exit code and log of a run that Cloud Scheduler started."""
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


def _needs_somebody(line: Json) -> bool:
    """Whether the alert on jobs that stop takes the line."""
    (ended, drift) = re.findall(r'NOT jsonPayload\.message(=~?\\"[^"]+)\\"', JOBS)
    is_end = re.search(ended.removeprefix('=~\\"'), line["message"])
    is_drift = line["message"] == drift.removeprefix('=\\"')
    return bool(("why" in line and not is_end) or (line["severity"] == "ERROR" and not is_drift))


def _reconciled(lines: list[Json]) -> list[Json]:
    """The lines that the metric takes."""
    assert 'jsonPayload.message=\\"reconciled\\"' in DRIFT
    return [line for line in lines if line["message"] == "reconciled"]


def test_drift_is_one_line_and_an_error_the_second_time(sandbox: Sandbox, serve: Serve, job: Job) -> None:
    """Both alerts are right: the one on drift at the second run, the one on runs that stop never."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")]))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    delete_from_catalog(sandbox, "catalog-items", "product-1")
    config = reconcile_config(reconcile_job(job).folder)
    found = []
    for _ in range(2):
        code, lines = _run(job, *_arguments("reconcile", job.folder), SYNC_CONFIG=config)
        assert code == 0, "Cloud Run would start it again"
        assert [line for line in lines if _needs_somebody(line)] == []
        (line,) = _reconciled(lines)
        assert line["drift"] > 0
        found.append((line["drifting_runs"], line["severity"]))
    assert found == [(1, "INFO"), (2, "ERROR")]
    assert "jsonPayload.drifting_runs>=2" in DRIFT
    assert "EXTRACT(jsonPayload.drift)" in DRIFT


def test_a_run_that_stops_is_told_of(sandbox: Sandbox, job: Job) -> None:
    """It counts as no comparison, and says what is missing."""
    sandbox.klaviyo.fail("^/api", status=401)
    code, lines = _run(
        job, *_arguments("reconcile", job.folder), SYNC_CONFIG=reconcile_config(reconcile_job(job).folder)
    )
    assert code == DENIED
    assert _reconciled(lines) == []
    assert [line["message"] for line in lines if _needs_somebody(line)] == ["reconcile stopped"]


def test_prices_that_can_not_be_asked_for_are_left_to_the_comparison(sandbox: Sandbox, job: Job) -> None:
    """Every 15 minutes nobody wants to hear of a query that the project refuses."""
    arguments = _arguments("prices", job.folder)
    assert arguments[:3] == ["prices", "due", "--since=1h"]
    sandbox.commercetools.fail("product-projections", status=400)
    code, lines = _run(job, *arguments)
    assert code == 0
    assert [line["message"] for line in lines if "why" in line] == ["prices ended"]
    assert [line for line in lines if _needs_somebody(line)] == []
    assert lines[-1]["message"] == "prices ended"


def test_terraform_knows_the_kinds() -> None:
    """`only` takes what `--only` takes."""
    (listed,) = re.findall(r"setsubtract\(try\(var\.reconcile\.only, \[\]\), \[(.*?)\]\)", VARIABLES)
    assert tuple(re.findall(r'"(\w+)"', listed)) == KINDS
