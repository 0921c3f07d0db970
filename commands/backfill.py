"""`manage.py backfill`: run the backfill job from a terminal, with a progress bar and a readable report."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from commands.backfill_status import backfill_status
from commands.env_file import env_file_parser, reads_env_file
from commands.environment import settings_or_exit
from commands.outcome_words import counted, money
from commands.reason_words import with_words
from core.rules import SyncRules
from jobs.entry import run_backfill
from jobs.exiting import exit_process
from jobs.flows import exit_unless_confirmed
from jobs.options import parse_options
from jobs.outcome import DONE, REFUSED
from jobs.progress import LoggedProgress, Snapshot

_PROGRAM = "python3 manage.py backfill"
_HELP = {"-h", "--help"}


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Load a shop's history into Klaviyo.",
)
@reads_env_file
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backfill(arguments: tuple[str, ...]) -> None:
    """Load a shop's history into Klaviyo."""
    if arguments[:1] == ("status",):
        backfill_status.main(arguments[1:], prog_name=f"{_PROGRAM} status")
    if _HELP & set(arguments):
        parse_options(["--help"], SyncRules().backfill, _PROGRAM, parents=[_extra_help()])
    try:
        settings = settings_or_exit()
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(REFUSED)
    options = parse_options(arguments, settings.sync.backfill, _PROGRAM, parents=[_extra_help()])
    exit_unless_confirmed(options, settings)
    console = Console(stderr=options.as_json)
    progress = ProgressBar(console) if console.is_terminal else LoggedProgress("backfill")
    outcome = run_backfill(options, settings, progress)
    if options.as_json:
        click.echo(json.dumps(outcome.report))
    else:
        for name, result in outcome.report["passes"].items():
            for line in _pass_lines(name, result, is_dry=options.dry_run):
                click.echo(line)
        if options.dry_run and outcome.code == DONE:
            for line in _dry_run_summary(outcome.report):
                click.echo(line)
    if outcome.message:
        click.secho(outcome.message, fg="yellow", err=True)
    exit_process(outcome, outcome.code)


def _extra_help() -> argparse.ArgumentParser:
    """Help for what manage.py adds to the job's own options."""
    parser = env_file_parser()
    parser.add_argument_group(
        "status", f"`{_PROGRAM} status` shows the progress of a run and when it will end; see its --help."
    )
    return parser


def _dry_run_summary(report: Mapping[str, Any]) -> Iterator[str]:
    """Summary lines of a dry run."""
    if report["placed_states"]:
        yield (
            f"Only orders now in the state {' or '.join(report['placed_states'])} get a Placed Order ([order]"
            " placed_states). Orders that have since moved on get none."
        )
    new = report["new_profiles"]
    people = f"{new['customers']:,} customers and {new['guests']:,} guests"
    about = "about " if new["estimated"] else ""
    yield f"Profiles: {about}{people}. Those that are new to Klaviyo count towards its price plan."
    yield (
        f"At {report['share']:g} of Klaviyo's rate limits this takes {report['hours']:g} hours if everything has to be"
        " written. Nothing was sent."
    )


class ProgressBar:
    """A progress bar for each pass."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, snapshot: Snapshot) -> None:
        """Update the bar of the snapshot's pass."""
        if snapshot.name not in self._tasks:
            self._tasks[snapshot.name] = self._progress.add_task(snapshot.name, details="")
        left = snapshot.minutes_left
        details = [f"{snapshot.rate:.0f}/min"]
        details += ["10,000 or more to read"] if snapshot.is_capped else []
        details += [f"{left:.0f} min left"] if left is not None else []
        details += [f"{snapshot.errors} errors"] if snapshot.errors else []
        details += [f"{snapshot.throttled} throttled"] if snapshot.throttled else []
        total = None if snapshot.is_capped else snapshot.total
        self._progress.update(
            self._tasks[snapshot.name], completed=snapshot.done, total=total, details=", ".join(details)
        )

    def close(self) -> None:
        """Stop updating; the bars stay on screen."""
        self._progress.stop()


def _pass_lines(name: str, result: Mapping[str, Any], *, is_dry: bool) -> Iterator[str]:
    """The result of a pass, `orders: 9 read, 8 sent, 1 skipped, 0 errors`, and a line per metric and per reason."""
    skipped = sum(result["skipped"].values())
    counts = [f"{result['read']} read", f"{result['writes']} to write" if is_dry else f"{result['sent']} sent"]
    counts += [f"{skipped} skipped"] if skipped else []
    counts += [f"{result['cuts']} to shorten"] if result.get("cuts") else []
    counts.append(f"{result['unmappable']} unmappable" if is_dry else counted(result["errors"], "error"))
    counts.append(f"{result['hours']:g} h" if is_dry else f"{result['seconds']:.0f} s")
    yield f"{name}: {', '.join(counts)}"
    for metric, events in result.get("events", {}).items():
        values = ", ".join(money(value, currency) for currency, value in events["value"].items())
        yield f"  {events['count']} {metric} ({values})"
    for reason, count in sorted(result["skipped"].items()):
        yield f"  {count} skipped: {with_words(reason)}"
