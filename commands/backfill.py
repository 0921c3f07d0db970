"""`manage.py backfill`: the job of the same name, for people: a progress bar, and words instead of JSON."""

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
    short_help="Load a shop's past into Klaviyo.",
)
@reads_env_file
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backfill(arguments: tuple[str, ...]) -> None:
    """Load a shop's past into Klaviyo."""
    if arguments[:1] == ("status",):
        backfill_status.main(arguments[1:], prog_name=f"{_PROGRAM} status")
    if _HELP & set(arguments):
        parse_options(["--help"], SyncRules().backfill, _PROGRAM, parents=[_of_the_command()])
    try:
        settings = settings_or_exit()
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(REFUSED)
    options = parse_options(arguments, settings.sync.backfill, _PROGRAM, parents=[_of_the_command()])
    exit_unless_confirmed(options, settings)
    console = Console(stderr=options.as_json)
    progress = ProgressBar(console) if console.is_terminal else LoggedProgress("backfill")
    outcome = run_backfill(options, settings, progress)
    if options.as_json:
        click.echo(json.dumps(outcome.report))
    else:
        for name, one in outcome.report["passes"].items():
            for line in _told(name, one, is_dry=options.dry_run):
                click.echo(line)
        if options.dry_run and outcome.code == DONE:
            for line in _summed_up(outcome.report):
                click.echo(line)
    if outcome.message:
        click.secho(outcome.message, fg="yellow", err=True)
    exit_process(outcome, outcome.code)


def _of_the_command() -> argparse.ArgumentParser:
    """What manage.py reads besides, as the help shows it."""
    parser = env_file_parser()
    parser.add_argument_group(
        "status", f"{_PROGRAM} status says how far a run is and when it will end; see its --help."
    )
    return parser


def _summed_up(report: Mapping[str, Any]) -> Iterator[str]:
    """What a dry run says of all passes together."""
    if report["placed_states"]:
        yield (
            f"Only orders that are {' or '.join(report['placed_states'])} now count as placed ([order] placed_states):"
            " others were placed too, and get no Placed Order."
        )
    new = report["new_profiles"]
    people = f"{new['customers']:,} customers and {new['guests']:,} guests"
    about = "about " if new["estimated"] else ""
    yield f"Profiles: {about}{people}. Klaviyo's price plan counts those that are new to it."
    yield (
        f"At {report['share']:g} of Klaviyo's limits: {report['hours']:g} hours, if everything has to be written."
        " Nothing was sent."
    )


class ProgressBar:
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


def _told(name: str, one: Mapping[str, Any], *, is_dry: bool) -> Iterator[str]:
    """What became of a pass, or would: `orders: 9 read, 8 sent, 1 skipped (no profile), 0 errors`, and its events."""
    skipped = sum(one["skipped"].values())
    counts = [f"{one['read']} read", f"{one['writes']} to write" if is_dry else f"{one['sent']} sent"]
    counts += [f"{skipped} skipped ({_reasons(one['skipped'])})"] if skipped else []
    counts += [f"{one['cuts']} to cut"] if one.get("cuts") else []
    counts.append(f"{one['unmappable']} unmappable" if is_dry else counted(one["errors"], "error"))
    counts.append(f"{one['hours']:g} h" if is_dry else f"{one['seconds']:.0f} s")
    yield f"{name}: {', '.join(counts)}"
    for metric, told in one.get("events", {}).items():
        values = ", ".join(money(value, currency) for currency, value in told["value"].items())
        yield f"  {told['count']} {metric} ({values})"


def _reasons(skipped: Mapping[str, int]) -> str:
    return ", ".join(
        reason.replace("_", " ") if len(skipped) == 1 else f"{count} {reason.replace('_', ' ')}"
        for reason, count in sorted(skipped.items())
    )
