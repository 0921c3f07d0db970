"""What commands have in common that run a job for people: settings, a bar, and the way out."""

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
    parsed: Callable[[Sequence[str], SyncRules], Options],
    run: Callable[[Options, Settings, Progress], Outcome],
    tell: Callable[[Outcome], None],
) -> None:
    """Parse options, run a job with a bar on the terminal, print what it comes to with `tell` or as JSON, and exit."""
    if _HELP & set(arguments):
        parsed(["--help"], SyncRules())
    try:
        settings = settings_or_exit()
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(REFUSED)
    options = parsed(arguments, settings.sync)
    console = Console(stderr=True)
    with log_on_stderr():
        outcome = run(options, settings, ProgressBar(console) if console.is_terminal else LoggedProgress(command))
    if getattr(options, "as_json", False):
        click.echo(encoded(outcome.report).decode())
    else:
        tell(outcome)
    if outcome.message:
        click.secho(outcome.message, fg="yellow", err=True)
    exit_process(outcome, outcome.code)
