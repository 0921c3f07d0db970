"""`manage.py dead-letters`: what could not be synced, and what becomes of it."""

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
from commands.dead_letter_queue import Letter, Letters, pulled_letters
from commands.env_file import reads_env_file
from commands.output import write_private
from commands.preview_output import console
from commands.pubsub_names import SUBSCRIPTION, TOPIC

_WIDTH_IN_A_PIPE = 240
_WIDTH_OF_A_ROW = 160
_STDOUT = Path("-")


@click.group("dead-letters", epilog="Example:  python3 manage.py dead-letters list")
def dead_letters() -> None:
    """Look through what could not be synced, send it again, or drop it.

    A dead-letter subscription holds letters of the function, each with a reason, and messages that Pub/Sub forwarded
    after their last attempt (reason "forwarded"). What a command does not send or drop stays where it is.
    """


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
            type=SUBSCRIPTION,
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


@dead_letters.command("list", epilog="Example:  python3 manage.py dead-letters list --json | jq '.[].reason'")
@_reading
@click.option("--json", "as_json", is_flag=True, help="Print JSON, without the data.")
def list_letters(subscription: str, limit: int, wait: float, *, as_json: bool) -> None:
    """Show the letters, and leave them where they are."""
    with pulled_letters(subscription, wait) as letters:
        found = letters.pull(limit)
    if as_json:
        click.echo(json.dumps([letter.as_json() for letter in found], indent=2, ensure_ascii=False))
        return
    _print(found, none="There are no dead letters.")
    if len(found) == limit:
        click.echo(f"There may be more than {limit}: see --limit.")


@dead_letters.command(epilog="Example:  python3 manage.py dead-letters show 1234567890 --output letter.json")
@_reading
@click.argument("own_id", metavar="ID")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write the message to FILE as it came, for `preview`; -: to stdout, and nothing else there.",
)
def show(subscription: str, limit: int, wait: float, own_id: str, output: Path | None) -> None:
    """Show one letter: all that is known of it, and the message, which may name persons. The letter stays.

    ID is the letter's, or the one that the message had in the function's log.
    """
    with pulled_letters(subscription, wait) as letters:
        (letter, *_) = _choice([own_id], (), everything=False)(letters.pull(limit))
    _print_attributes(letter, to_stderr=output == _STDOUT)
    if output is None:
        click.echo(f"\n{_readable(letter.data)}")
    elif output == _STDOUT:
        sys.stdout.buffer.write(letter.data)
    else:
        write_private(letter.data, output)
        click.echo(f"\nThe message is in {output}. What it would do now: python3 manage.py preview {output} --diff")


@dead_letters.command(
    epilog="Example:  python3 manage.py dead-letters replay --topic projects/p/topics/t --reason unmappable"
)
@_choosing
@click.option(
    "--topic",
    required=True,
    envvar="TOPIC",
    show_envvar=True,
    type=TOPIC,
    help="Where to publish them: the topic that commercetools publishes to.",
)
@click.option("--dry-run", is_flag=True, help="Only show which ones.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Publish the original messages of letters again, chosen by ID, by --reason or --all.

    They are listed first, and on a terminal it asks. A letter is done with once Pub/Sub has confirmed its message. A
    message that fails again comes back as a new letter.
    """
    chooses = _choice(ids, reasons, everything=everything)
    with pulled_letters(subscription, wait) as letters:
        chosen = chooses(letters.pull(limit))
        _print(chosen)
        if dry_run:
            click.echo(f"{_counted(chosen)} would be published to {topic}.")
            return
        if chosen and not yes and sys.stdin.isatty():
            click.confirm(f"Publish {_counted(chosen)} to {topic}?", abort=True)
        done = _replayed(letters, chosen, topic)
    click.echo(f"{_counted(done)} published to {topic}.")


@dead_letters.command(epilog="Example:  python3 manage.py dead-letters drop --reason other_project")
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


def _print(letters: Sequence[Letter], *, none: str = "No letter is chosen.") -> None:
    """A row a letter where that is wide enough, as in a pipe; else a few lines a letter."""
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
            letter.id, _minute(letter), *map(escape, letter.about), reason, error, letter.status, letter.attempts
        )
    terminal.print(table)


def _print_lines(console: Console, letter: Letter) -> None:
    resource, message_type = letter.about
    attempt = f", attempt {letter.attempts}" if letter.attempts else ""
    console.print(f"[bold]{letter.id}[/]  {_minute(letter)} UTC{attempt}")
    why = " ".join(filter(None, (letter.reason, letter.status)))
    for line in (" of ".join(filter(None, (message_type, resource))), ": ".join(filter(None, (why, letter.error)))):
        if line:
            console.print(Padding(escape(line), (0, 0, 0, 2)))
    console.print()


def _minute(letter: Letter) -> str:
    return letter.when.strftime("%Y-%m-%d %H:%M")


def _print_attributes(letter: Letter, *, to_stderr: bool) -> None:
    resource, message_type = letter.about
    known = {
        "id": letter.id, "when (UTC)": letter.when.strftime("%Y-%m-%d %H:%M:%S"), "resource": resource,
        "type": message_type, "reason": letter.reason, "error": letter.error, "status": letter.status,
        "attempts": letter.attempts, "message id": letter.original_id, "bytes": str(len(letter.data)),
    }  # fmt: skip
    others = {name: value for name, value in letter.attributes.items() if name not in ATTRIBUTES or letter.is_forwarded}
    for name, value in (known | others).items():
        if value:
            click.echo(f"{click.style(f'{name:<11}', dim=True)} {value}", err=to_stderr)


def _readable(data: bytes) -> str:
    """JSON with a line a value; what is none as it came."""
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "backslashreplace")
