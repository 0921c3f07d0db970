"""The last act of the demo: the shop's past, loaded into an account that knows nothing of it."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from commands.running import PATIENCE, ROOT, Sandbox
from commands.telling import counted
from sandbox.samples import ENVIRONMENT

_PASSES = ("customers", "orders", "refunds")


def show_past(sandbox: Sandbox, console: Console) -> list[str]:
    """Empty Klaviyo, run a small backfill and print what it did; what is wrong with that, a line each."""
    console.print("\n[bold]And what happened before the first message[/]")
    console.print(
        "A new account knows nothing of old orders. Klaviyo is emptied, and `manage.py backfill` loads the shop's past"
        " by the same handlers:"
    )
    sandbox.klaviyo.reset()
    code, report = backfilled(sandbox)
    events = sandbox.klaviyo.state()["events"]
    for line in in_lines(report, events):
        console.print(Text.assemble(("✓ ", "green"), line))
    flows = sum(not event["backfill"] for event in events)
    console.print(
        f"{counted(len(events), 'event')} at the time at which they happened, {flows or 'none'} of which starts a flow."
        " Killed and started again, it goes on.",
        style="dim",
    )
    problems = [f"the backfill ended with {code}"] if code else []
    problems += [f"the backfill started flows for {counted(flows, 'event')}"] if flows else []
    return problems if events else [*problems, "the backfill sent nothing"]


def backfilled(sandbox: Sandbox, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a small backfill."""
    code, report = job_report(
        sandbox, "backfill", *(word for name in _PASSES for word in ("--only", name)), **environment
    )
    return code, report or {"passes": {}}


def job_report(sandbox: Sandbox, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the program that a Cloud Run job starts; the report is empty where it made none."""
    states = {"BACKFILL_STATE": "", "RECONCILE_STATE": ""}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments, "--json", "--share", "1"],
            cwd=folder,
            env={
                **os.environ,
                **sandbox.environment,
                **ENVIRONMENT,
                **states,
                "PYTHONPATH": str(ROOT),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    lines = done.stdout.splitlines()
    report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return done.returncode, report


def in_lines(report: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    """`orders       9 read: Placed Order x9, Ordered Product x13`."""
    metrics = Counter(event["metric"] for event in events)
    refunds = {"Refunded Order": metrics.pop("Refunded Order", 0)}
    for name, one in report["passes"].items():
        sent = {"orders": metrics, "refunds": refunds}.get(name, {})
        told = ", ".join(metric if count == 1 else f"{metric} x{count}" for metric, count in sent.items() if count)
        told = told or counted(one["sent"], "profile")
        yield f"{name:<12} {one['read']} read: {told}"
