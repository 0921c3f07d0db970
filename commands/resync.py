"""`manage.py resync`: sync single resources again, with the handlers that messages go through."""

import sys
import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape

from commands.dry_run import NullDeadLetters, dry_run_services
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.lookup import KINDS, ShopLookup, ShopResource
from commands.outcome_words import counted
from commands.output import log_on_stderr
from commands.preview_output import FAILURES, console, outcome_markup, show_preview
from commands.write_diff import changes_something
from core.errors import SyncError, TryAgain, Unavailable
from core.notification import Envelope
from core.settings import Settings
from handlers.services import Services
from pipeline import Outcome, settle

_ATTEMPTS = 5
_PAUSE = 2.0
"""Seconds before the second attempt; doubled for each further one."""


@click.command(epilog="Example:  python3 manage.py resync order S-20001 S-20002")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@reads_env_file
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def resync(kind: str, names: Sequence[str], *, dry_run: bool, yes: bool) -> None:
    """Sync single resources of the shop again.

    Does what the function does when commercetools sends a message about the resource. Each NAME is an id, order number,
    e-mail, key, SKU or slug. Shows what would change, asks for confirmation, and writes it.

    For an order it sends Placed Order and Ordered Product again. Klaviyo keeps the first event of each, so this only
    adds missing ones; those older than [events] flow_max_age start no flows. An order's other events are sent by
    messages alone: replay their dead letters.

    Exits with 1 if a resource was not found or could not be synced, or if you answered no.
    """
    settings = settings_or_exit()
    terminal = console()
    shop = ShopLookup(settings)
    try:
        found = list(shop.find_each(kind, list(dict.fromkeys(names))))
        resources = [resource for resource in found if resource]
        errors, changes = _preview_all(terminal, resources, settings)
        succeeded = not errors
        if changes and not dry_run:
            if kind == "order":
                terminal.print(
                    "Klaviyo keeps the first event of each unique_id: events that it already has stay as they are."
                )
            if not yes:
                click.confirm("Write this to Klaviyo?", abort=True)
            succeeded = _sync_all(terminal, shop, resources, settings)
        elif not succeeded:
            terminal.print(_why_nothing_written(errors), soft_wrap=True)
        elif resources and not dry_run:
            terminal.print("Klaviyo is up to date. Nothing was written.")
    finally:
        shop.close()
    if not all(found) or not succeeded:
        sys.exit(1)


def _preview_all(
    terminal: Console, resources: Sequence[ShopResource], settings: Settings
) -> tuple[list[SyncError | None], bool]:
    """Show what each resource would change. Returns the errors, and True if anything in Klaviyo would change."""
    errors: list[SyncError | None] = []
    changes = False
    if not resources:
        return errors, changes
    with dry_run_services(settings=settings) as (services, calls):
        for resource in resources:
            calls.forget()
            services.recent_consents.forget()
            outcome = settle(Envelope(resource.notification(settings.ct_project_id)), services)
            show_preview(terminal, str(resource), outcome, calls.writes, diff=True)
            errors += [outcome.error] if outcome.kind in FAILURES else []
            changes = changes or any(map(changes_something, calls.writes))
    return errors, changes


def _why_nothing_written(errors: Sequence[SyncError | None]) -> str:
    """Why nothing was written, and what to do: `check` if a backend does not answer or refuses its key."""
    for error in errors:
        if isinstance(error, Unavailable) or (isinstance(error, TryAgain) and error.is_denied):
            return "Can't tell what would change, so nothing was written. Next: python3 manage.py check"
    return "Nothing was written. For the reason above, see docs/failures.md"


def _sync_all(terminal: Console, shop: ShopLookup, resources: Sequence[ShopResource], settings: Settings) -> bool:
    """Sync each resource and print a line per attempt. Returns True if all have their effect."""
    services = Services(settings)
    services.dead_letters = NullDeadLetters()  # type: ignore[assignment] # failures are printed instead
    succeeded = True
    try:
        with log_on_stderr():
            for resource in resources:
                outcome = _sync(terminal, shop, resource, services)
                succeeded = succeeded and outcome is not None and outcome.kind not in FAILURES
    finally:
        services.close()
    return succeeded


def _sync(terminal: Console, shop: ShopLookup, resource: ShopResource, services: Services) -> Outcome | None:
    """Sync one resource, with retries as Pub/Sub would make. None if it can't be found any more."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            now = shop.find(resource.kind, resource.id)  # read again: it may have changed since the preview
        except click.ClickException as error:
            error.show()
            return None
        envelope = Envelope(now.notification(services.settings.ct_project_id), attempt=attempt)
        outcome = settle(envelope, services)
        calls = ", ".join(f"{counted(count, 'call')} to {backend}" for backend, count in outcome.calls.items())
        terminal.print(f"{escape(str(resource))}: {outcome_markup(outcome)}, {calls}", soft_wrap=True)
        if not isinstance(outcome.error, TryAgain) or outcome.error.is_denied or attempt == _ATTEMPTS:
            return outcome
        pause = _PAUSE * 2 ** (attempt - 1)
        terminal.print(f"  retrying in {pause:.0f} s")
        time.sleep(pause)
    raise AssertionError  # the loop ends by returning; mypy can't know
