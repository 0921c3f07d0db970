"""`manage.py dead-letters`: list, show, replay or drop the messages that could not be synced."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import track
from rich.table import Table

from clients.dead_letter import ATTRIBUTES
from commands.dead_letter_queue import DeadLetterQueue, QueuedDeadLetter, open_dead_letter_queue
from commands.env_file import reads_env_file
from commands.output import write_private
from commands.preview_output import console
from commands.pubsub_names import SUBSCRIPTION, TOPIC
from commands.reason_words import with_words

_WIDTH_IN_A_PIPE = 240
_WIDTH_OF_A_ROW = 160
_STDOUT = Path("-")


@click.group("dead-letters", epilog="Example:  python3 manage.py dead-letters list")
def dead_letters() -> None:
    """List, show, replay or drop dead letters.

    Dead letters are messages that could not be synced. Either the function set them aside, with a reason, or Pub/Sub
    forwarded them after their last delivery attempt (reason "forwarded"). Whatever you do not replay or drop stays in
    the subscription.
    """


def _reading_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        reads_env_file,
        click.option(
            "--wait",
            type=click.FloatRange(min=0.1),
            default=5.0,
            show_default=True,
            help="Stop reading after this many seconds without a new dead letter.",
        ),
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            default=1000,
            show_default=True,
            help="Read at most this many dead letters.",
        ),
        click.option(
            "--subscription",
            required=True,
            envvar="DEAD_LETTER_SUBSCRIPTION",
            show_envvar=True,
            type=SUBSCRIPTION,
            help="The dead-letter topic's subscription.",
        ),
    ):
        command = option(command)
    return command


def _selecting_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--all", "everything", is_flag=True, help="Select all dead letters."),
        click.option(
            "--reason", "reasons", multiple=True, help="Select dead letters with this reason; may be repeated."
        ),
        click.argument("ids", nargs=-1, metavar="[ID]..."),
    ):
        command = option(command)
    return _reading_options(command)


@dead_letters.command("list", epilog="Example:  python3 manage.py dead-letters list --json | jq '.[].reason'")
@_reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, without the data.")
def list_letters(subscription: str, limit: int, wait: float, *, as_json: bool) -> None:
    """List the dead letters. They stay in the subscription."""
    with open_dead_letter_queue(subscription, wait) as letters:
        found = letters.pull(limit)
    if as_json:
        click.echo(json.dumps([letter.as_json() for letter in found], indent=2, ensure_ascii=False))
        return
    _print(found, none="There are no dead letters.")
    if len(found) == limit:
        click.echo(f"Stopped at {limit}; there may be more. Raise --limit to read them.")


@dead_letters.command(epilog="Example:  python3 manage.py dead-letters show 1234567890 --output letter.json")
@_reading_options
@click.argument("own_id", metavar="ID")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write the original message to FILE, for `preview`; - is stdout, and the rest then goes to stderr.",
)
def show(subscription: str, limit: int, wait: float, own_id: str, output: Path | None) -> None:
    """Show one dead letter and its message.

    The message may hold personal data. ID is the dead letter's id, or the message id in the function's log. The dead
    letter stays in the subscription.
    """
    with open_dead_letter_queue(subscription, wait) as letters:
        (letter, *_) = _selector([own_id], (), everything=False)(letters.pull(limit))
    _print_attributes(letter, to_stderr=output == _STDOUT)
    if output is None:
        click.echo(f"\n{_as_text(letter.data)}")
    elif output == _STDOUT:
        sys.stdout.buffer.write(letter.data)
    else:
        write_private(letter.data, output)
        click.echo(f"\nSaved the message to {output}. See what it would do: python3 manage.py preview {output} --diff")


@dead_letters.command(
    epilog="Example:  python3 manage.py dead-letters replay --topic projects/p/topics/t --reason unmappable"
)
@_selecting_options
@click.option(
    "--topic",
    required=True,
    envvar="TOPIC",
    show_envvar=True,
    type=TOPIC,
    help="Publish to this topic: the one that commercetools publishes to.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be published.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
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
    yes: bool,
) -> None:
    """Publish dead letters to the topic again.

    Select them by ID, --reason or --all. Lists them first and, at a terminal, asks for confirmation. Each dead letter
    is deleted once Pub/Sub has confirmed its message. A message that fails again becomes a new dead letter.
    """
    select = _selector(ids, reasons, everything=everything)
    with open_dead_letter_queue(subscription, wait) as letters:
        selected = select(letters.pull(limit))
        _print(selected)
        if dry_run:
            click.echo(f"{_counted(selected)} would be published to {topic}.")
            return
        if selected and not yes and sys.stdin.isatty():
            click.confirm(f"Publish {_counted(selected)} to {topic}?", abort=True)
        replayed = _replay(letters, selected, topic)
    click.echo(f"{_counted(replayed)} published to {topic}.")


@dead_letters.command(epilog="Example:  python3 manage.py dead-letters drop --reason other_project")
@_selecting_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
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
    """Delete dead letters for good.

    Select them by ID, --reason or --all. Lists them and asks for confirmation, unless --yes is given.
    """
    select = _selector(ids, reasons, everything=everything)
    with open_dead_letter_queue(subscription, wait) as letters:
        selected = select(letters.pull(limit))
        if selected and not yes:
            _print(selected)
            click.confirm(f"Delete {_counted(selected)} for good?", abort=True)
        letters.acknowledge(selected)
    click.echo(f"{_counted(selected)} dropped.")


def _selector(
    ids: Sequence[str], reasons: Sequence[str], *, everything: bool
) -> Callable[[Sequence[QueuedDeadLetter]], list[QueuedDeadLetter]]:
    if sum(map(bool, (ids, reasons, everything))) != 1:
        raise click.UsageError("Say which dead letters: give their IDs, --reason or --all.")

    def selected_of(letters: Sequence[QueuedDeadLetter]) -> list[QueuedDeadLetter]:
        if everything:
            return list(letters)
        if reasons:
            return [letter for letter in letters if letter.reason in reasons]
        selected = [letter for letter in letters if {letter.id, letter.original_id} & set(ids)]
        found = {own for letter in selected for own in (letter.id, letter.original_id)}
        if missing := [own for own in ids if own not in found]:
            raise click.ClickException(f"There is no dead letter {', '.join(missing)}. Nothing was changed.")
        return selected

    return selected_of


def _replay(letters: DeadLetterQueue, selected: Sequence[QueuedDeadLetter], topic: str) -> list[QueuedDeadLetter]:
    console = Console(stderr=True)
    published = track(
        letters.publish(selected, topic), "Publishing", total=len(selected), console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    replayed: list[QueuedDeadLetter] = []
    try:
        replayed.extend(published)
    except Exception:
        click.echo("Publishing failed. What was not published stays in the subscription.", err=True)
        raise
    return replayed


def _counted(letters: Sequence[QueuedDeadLetter]) -> str:
    return "1 dead letter" if len(letters) == 1 else f"{len(letters)} dead letters"


def _print(letters: Sequence[QueuedDeadLetter], *, none: str = "No dead letter matches.") -> None:
    """Print a table if the terminal is wide enough, or in a pipe; else a few lines per dead letter."""
    if not letters:
        click.echo(none)
        return
    terminal = console(_WIDTH_IN_A_PIPE)
    if terminal.width < _WIDTH_OF_A_ROW:
        for letter in letters:
            _print_lines(terminal, letter)
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=True)
    for name in ("when (UTC)", "resource", "type", "reason", "error", "status", "attempts"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        reason, error = escape(letter.reason), escape(letter.error)
        table.add_row(
            letter.id,
            _to_the_minute(letter),
            *map(escape, letter.resource_and_type),
            reason,
            error,
            letter.status,
            letter.attempts,
        )
    terminal.print(table)


def _print_lines(console: Console, letter: QueuedDeadLetter) -> None:
    resource, message_type = letter.resource_and_type
    attempt = f", attempt {letter.attempts}" if letter.attempts else ""
    console.print(f"[bold]{letter.id}[/]  {_to_the_minute(letter)} UTC{attempt}")
    why = " ".join(filter(None, (letter.reason, letter.status)))
    for line in (" of ".join(filter(None, (message_type, resource))), ": ".join(filter(None, (why, letter.error)))):
        if line:
            console.print(Padding(escape(line), (0, 0, 0, 2)))
    console.print()


def _to_the_minute(letter: QueuedDeadLetter) -> str:
    return letter.published.strftime("%Y-%m-%d %H:%M")


def _print_attributes(letter: QueuedDeadLetter, *, to_stderr: bool) -> None:
    resource, message_type = letter.resource_and_type
    known = {
        "id": letter.id, "when (UTC)": letter.published.strftime("%Y-%m-%d %H:%M:%S"), "resource": resource,
        "type": message_type, "reason": with_words(letter.reason), "error": letter.error, "status": letter.status,
        "attempts": letter.attempts, "message id": letter.original_id, "bytes": str(len(letter.data)),
    }  # fmt: skip
    others = {name: value for name, value in letter.attributes.items() if name not in ATTRIBUTES or letter.is_forwarded}
    for name, value in (known | others).items():
        if value:
            click.echo(f"{click.style(f'{name:<11}', dim=True)} {value}", err=to_stderr)


def _as_text(data: bytes) -> str:
    """JSON, indented; anything else as text, with invalid bytes escaped."""
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "backslashreplace")
