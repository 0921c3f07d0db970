"""`manage.py backfill status` reports a run's progress from its state file."""

import json
import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.backfill_status import status_report
from commands.processes import Sandbox
from manage import manage
from tests.functional.documents import customer, order
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until

NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)


def _status(job: Job, *arguments: str, piped: bytes | None = None, **environment: str) -> Result:
    state = "-" if piped else str(job.folder / "backfill-state.json")
    runner = CliRunner(env={"ENV_FILE": os.devnull, **environment})
    return runner.invoke(manage, ["backfill", "status", "--state", state, *arguments], input=piped)


def _pass(**changed: Any) -> dict[str, Any]:
    """A pass in the state file: 600 of 1,000 orders in five minutes."""
    counts = {"read": 600, "sent": 590, "skipped": {"customer_gone": 9}, "errors": 1, "calls": {"klaviyo": 2400}}
    return {"total": 1000, "after": "o", "seconds": 300.0, "finished": False, **counts, **changed}


def _state_file(*, owner: dict[str, Any] | None = None, **passes: dict[str, Any]) -> dict[str, Any]:
    began = {"since": "", "until": "2026-11-28T11:55:00.000Z"}
    head: dict[str, Any] = {"version": 1, "run": "r", "claim": "c", "owner": owner, "heartbeat": 7, "said": {}}
    return head | {
        "written": "2026-11-28T12:00:00+00:00",
        "project": "shop",
        "account": "A1",
        "rules": "r1",
        "began": began,
        "passes": passes,
    }


ELSEWHERE = {"host": "elsewhere", "pid": 1, "execution": "klaviyo-sync-backfill-x7"}


def test_a_finished_run(sandbox: Sandbox, job: Job) -> None:
    """A finished run shows all passes as done, and no owner."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order())
    assert job.run().code == 0
    shown = _status(job)
    assert shown.exit_code == 0
    assert "orders: done, 1 read, 1 sent, 0 errors" in shown.output
    assert shown.output.endswith("Done.\n")
    report = json.loads(_status(job, "--json").output)
    assert (report["standing"], report["owner"]) == ("done", None)
    assert set(report["passes"]) == {"categories", "products", "customers", "orders", "refunds"}
    assert {one["left"] for one in report["passes"].values()} == {0}


def test_a_running_a_stopped_and_a_killed_run(sandbox: Sandbox, job: Job) -> None:
    """Status names the process of a running run, and tells stopped and killed runs apart."""
    for number in range(40):
        sandbox.commercetools.put("customers", customer(f"customer-{number:02}", addresses=[]))
    sandbox.klaviyo.fail("profile-import", delay=0.3)
    with job.started("--only", "customers", "--page", "10") as process:
        wait_until(lambda: len(answered_calls(sandbox, "create_or_update_profile")) >= 10)
        report = json.loads(_status(job, "--json").output)
        assert (report["standing"], report["owner"]["pid"]) == ("running", process.pid)
        assert f"Running: process {process.pid} on {socket.gethostname()}" in _status(job).output
        process.terminate()
        assert result_of(process).code == 75
    assert "Stopped. Run the same command again to resume." in _status(job).output
    with job.started("--only", "customers", "--page", "10") as process:
        wait_until(lambda: job.state["owner"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "Killed. Run the same command again to resume." in _status(job).output


def test_the_remaining_time() -> None:
    """The estimate uses the rate of all runs so far, and counts from when the file was written."""
    report = status_report(_state_file(owner=ELSEWHERE, orders=_pass()), NOW)
    assert (report["standing"], report["silence"]) == ("running", 30)
    orders = report["passes"]["orders"]
    assert (orders["per_minute"], orders["left"], orders["minutes_left"]) == (120.0, 400, 3.3)
    assert datetime.fromisoformat(orders["ends"]) == datetime(2026, 11, 28, 12, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"finished": True}, 0),
        ({"total": None}, None),
        ({"total": 10_000}, None),  # commercetools counts up to this number
        ({"read": 0, "seconds": 0.0}, 1000),
        ({"total": 500}, 0),  # the count was approximate
    ],
)
def test_unknown_remaining_time(changed: dict[str, Any], left: int | None) -> None:
    """Without a rate or an exact number of documents there is no estimated end."""
    orders = status_report(_state_file(orders=_pass(**changed)), NOW)["passes"]["orders"]
    assert orders["left"] == left
    assert bool(orders["ends"]) == (changed == {"total": 500})


def test_a_silent_run_on_another_machine(job: Job) -> None:
    """A run on another machine can't be checked: after two minutes without an update status reports no sign of life."""
    file = _state_file(owner=ELSEWHERE, orders=_pass())
    assert status_report(file, NOW + timedelta(minutes=2))["standing"] == "silent"
    shown = _status(job, piped=json.dumps(file).encode()).output
    assert "orders: 600 of about 1,000 read, 590 sent, 9 skipped, 1 error, 120/min, 400 left, ends about" in shown
    assert "No sign of life: klaviyo-sync-backfill-x7, last update" in shown


def test_a_missing_or_wrong_state_file(job: Job) -> None:
    """A missing file and a file that is no state file are reported in one line."""
    missing = _status(job)
    assert (missing.exit_code, "no backfill has started with it" in missing.output) == (1, True)
    (job.folder / "backfill-state.json").write_text("{}", encoding="utf-8")
    other = _status(job)
    assert (other.exit_code, "is not the state file of a backfill" in other.output) == (78, True)
    piped = _status(job, piped=b"\xff")
    assert (piped.exit_code, "The file on stdin is not" in piped.output) == (78, True)


def test_backfill_state_names_the_state_file(tmp_path: Path) -> None:
    """Without `--state` the state file is the one in BACKFILL_STATE."""
    named = tmp_path / "named.json"
    named.write_text(json.dumps(_state_file()), encoding="utf-8")
    runner = CliRunner(env={"ENV_FILE": os.devnull, "BACKFILL_STATE": str(named)})
    assert "No pass has started." in runner.invoke(manage, ["backfill", "status"]).output
