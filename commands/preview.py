"""`manage.py preview`: what a notification would do, without writing anything."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

import sandbox
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.running import sandbox_environment
from commands.unsent import UnsentCalls, Write
from core.errors import DeadLetter
from core.notification import Envelope
from handlers.services import Services
from pipeline import Outcome, settle
from sandbox.samples import DOCUMENTS, ENVIRONMENT

_COLOURS = {"synced": "green", "ignored": "yellow", "retried": "red", "dead-lettered": "red"}
_WIDTH_IN_A_PIPE = 100


@click.command(epilog="Example:  python manage.py preview samples/13-customer-created.json")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read DIR/<collection>/*.json in place of commercetools. Without it commercetools is read for real where the "
    "environment names it, and the samples' documents where it does not.",
    metavar="DIR",
)
@reads_env_file
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a list with an object for each file.")
@click.option("--diff", is_flag=True, help="Show what would change in what Klaviyo holds, instead of whole bodies.")
def preview(files: Sequence[Path], documents: Path | None, *, as_json: bool, diff: bool) -> None:
    """Print what notifications would do: the outcome, and each request to Klaviyo. Nothing is written.

    A FILE holds a notification as commercetools publishes it. Klaviyo is read for real if KLAVIYO_AUTH_KEY is set,
    else it is taken to be empty. Exits with 1 if a notification would not be acknowledged with its effect.
    """
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE)
    reports = []
    failed = False
    with services_that_write_nothing(documents) as (services, calls):
        for file in files:
            try:
                data = file.read_bytes()
            except OSError as error:
                raise click.ClickException(f"{file}: {error.strerror}") from None
            calls.forget()
            outcome = settle(Envelope(data), services)
            failed = failed or outcome.kind in ("retried", "dead-lettered")
            if as_json:
                reports.append(_report(file, outcome, calls.writes))
            else:
                _print(console, file, outcome, calls.writes, diff=diff)
    if as_json:
        click.echo(json.dumps(reports, indent=2, ensure_ascii=False))
    if failed:
        sys.exit(1)


class _UnpublishedLetters:
    """In place of the dead-letter topic: a letter would be published."""

    def publish(self, *_: object, **__: object) -> None:
        """Nothing is published."""

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def services_that_write_nothing(documents: Path | None = None) -> Iterator[tuple[Services, UnsentCalls]]:
    """Services that write nothing: backends from the environment, stand-ins for those it does not name."""
    with ExitStack() as stack:
        real_shop = bool(os.environ.get("CT_API_URL")) and documents is None
        real_klaviyo = bool(os.environ.get("KLAVIYO_AUTH_KEY"))
        stack.callback(_restore, dict(os.environ))
        if not (real_shop and real_klaviyo):
            running = stack.enter_context(sandbox.start(documents=documents or DOCUMENTS))
            stand_in = sandbox_environment(running.commercetools.url, running.klaviyo.url)
            for name, value in {**stand_in, **ENVIRONMENT}.items():
                is_klaviyo, is_shop = name.startswith("KLAVIYO_"), name.startswith("CT_")
                if not (is_klaviyo and real_klaviyo) and not (is_shop and real_shop):
                    os.environ[name] = value if is_klaviyo or is_shop else os.environ.get(name) or value
        settings = settings_or_exit()
        calls = UnsentCalls(settings)
        services = Services(settings, calls)
        services.dead_letters = _UnpublishedLetters()  # type: ignore[assignment] # the same two methods
        stack.callback(services.close)
        yield services, calls


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _report(file: Path, outcome: Outcome, writes: Sequence[Write]) -> dict[str, Any]:
    error = outcome.error
    return {
        "file": str(file),
        "key": outcome.notification.key if outcome.notification else None,
        "resource": str(outcome.notification.resource) if outcome.notification else None,
        "outcome": outcome.kind,
        "reason": error.reason if error else None,
        "cuts": list(outcome.cuts),
        "requests": [{"method": write.method, "path": write.path, "body": write.body} for write in writes],
    }


def _print(console: Console, file: Path, outcome: Outcome, writes: Sequence[Write], *, diff: bool) -> None:
    error, colour = outcome.error, _COLOURS[outcome.kind]
    console.rule(str(file), align="left")
    reason = f" ({_why(error)})" if error else ""
    key = outcome.notification.key if outcome.notification else "unreadable"
    console.print(f"{key}: [{colour}]{outcome.kind}[/]{reason}", highlight=False)
    for write in writes:
        console.print(f"\n[bold]{write.method}[/] {write.path}", highlight=False, soft_wrap=True)
        if diff and write.body:
            for line in _differences(write):
                console.print(line, highlight=False, soft_wrap=True)
        elif write.body:
            text = json.dumps(write.body, indent=2, ensure_ascii=False)
            console.print(Syntax(text, "json", theme="ansi_dark", background_color="default", word_wrap=True))
    for cut in outcome.cuts:
        console.print(f"[yellow]left out[/] {cut}", highlight=False)
    console.print()


def _why(error: Any) -> str:
    parts = [error.reason]
    if isinstance(error, DeadLetter):
        parts += [str(error.status or ""), error.code, error.pointer]
    return " ".join(filter(None, parts))


def _differences(write: Write) -> Iterator[str]:
    """A line for each attribute that would be another one; all of them for what is new."""
    attributes = (write.body or {})["data"].get("attributes", {})
    current = write.current or {}
    for name, value in attributes.items():
        if write.current is None:
            yield f"  [green]+ {name}[/] = {_shown(value)}"
        elif current.get(name) != value:
            yield f"  [yellow]~ {name}[/] {_shown(current.get(name))} -> {_shown(value)}"


def _shown(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
