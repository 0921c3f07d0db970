"""The last part of the demo: load the shop's history into an empty account."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from commands.demo_jobs import run_sandbox_job
from commands.outcome_words import counted
from commands.processes import Sandbox

_NAME_WIDTH = 12
_PASSES = ("customers", "orders", "refunds")


def show_backfill(sandbox: Sandbox, console: Console) -> list[str]:
    """Empty Klaviyo, run a small backfill and print what it did. Returns problems, a line each."""
    console.print("\n[bold]And the history before the first message[/]")
    console.print(
        "A new account knows nothing of old orders. The demo empties Klaviyo, and `manage.py backfill` loads the shop's"
        " history through the same handlers:"
    )
    sandbox.klaviyo.reset()
    code, report = run_small_backfill(sandbox)
    events = sandbox.klaviyo.state()["events"]
    table = Table.grid(padding=(0, 1))
    for name, result in pass_results(report, events):
        table.add_row(Text("✓", "green"), Text(f"{name:<{_NAME_WIDTH}}"), result)
    console.print(table)
    flows = sum(not event["backfill"] for event in events)
    console.print(
        f"{counted(len(events), 'event')} with their original times (some estimated); {flows or 'none'} starts a flow."
        " If a run is interrupted, the same command resumes it.",
        style="dim",
    )
    problems = [f"the backfill ended with {code}"] if code else []
    problems += [f"the backfill started flows for {counted(flows, 'event')}"] if flows else []
    return problems if events else [*problems, "the backfill sent nothing"]


def run_small_backfill(sandbox: Sandbox, rules: str = "") -> tuple[int, dict[str, Any]]:
    """Run a small backfill with `rules` as its sync.toml. Returns its exit code and report."""
    return run_sandbox_job(sandbox, "backfill", *(word for name in _PASSES for word in ("--only", name)), rules=rules)


def pass_results(report: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The name of each pass, and its result: `9 read: Ordered Product x13, Placed Order x9`."""
    metrics = Counter(event["metric"] for event in events)
    refunds = {"Refunded Order": metrics.pop("Refunded Order", 0)}
    for name, one in report.get("passes", {}).items():
        sent = sorted(
            {"orders": metrics, "refunds": refunds}.get(name, {}).items(), key=lambda each: (-each[1], each[0])
        )
        effect = ", ".join(metric if count == 1 else f"{metric} x{count}" for metric, count in sent if count)
        effect = effect or counted(one["sent"], "profile" if name == "customers" else "event")
        yield name, f"{one['read']} read: {effect}"
