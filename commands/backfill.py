"""`manage.py backfill`: the job of the same name, for people: a progress bar, and words instead of JSON."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from commands.environment import settings_or_exit
from commands.telling import money
from core.rules import SyncRules
from jobs.ending import DONE, REFUSED
from jobs.entry import carried_out
from jobs.leaving import leave
from jobs.options import parsed
from jobs.progress import LoggedProgress, Snapshot

_PROGRAM = "python manage.py backfill"
_WIDTH_IN_A_PIPE = 120
_HELP = {"-h", "--help"}


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Load a shop's past into Klaviyo.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backfill(arguments: tuple[str, ...]) -> None:
    """Load a shop's past into Klaviyo."""
    if _HELP & set(arguments):
        parsed(["--help"], SyncRules().backfill, _PROGRAM)
    try:
        settings = settings_or_exit()
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(REFUSED)
    options = parsed(arguments, settings.sync.backfill, _PROGRAM)
    is_wide_enough = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if is_wide_enough else _WIDTH_IN_A_PIPE, stderr=options.as_json)
    progress = Bar(console) if console.is_terminal else LoggedProgress()
    outcome = carried_out(options, settings, progress)
    if options.as_json:
        click.echo(json.dumps(outcome.report))
    else:
        console.print(_dry(outcome.report) if options.dry_run else _done(outcome.report))
        if options.dry_run and outcome.code == DONE:
            console.print(
                f"At {options.share:g} of Klaviyo's limits: {outcome.report['hours']:g} hours, if everything has to be"
                " written. Nothing was sent."
            )
    if outcome.said:
        click.secho(outcome.said, fg="yellow", err=True)
    leave(outcome, outcome.code)


class Bar:
    """A bar for the pass under way."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, snapshot: Snapshot) -> None:
        """Move the bar."""
        if snapshot.name not in self._tasks:
            self._tasks[snapshot.name] = self._progress.add_task(snapshot.name, told="")
        left = snapshot.minutes_left
        told = [f"{snapshot.rate:.0f}/min"]
        told += ["10,000 or more"] if snapshot.is_capped else []
        told += [f"{left:.0f} min left"] if left is not None else []
        told += [f"{snapshot.errors} errors"] if snapshot.errors else []
        told += [f"{snapshot.throttled} throttled"] if snapshot.throttled else []
        total = None if snapshot.is_capped else snapshot.total
        self._progress.update(self._tasks[snapshot.name], completed=snapshot.done, total=total, told=", ".join(told))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


def _done(report: Mapping[str, Any]) -> Table:
    table = Table("", "read", "sent", "skipped", "errors", "seconds", box=None)
    for name, one in report["passes"].items():
        table.add_row(
            name,
            str(one["read"]),
            str(one["sent"]),
            _reasons(one["skipped"]),
            str(one["errors"]),
            f"{one['seconds']:.0f}",
        )
    return table


def _dry(report: Mapping[str, Any]) -> Table:
    table = Table("", "read", "writes", "events", "skipped", "unmappable", "hours", box=None)
    for name, one in report["passes"].items():
        table.add_row(
            name, str(one["read"]), str(one["writes"]), _events(one["events"]), _reasons(one["skipped"]),
            str(one["unmappable"]), f"{one['hours']:g}",
        )  # fmt: skip
    return table


def _reasons(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(skipped.items()))


def _events(events: Mapping[str, Any]) -> str:
    """A line a metric: `12 Placed Order (1,020.00 EUR)`."""
    return "\n".join(
        f"{told['count']} {metric} ({', '.join(money(value, currency) for currency, value in told['value'].items())})"
        for metric, told in events.items()
    )
