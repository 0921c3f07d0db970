"""`manage.py preview`: show what a notification would do, without writing anything."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from commands.dry_run import describe_backends, dry_run_services
from commands.env_file import reads_env_file
from commands.klaviyo_recorder import Write
from commands.lookup import KINDS, ShopLookup
from commands.output import write_private
from commands.preview_output import FAILURES, console, show_preview
from core.notification import Envelope
from core.settings import Settings
from pipeline import Outcome, settle

_STDIN = "-"


@click.command(epilog="Example:  python3 manage.py preview order S-20001 --diff")
@click.argument("what", nargs=-1, required=True, metavar="FILE... | KIND NAME...")
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read DIR/<collection>/*.json instead of commercetools.  [default: the commercetools project of the "
    "environment; if it names none, the samples' documents]",
    metavar="DIR",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With a single NAME: also save its notification to FILE, for `send`.",
    metavar="FILE",
)
@reads_env_file
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with an object per notification.")
@click.option("--diff", is_flag=True, help="Show only what would change in Klaviyo, instead of whole bodies.")
def preview(what: Sequence[str], documents: Path | None, save: Path | None, *, as_json: bool, diff: bool) -> None:
    """Show what notifications would do.

    Shows the outcome of each and its requests to Klaviyo, and writes nothing.

    A FILE holds a notification as commercetools publishes it; - reads stdin. With KIND (order, customer, product or
    category) and a NAME (an id, order number, e-mail, key, SKU or slug), the notification is the one that commercetools
    would send about that resource now.

    Reads the real Klaviyo account if KLAVIYO_AUTH_KEY is set, else assumes an empty one. Exits with 1 if a notification
    would be retried or dead-lettered, or if a resource does not exist.
    """
    kind, *names = what
    if kind in KINDS and not names:
        raise click.UsageError(f"Say which {kind}.")
    if save and (kind not in KINDS or len(names) != 1):
        raise click.UsageError("--save takes one NAME.")
    terminal = console()
    if not as_json:
        terminal.print(f"[dim]{escape(describe_backends(documents))}[/]", soft_wrap=True)
    reports = []
    failed = False
    with dry_run_services(documents) as (services, calls):
        for title, data in (
            _notifications_about(kind, names, services.settings) if kind in KINDS else _notifications_in(what)
        ):
            if data is None:
                failed = True
                continue
            if save:
                write_private(data, save)
                click.echo(f"Saved as {save}. Next: python3 manage.py send {save}", err=True)
            calls.forget()
            services.recent_consents.forget()
            outcome = settle(Envelope(data), services)
            failed = failed or outcome.kind in FAILURES
            if as_json:
                reports.append(_report(title, outcome, calls.writes))
            else:
                show_preview(terminal, title, outcome, calls.writes, diff=diff)
                _hint_at_documents(outcome, services.settings)
    if as_json:
        click.echo(json.dumps(reports, indent=2, ensure_ascii=False))
    if failed:
        sys.exit(1)


def _notifications_in(files: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    for file in files:
        try:
            yield file, sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror}") from None


def _notifications_about(kind: str, names: Sequence[str], settings: Settings) -> Iterator[tuple[str, bytes | None]]:
    """Title and notification of each resource; None, after an error message, for one that can't be read."""
    shop = ShopLookup(settings)
    try:
        for name, found in zip(names, shop.find_each(kind, names), strict=True):
            yield (str(found), found.notification(settings.ct_project_id)) if found else (f"{kind} {name}", None)
    finally:
        shop.close()


def _hint_at_documents(outcome: Outcome, settings: Settings) -> None:
    """Say how to preview a sample, which belongs to the samples' own project."""
    if outcome.notification and outcome.error and outcome.error.reason == "other_project":
        click.echo(
            f"The notification belongs to project {outcome.notification.project_key}, but CT_PROJECT_ID is "
            f"{settings.ct_project_id}. For a sample, add: --documents samples/documents"
        )


def _report(title: str, outcome: Outcome, writes: Sequence[Write]) -> dict[str, Any]:
    error = outcome.error
    return {
        "file": title,
        "key": outcome.notification.key if outcome.notification else None,
        "resource": str(outcome.notification.resource) if outcome.notification else None,
        "outcome": outcome.kind,
        "reason": error.reason if error else None,
        "cuts": list(outcome.cuts),
        "consent": list(outcome.consent),
        "requests": [
            {"method": write.method, "path": write.path, "body": write.body, "status": int(write.status)}
            for write in writes
        ],
    }
