"""`manage.py dead-letters`: what could not be synced, and what becomes of it."""

import json
import re
import sys
from collections.abc import Callable, Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from commands.env_file import reads_env_file
from commands.letters import Letter, Letters, pulled_letters

_SUBSCRIPTION = re.compile(r"projects/[^/]+/subscriptions/[^/]+")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_WIDTH_IN_A_PIPE = 240


@click.group("dead-letters", epilog="Example:  python manage.py dead-letters list")
def dead_letters() -> None:
    """Look through what could not be synced, send it again, or drop it.

    A dead-letter subscription holds letters of the function, each with a reason, and messages that Pub/Sub forwarded
    after their last attempt (reason "forwarded"). What a command does not send or drop stays where it is.
    """


def _named(pattern: re.Pattern[str], form: str) -> Callable[[click.Context, click.Parameter, str], str]:
    def check(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
        if not pattern.fullmatch(value):
            raise click.BadParameter(f"it has the form {form}")
        return value

    return check


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        reads_env_file,
        click.option(
            "--wait",
            type=click.FloatRange(min=0.1),
            default=5.0,
            show_default=True,
            help="Seconds without a letter after which there are no more.",
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Read at most so many letters."
        ),
        click.option(
            "--subscription",
            required=True,
            envvar="DEAD_LETTER_SUBSCRIPTION",
            show_envvar=True,
            callback=_named(_SUBSCRIPTION, "projects/PROJECT/subscriptions/SUBSCRIPTION"),
            metavar="projects/P/subscriptions/S",
            help="The subscription of the dead-letter topic.",
        ),
    ):
        command = option(command)
    return command


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--all", "everything", is_flag=True, help="All letters."),
        click.option("--reason", "reasons", multiple=True, help="Letters of this reason; may be given several times."),
        click.argument("ids", nargs=-1, metavar="[ID]..."),
    ):
        command = option(command)
    return _reading(command)


@dead_letters.command("list", epilog="Example:  python manage.py dead-letters list --json | jq '.[].reason'")
@_reading
@click.option("--json", "as_json", is_flag=True, help="Print JSON, without the data.")
def show(subscription: str, limit: int, wait: float, *, as_json: bool) -> None:
    """Show the letters, and leave them where they are."""
    with pulled_letters(subscription, wait) as letters:
        found = letters.pull(limit)
    if as_json:
        click.echo(json.dumps([letter.as_json() for letter in found], indent=2, ensure_ascii=False))
        return
    _print(found)
    if len(found) == limit:
        click.echo(f"There may be more than {limit}: see --limit.")


@dead_letters.command(
    epilog="Example:  python manage.py dead-letters replay --topic projects/p/topics/t --reason unmappable"
)
@_choosing
@click.option(
    "--topic",
    required=True,
    envvar="TOPIC",
    show_envvar=True,
    callback=_named(_TOPIC, "projects/PROJECT/topics/TOPIC"),
    metavar="projects/P/topics/T",
    help="Where to publish them: the topic that commercetools publishes to.",
)
@click.option("--dry-run", is_flag=True, help="Only show which ones.")
def replay(  # noqa: PLR0913 - the options of a command
    subscription: str,
    limit: int,
    wait: float,
    ids: Sequence[str],
    reasons: Sequence[str],
    topic: str,
    *,
    everything: bool,
    dry_run: bool,
) -> None:
    """Publish the original messages of letters again, chosen by ID, by --reason or --all.

    A letter is done with once Pub/Sub has confirmed its message. A message that fails again comes back as a new letter.
    """
    chooses = _choice(ids, reasons, everything=everything)
    with pulled_letters(subscription, wait) as letters:
        chosen = chooses(letters.pull(limit))
        if dry_run:
            _print(chosen)
            click.echo(f"{_counted(chosen)} would be published to {topic}.")
            return
        done = _replayed(letters, chosen, topic)
    click.echo(f"{_counted(done)} published to {topic}.")


@dead_letters.command(epilog="Example:  python manage.py dead-letters drop --reason other_project")
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(
    subscription: str,
    limit: int,
    wait: float,
    ids: Sequence[str],
    reasons: Sequence[str],
    *,
    everything: bool,
    yes: bool,
) -> None:
    """Forget letters for good, chosen by ID, by --reason or --all."""
    chooses = _choice(ids, reasons, everything=everything)
    with pulled_letters(subscription, wait) as letters:
        chosen = chooses(letters.pull(limit))
        if chosen and not yes:
            _print(chosen)
            click.confirm(f"Forget {_counted(chosen)} for good?", abort=True)
        letters.acknowledge(chosen)
    click.echo(f"{_counted(chosen)} dropped.")


def _choice(
    ids: Sequence[str], reasons: Sequence[str], *, everything: bool
) -> Callable[[Sequence[Letter]], list[Letter]]:
    if sum(map(bool, (ids, reasons, everything))) != 1:
        raise click.UsageError("Say which letters: their IDs, or --reason, or --all.")

    def choose(letters: Sequence[Letter]) -> list[Letter]:
        if everything:
            return list(letters)
        if reasons:
            return [letter for letter in letters if letter.reason in reasons]
        chosen = [letter for letter in letters if {letter.id, letter.original_id} & set(ids)]
        found = {own for letter in chosen for own in (letter.id, letter.original_id)}
        if missing := [own for own in ids if own not in found]:
            raise click.ClickException(f"There is no letter {', '.join(missing)}; nothing was done.")
        return chosen

    return choose


def _replayed(letters: Letters, chosen: Sequence[Letter], topic: str) -> list[Letter]:
    console = Console(stderr=True)
    replayed = track(
        letters.publish(chosen, topic), "Publishing", total=len(chosen), console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    done: list[Letter] = []
    try:
        done.extend(replayed)
    except Exception:
        click.echo(f"The others of {len(chosen)} letters stay where they are.", err=True)
        raise
    return done


def _counted(letters: Sequence[Letter]) -> str:
    return "1 letter" if len(letters) == 1 else f"{len(letters)} letters"


def _print(letters: Sequence[Letter]) -> None:
    """A line a letter: in a terminal as wide as that, else as wide as need be."""
    if not letters:
        click.echo("There are no dead letters.")
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=True)
    for name in ("when (UTC)", "resource", "type", "reason", "status", "attempts"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        when = letter.when.strftime("%Y-%m-%d %H:%M")
        table.add_row(letter.id, when, *letter.about, letter.reason, letter.status, letter.attempts)
    Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE, highlight=False).print(table)
