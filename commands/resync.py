"""`manage.py resync`: put single resources right in Klaviyo, by the handlers that messages go through."""

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
"""Seconds before the second attempt; twice as many before each further one."""


@click.command(epilog="Example:  python3 manage.py resync order S-20001 S-20002")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@reads_env_file
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def resync(kind: str, names: Sequence[str], *, dry_run: bool, yes: bool) -> None:
    """Send resources of the shop through the handlers, as if commercetools had told of them now.

    Each NAME is an id, order number, e-mail, key, SKU or slug. Shows what would change, asks, and writes it.

    An order sends Placed Order and Ordered Product again: Klaviyo keeps the first event of each, so only what is
    missing is added, and what is older than [events] flow_max_age starts no flow. Other events of an order are told by
    messages alone; replay these.

    Exits with 1 if one was not found or could not be brought about, or if the answer was no.
    """
    settings = settings_or_exit()
    terminal = console()
    shop = ShopLookup(settings)
    try:
        found = list(shop.find_each(kind, list(dict.fromkeys(names))))
        resources = [live for live in found if live]
        errors, changes = _previewed(terminal, resources, settings)
        is_well = not errors
        if changes and not dry_run:
            if kind == "order":
                terminal.print("Klaviyo keeps the first event of each unique_id: what it has already stays as it is.")
            if not yes:
                click.confirm("Write this to Klaviyo?", abort=True)
            is_well = _sent(terminal, shop, resources, settings)
        elif not is_well:
            terminal.print(_nothing_is_written(errors), soft_wrap=True)
        elif resources and not dry_run:
            terminal.print("Nothing would change, so nothing is written.")
    finally:
        shop.close()
    if not all(found) or not is_well:
        sys.exit(1)


def _previewed(
    terminal: Console, resources: Sequence[ShopResource], settings: Settings
) -> tuple[list[SyncError | None], bool]:
    """Shows what each would change; why some would not have their effect, and whether Klaviyo would change at all."""
    errors: list[SyncError | None] = []
    changes = False
    if not resources:
        return errors, changes
    with dry_run_services(settings=settings) as (services, calls):
        for live in resources:
            calls.forget()
            services.recent_consents.forget()
            outcome = settle(Envelope(live.notification(settings.ct_project_id)), services)
            show_preview(terminal, str(live), outcome, calls.writes, diff=True)
            errors += [outcome.error] if outcome.kind in FAILURES else []
            changes = changes or any(map(changes_something, calls.writes))
    return errors, changes


def _nothing_is_written(errors: Sequence[SyncError | None]) -> str:
    """Why, and what to do: `check` helps where a backend does not answer or refuses the key."""
    for error in errors:
        if isinstance(error, Unavailable) or (isinstance(error, TryAgain) and error.is_denied):
            return "What would change can't be told, so nothing is written. Next: python3 manage.py check"
    return "Nothing is written. What the reason means, and what to do: docs/failures.md"


def _sent(terminal: Console, shop: ShopLookup, resources: Sequence[ShopResource], settings: Settings) -> bool:
    """Writes each, a line a resource; whether all have their effect."""
    services = Services(settings)
    services.dead_letters = NullDeadLetters()  # type: ignore[assignment] # it is said here instead
    is_well = True
    try:
        with log_on_stderr():
            for live in resources:
                outcome = _settled(terminal, shop, live, services)
                is_well = is_well and outcome is not None and outcome.kind not in FAILURES
    finally:
        services.close()
    return is_well


def _settled(terminal: Console, shop: ShopLookup, live: ShopResource, services: Services) -> Outcome | None:
    """Attempts at it, as Pub/Sub would make; None for one that is gone by now."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            now = shop.find(live.kind, live.id)  # the answer to the question may have taken a while
        except click.ClickException as error:
            error.show()
            return None
        envelope = Envelope(now.notification(services.settings.ct_project_id), attempt=attempt)
        outcome = settle(envelope, services)
        calls = ", ".join(f"{counted(count, 'call')} to {backend}" for backend, count in outcome.calls.items())
        terminal.print(f"{escape(str(live))}: {outcome_markup(outcome)}, {calls}", soft_wrap=True)
        if not isinstance(outcome.error, TryAgain) or outcome.error.is_denied or attempt == _ATTEMPTS:
            return outcome
        pause = _PAUSE * 2 ** (attempt - 1)
        terminal.print(f"  once more in {pause:.0f} s")
        time.sleep(pause)
    raise AssertionError  # the loop ends by returning; mypy can't know
