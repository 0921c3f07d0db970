"""Options of a backfill that decide whom it reaches: flows for old orders, and orders of guests."""

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
DOORS = {"jobs": ["-m", "jobs"], "manage": [str(ROOT / "manage.py")]}
OLD: dict[str, Any] = {"createdAt": "2024-02-03T10:00:00.000Z", "lastModifiedAt": "2024-02-05T10:00:00.000Z"}


@pytest.fixture
def old_orders(sandbox: Sandbox) -> Sandbox:
    """An order of a customer, refunded, and one of a guest with a refund of its own."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order("order-1", orderState="Complete", **OLD, **REFUNDED))
    guests: dict[str, Any] = {"customerId": None, "customerEmail": "guest@example.com"}
    refunded: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-2")]}}
    sandbox.commercetools.put("orders", order("order-2", lines=[], **guests, **OLD, **refunded))
    sandbox.commercetools.put("payments", payment("payment-1"))
    sandbox.commercetools.put("payments", payment("payment-2"))
    return sandbox


def _sent(sandbox: Sandbox) -> set[tuple[str, bool]]:
    return {(one["metric"], one["backfill"]) for one in sandbox.klaviyo.state()["events"]}


METRICS = ("Placed Order", "Ordered Product", "Fulfilled Order", "Refunded Order")


def test_flows_start_for_old_orders_where_that_is_asked_for(old_orders: Sandbox, job: Job) -> None:
    """Whatever their age; all else is as in any backfill: estimates are marked, a guest is told by the e-mail."""
    assert job.run("--flows", "--yes").code == 0
    assert _sent(old_orders) == {(metric, False) for metric in METRICS}
    fulfilled = next(one for one in old_orders.klaviyo.state()["events"] if one["metric"] == "Fulfilled Order")
    assert fulfilled["properties"]["TimeEstimated"] is True
    guest = next(one for one in old_orders.klaviyo.state()["profiles"] if one["email"] == "guest@example.com")
    assert (guest.get("first_name"), guest.get("location")) == (None, None)


def test_flows_are_started_by_nobody_who_was_not_asked(old_orders: Sandbox, job: Job) -> None:
    """Without a terminal --yes has to say so. A dry run sends nothing, so it needs none."""
    refused = job.run("--flows")
    assert (refused.code, refused.lines) == (2, [])
    assert "it needs --yes" in refused.errors
    assert job.run("--flows", "--dry-run").code == 0
    assert _sent(old_orders) == set()


@pytest.mark.parametrize(
    ("answer", "code", "events"), [("y", 0, {("Placed Order", False), ("Refunded Order", False)}), ("n", 1, set())]
)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_whoever_is_at_the_terminal_is_asked(
    sandbox: Sandbox, tmp_path: Path, door: list[str], answer: str, code: int, events: set[tuple[str, bool]]
) -> None:
    """And told how many people may get mail: at most one for each order and each payment."""
    sandbox.commercetools.put("customers", customer())
    for number in range(3):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], **OLD, **REFUNDED))
    sandbox.commercetools.put("payments", payment())
    master, terminal = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    ran = subprocess.run(
        [sys.executable, *door, "backfill", "--flows", "--share", "1", "--only", "orders", "--only", "refunds"],
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
    assert ran.returncode == code, ran.stderr
    assert "Up to 4 people may get mail" in ran.stderr
    assert ("Nothing was sent." in ran.stderr) == (answer == "n")
    assert _sent(sandbox) == events


def test_a_run_with_flows_is_not_gone_on_with_without(old_orders: Sandbox, job: Job) -> None:
    """Half of the orders would start flows and half would not, and nobody could tell which."""
    old_orders.klaviyo.fail("events", status=401)
    assert job.run("--flows", "--yes").code == 77
    old_orders.klaviyo.reset()
    again = job.run()
    assert again.code == 78
    assert "--flows" in again.stop_reasons
    assert job.run("--flows", "--yes").code == 0


def test_orders_of_guests_may_be_left_out(old_orders: Sandbox, job: Job) -> None:
    """With their refunds: no profile is made of a guest. The dry run says the same."""
    dry = job.run("--skip-guests", "--dry-run").report["passes"]
    done = job.run("--skip-guests").report["passes"]
    for name in ("orders", "refunds"):
        assert dry[name]["skipped"] == done[name]["skipped"] == {"guest": 1}
    assert [one["email"] for one in old_orders.klaviyo.state()["profiles"]] == ["customer-1@example.com"]


def test_the_errors_file_lies_beside_the_state(sandbox: Sandbox, job: Job, tmp_path: Path) -> None:
    """As on Cloud Run, where only the state's folder outlives the run; its name is made of the state's."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(totalPrice={}))
    folder = tmp_path / "mounted"
    folder.mkdir()
    assert job.run("--only", "orders", BACKFILL_STATE=str(folder / "shop-state.json")).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["shop-errors.jsonl", "shop-state.json"]


@pytest.mark.parametrize("door", DOORS)
def test_help_has_what_only_the_command_takes(sandbox: Sandbox, tmp_path: Path, door: str) -> None:
    """The env file and `status`: `python -m jobs` takes neither, and does not offer them."""
    told = subprocess.run(
        [sys.executable, *DOORS[door], "backfill", "--help"],
        cwd=tmp_path,
        env=environment_of(sandbox),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "--since TIME" in told
    assert [text in told for text in ("--env-file FILE", "manage.py backfill status")] == [door == "manage"] * 2
