"""Run a job from a command: read the options and settings, show progress, print the report, exit."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click
from rich.console import Console

from commands.backfill import ProgressBar
from commands.environment import settings_or_exit
from commands.output import log_on_stderr
from core.rules import SyncRules
from core.settings import Settings
from core.wire import encoded
from jobs.exiting import exit_process
from jobs.outcome import REFUSED, Outcome
from jobs.progress import LoggedProgress, Progress

_HELP = {"-h", "--help"}

Options = TypeVar("Options")


def run_job(
    command: str,
    arguments: Sequence[str],
    parse: Callable[[Sequence[str], SyncRules], Options],
    run: Callable[[Options, Settings, Progress], Outcome],
    print_report: Callable[[Outcome], None],
) -> None:
    """Parse the options, run the job with a progress bar, print its report with `print_report` or as JSON, and exit.

    Exits with the outcome's code, or with REFUSED if the settings are wrong.
    """
    if _HELP & set(arguments):
        parse(["--help"], SyncRules())
    try:
        settings = settings_or_exit()
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(REFUSED)
    options = parse(arguments, settings.sync)
    console = Console(stderr=True)
    with log_on_stderr():
        outcome = run(options, settings, ProgressBar(console) if console.is_terminal else LoggedProgress(command))
    if getattr(options, "as_json", False):
        click.echo(encoded(outcome.report).decode())
    else:
        print_report(outcome)
    if outcome.message:
        click.secho(outcome.message, fg="yellow", err=True)
    exit_process(outcome, outcome.code)
