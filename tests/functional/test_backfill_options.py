"""Options of a backfill: flows for old orders, orders of guests, and where its files are."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands.processes import ROOT, Sandbox
from tests.functional.documents import customer, order, payment, reference
from tests.functional.job_runs import Job, environment_of

REFUNDED: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
ENTRY_POINTS = {"jobs": ["-m", "jobs"], "manage": [str(ROOT / "manage.py")]}
OLD: dict[str, Any] = {"createdAt": "2024-02-03T10:00:00.000Z", "lastModifiedAt": "2024-02-05T10:00:00.000Z"}


@pytest.fixture
def old_orders(sandbox: Sandbox) -> Sandbox:
    """A customer's order and a guest's order, each with a refund."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order("order-1", orderState="Complete", **OLD, **REFUNDED))
    guests: dict[str, Any] = {"customerId": None, "customerEmail": "guest@example.com"}
    refunded: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-2")]}}
    sandbox.commercetools.put("orders", order("order-2", lines=[], **guests, **OLD, **refunded))
    sandbox.commercetools.put("payments", payment("payment-1"))
    sandbox.commercetools.put("payments", payment("payment-2"))
    return sandbox


def _sent_events(sandbox: Sandbox) -> set[tuple[str, bool]]:
    """Metric and backfill mark of each event."""
    return {(one["metric"], one["backfill"]) for one in sandbox.klaviyo.state()["events"]}


METRICS = ("Placed Order", "Ordered Product", "Fulfilled Order", "Refunded Order")


def test_flows_start_for_old_orders_on_request(old_orders: Sandbox, job: Job) -> None:
    """With `--flows`, old orders start flows. Estimated times are still marked, and guests only get their e-mail."""
    assert job.run("--flows", "--yes").code == 0
    assert _sent_events(old_orders) == {(metric, False) for metric in METRICS}
    fulfilled = next(one for one in old_orders.klaviyo.state()["events"] if one["metric"] == "Fulfilled Order")
    assert fulfilled["properties"]["TimeEstimated"] is True
    guest = next(one for one in old_orders.klaviyo.state()["profiles"] if one["email"] == "guest@example.com")
    assert (guest.get("first_name"), guest.get("location")) == (None, None)


def test_flows_need_a_confirmation(old_orders: Sandbox, job: Job) -> None:
    """Without a terminal, `--flows` needs `--yes`. A dry run sends nothing, so it does not."""
    refused = job.run("--flows")
    assert (refused.code, refused.lines) == (2, [])
    assert "it needs --yes" in refused.errors
    assert job.run("--flows", "--dry-run").code == 0
    assert _sent_events(old_orders) == set()


@pytest.mark.parametrize(
    ("answer", "code", "events"), [("y", 0, {("Placed Order", False), ("Refunded Order", False)}), ("n", 1, set())]
)
@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_flows_ask_at_the_terminal(
    sandbox: Sandbox, tmp_path: Path, entry_point: list[str], answer: str, code: int, events: set[tuple[str, bool]]
) -> None:
    """At a terminal, `--flows` asks, and says how many people may get mail: at most one per order and payment."""
    sandbox.commercetools.put("customers", customer())
    for number in range(3):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], **OLD, **REFUNDED))
    sandbox.commercetools.put("payments", payment())
    master, terminal = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    result = subprocess.run(
        [sys.executable, *entry_point, "backfill", "--flows", "--share", "1", "--only", "orders", "--only", "refunds"],
        cwd=tmp_path,
        env=environment_of(sandbox),
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(master)
    os.close(terminal)
    assert result.returncode == code, result.stderr
    assert "Up to 4 people may get mail" in result.stderr
    assert ("Nothing was sent." in result.stderr) == (answer == "n")
    assert _sent_events(sandbox) == events


def test_a_run_with_flows_resumes_only_with_flows(old_orders: Sandbox, job: Job) -> None:
    """A run with `--flows` can't be resumed without: some orders would start flows, and nobody could tell which."""
    old_orders.klaviyo.fail("events", status=401)
    assert job.run("--flows", "--yes").code == 77
    old_orders.klaviyo.reset()
    again = job.run()
    assert again.code == 78
    assert "--flows" in again.stop_reasons
    assert job.run("--flows", "--yes").code == 0


def test_skip_guests_leaves_out_their_orders(old_orders: Sandbox, job: Job) -> None:
    """`--skip-guests` leaves out their orders and refunds, so they get no profile. The dry run reports the same."""
    dry = job.run("--skip-guests", "--dry-run").report["passes"]
    done = job.run("--skip-guests").report["passes"]
    for name in ("orders", "refunds"):
        assert dry[name]["skipped"] == done[name]["skipped"] == {"guest": 1}
    assert [one["email"] for one in old_orders.klaviyo.state()["profiles"]] == ["customer-1@example.com"]


def test_the_errors_file_is_next_to_the_state_file(sandbox: Sandbox, job: Job, tmp_path: Path) -> None:
    """The errors file is next to the state file, with a name derived from it: on Cloud Run only that folder is kept."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(totalPrice={}))
    folder = tmp_path / "mounted"
    folder.mkdir()
    assert job.run("--only", "orders", BACKFILL_STATE=str(folder / "shop-state.json")).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["shop-errors.jsonl", "shop-state.json"]


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_help_of_each_entry_point(sandbox: Sandbox, tmp_path: Path, entry_point: str) -> None:
    """Only the help of `manage.py` mentions the env file and `status`: `python -m jobs` has neither."""
    help_text = subprocess.run(
        [sys.executable, *ENTRY_POINTS[entry_point], "backfill", "--help"],
        cwd=tmp_path,
        env=environment_of(sandbox),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "--since TIME" in help_text
    assert [text in help_text for text in ("--env-file FILE", "manage.py backfill status")] == [
        entry_point == "manage"
    ] * 2
