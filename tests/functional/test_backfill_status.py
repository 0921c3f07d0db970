"""`manage.py backfill status`: how far a run is, from its state file."""

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
    """A pass as the state file has it: 600 of 1,000 orders in five minutes."""
    counts = {"read": 600, "sent": 590, "skipped": {"customer_gone": 9}, "errors": 1, "calls": {"klaviyo": 2400}}
    return {"total": 1000, "after": "o", "seconds": 300.0, "finished": False, **counts, **changed}


def _file(*, owner: dict[str, Any] | None = None, **passes: dict[str, Any]) -> dict[str, Any]:
    began = {"since": "", "until": "2026-11-28T11:55:00.000Z"}
    found: dict[str, Any] = {"version": 1, "run": "r", "claim": "c", "owner": owner, "heartbeat": 7, "said": {}}
    return found | {
        "written": "2026-11-28T12:00:00+00:00",
        "project": "shop",
        "account": "A1",
        "rules": "r1",
        "began": began,
        "passes": passes,
    }


ELSEWHERE = {"host": "elsewhere", "pid": 1, "execution": "klaviyo-sync-backfill-x7"}


def test_a_run_that_is_done(sandbox: Sandbox, job: Job) -> None:
    """All passes, and nobody who holds the file."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order())
    assert job.run().code == 0
    shown = _status(job)
    assert shown.exit_code == 0
    assert "orders: done, 1 read, 1 sent, 0 errors" in shown.output
    assert shown.output.endswith("Done.\n")
    told = json.loads(_status(job, "--json").output)
    assert (told["standing"], told["owner"]) == ("done", None)
    assert set(told["passes"]) == {"categories", "products", "customers", "orders", "refunds"}
    assert {one["left"] for one in told["passes"].values()} == {0}


def test_a_run_at_work_stopped_and_killed(sandbox: Sandbox, job: Job) -> None:
    """Who is at work on it is named; one that was ended left the file, one that was killed is known to be dead."""
    for number in range(40):
        sandbox.commercetools.put("customers", customer(f"customer-{number:02}", addresses=[]))
    sandbox.klaviyo.fail("profile-import", delay=0.3)
    with job.started("--only", "customers", "--page", "10") as process:
        wait_until(lambda: len(answered_calls(sandbox, "create_or_update_profile")) >= 10)
        told = json.loads(_status(job, "--json").output)
        assert (told["standing"], told["owner"]["pid"]) == ("running", process.pid)
        assert f"Running: process {process.pid} on {socket.gethostname()}" in _status(job).output
        process.terminate()
        assert result_of(process).code == 75
    assert "Stopped. Run the same command again to resume." in _status(job).output
    with job.started("--only", "customers", "--page", "10") as process:
        wait_until(lambda: job.state["owner"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "Killed. Run the same command again to resume." in _status(job).output


def test_what_is_left() -> None:
    """At the rate of all runs, counted from when the file was written."""
    told = status_report(_file(owner=ELSEWHERE, orders=_pass()), NOW)
    assert (told["standing"], told["silence"]) == ("running", 30)
    orders = told["passes"]["orders"]
    assert (orders["per_minute"], orders["left"], orders["minutes_left"]) == (120.0, 400, 3.3)
    assert datetime.fromisoformat(orders["ends"]) == datetime(2026, 11, 28, 12, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"finished": True}, 0),
        ({"total": None}, None),
        ({"total": 10_000}, None),  # commercetools counts no further
        ({"read": 0, "seconds": 0.0}, 1000),
        ({"total": 500}, 0),  # it was about that many
    ],
)
def test_what_can_not_be_told(changed: dict[str, Any], left: int | None) -> None:
    """Nothing is made up: no end without a rate or without a number of documents."""
    told = status_report(_file(orders=_pass(**changed)), NOW)["passes"]["orders"]
    assert told["left"] == left
    assert bool(told["ends"]) == (changed == {"total": 500})


def test_a_run_elsewhere_that_is_silent(job: Job) -> None:
    """On another machine nobody can look for the process: two minutes without a word are said as what they are."""
    file = _file(owner=ELSEWHERE, orders=_pass())
    assert status_report(file, NOW + timedelta(minutes=2))["standing"] == "silent"
    shown = _status(job, piped=json.dumps(file).encode()).output
    assert "orders: 600 of about 1,000 read, 590 sent, 9 skipped, 1 error, 120/min, 400 left, ends about" in shown
    assert "No sign of life: klaviyo-sync-backfill-x7, last update" in shown


def test_what_is_no_state_file(job: Job, tmp_path: Path) -> None:
    """No file, and a file of something else, are told in a line."""
    missing = _status(job)
    assert (missing.exit_code, "no backfill has started with it" in missing.output) == (1, True)
    (job.folder / "backfill-state.json").write_text("{}", encoding="utf-8")
    other = _status(job)
    assert (other.exit_code, "is not the state file of a backfill" in other.output) == (78, True)
    piped = _status(job, piped=b"\xff")
    assert (piped.exit_code, "The file on stdin is not" in piped.output) == (78, True)
    named = tmp_path / "named.json"
    named.write_text(json.dumps(_file()), encoding="utf-8")
    runner = CliRunner(env={"ENV_FILE": os.devnull, "BACKFILL_STATE": str(named)})
    assert "No pass has started." in runner.invoke(manage, ["backfill", "status"]).output
