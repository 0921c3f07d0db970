"""`manage.py status`: how the sync is doing, for whoever was paged, and what to do first."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import click

from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import message_budget
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.letters import pulled_letters
from commands.observed import NO_CREDENTIALS, Observed, Queue, UnseenError, subscriptions_of
from core.errors import SyncError
from handlers.services import Services

_TOPIC = re.compile(r"projects/([^/]+)/topics/[^/]+")
_LONG = 600
"""Seconds: the longest pause between two attempts. Older messages have failed more than once."""
_LETTERS = 1000
_PULL_SECONDS = 5.0
_DENIED = "_denied"


@dataclass
class Status:
    """What was found. `unseen` says what could not be looked at; `keys` is "works" or what is wrong, by backend."""

    queues: dict[str, Queue] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    has_more_lines: bool = False
    letters: Counter[str] = field(default_factory=Counter)
    letters_from: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)


@click.command(epilog="Example:  python manage.py status --topic projects/my-project/topics/klaviyo-sync")
@reads_env_file
@click.option(
    "--topic",
    required=True,
    envvar="TOPIC",
    show_envvar=True,
    metavar="projects/P/topics/T",
    help="The topic commercetools publishes to.",
)
@click.option(
    "--dead-letters",
    envvar="DEAD_LETTER_SUBSCRIPTION",
    show_envvar=True,
    metavar="projects/P/subscriptions/S",
    help="Where dead letters wait; default: the subscription of DEAD_LETTER_TOPIC.",
)
@click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Of the log."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(topic: str, dead_letters: str | None, hours: float, *, as_json: bool) -> None:
    """Say how the sync is doing, and what to do first.

    Looks at the queue, at the outcomes in the log, at the dead letters and at both keys, whatever way the sync was
    deployed. Changes nothing; letters stay where they are. What can't be seen from here is said. Exits with 1 if there
    is something to do.
    """
    found = _TOPIC.fullmatch(topic)
    if not found:
        raise click.BadParameter("it has the form projects/PROJECT/topics/TOPIC", param_hint="--topic")
    seen = Status()
    observed = Observed(found[1])
    _look_at_queues(seen, observed, topic)
    _look_at_lines(seen, observed, timedelta(hours=hours))
    _look_at_keys(seen, dead_letters)
    advice = next(_advice(seen, topic, found[1]), None)
    if as_json:
        click.echo(json.dumps({"advice": advice, **vars(seen)}, indent=2, default=asdict))
    else:
        _print(seen, advice, hours)
    if advice:
        raise SystemExit(1)


def _look_at_queues(seen: Status, observed: Observed, topic: str) -> None:
    try:
        for name in subscriptions_of(topic):
            seen.queues[name] = observed.queue(name.rsplit("/", 1)[1])
    except UnseenError as error:
        seen.unseen.append(f"the queue: {error}")


def _look_at_lines(seen: Status, observed: Observed, since: timedelta) -> None:
    try:
        lines, seen.has_more_lines = observed.lines(since)
    except UnseenError as error:
        seen.unseen.append(f"the log: {error}")
        return
    for line in lines:
        seen.outcomes[str(line["outcome"])] += 1
        if line["outcome"] != "synced":
            status_code = line.get("status")
            told = f"{line['outcome']}: {line.get('reason', '')}"
            seen.reasons[f"{told} {status_code:.0f}" if isinstance(status_code, int | float) else told] += 1


def _look_at_keys(seen: Status, dead_letters: str | None) -> None:
    try:
        settings = settings_or_exit()
    except click.ClickException:
        seen.unseen.append("the keys: the settings are not in this environment")
        _look_at_letters(seen, dead_letters, None)
        return
    services, calls = Services(settings), KlaviyoCalls(settings)
    try:
        probes: dict[str, Callable[[], object]] = {
            "commercetools": lambda: services.commercetools.probe("customers"),
            "Klaviyo": lambda: calls.send("Catalogs", "get_catalog_categories"),
        }
        for name, probe in probes.items():
            with message_budget(settings.sync.limits):
                try:
                    probe()
                except SyncError as error:
                    code = getattr(error, "status", None)
                    seen.keys[name] = f"{error.reason} {code}" if code else error.reason
                else:
                    seen.keys[name] = "works"
    finally:
        services.close()
        calls.close()
    _look_at_letters(seen, dead_letters, settings.dead_letter_topic)


def _look_at_letters(seen: Status, subscription: str | None, topic: str | None) -> None:
    try:
        names = [subscription] if subscription else subscriptions_of(topic) if topic else []
        seen.letters_from = next(iter(names), "")
        if seen.letters_from:
            with pulled_letters(seen.letters_from, _PULL_SECONDS) as letters:
                seen.letters.update(letter.reason for letter in letters.pull(_LETTERS))
        else:
            seen.unseen.append("dead letters: name their subscription with --dead-letters")
    except UnseenError as error:
        seen.unseen.append(f"dead letters: {error}")
    except click.ClickException as error:
        seen.unseen.append(f"dead letters: {error.message}")


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do first, why, and the command."""

    why: str
    command: str


def _advice(seen: Status, topic: str, project: str) -> Iterator[Advice]:
    """What there is to do, the most urgent first."""
    check = f"python manage.py check --topic {topic}"
    denied = [name for name, told in seen.keys.items() if _DENIED in told]
    denied += [f"{name} in the log" for name in seen.reasons if _DENIED in name]
    if denied:
        yield Advice(
            f"A key is wrong or lacks a scope ({', '.join(denied)}). Messages wait; put the right one into its secret.",
            check,
        )
    waits = max((queue.oldest or 0 for queue in seen.queues.values()), default=0)
    if waits > _LONG and not seen.outcomes and not _is_unseen(seen, "the log"):
        yield Advice("Messages wait and none was worked on: the function does not start, or nobody may call it.", check)
    lines = f"gcloud logging read 'jsonPayload.outcome=\"retried\"' --project={project} --freshness=1h --limit=20"
    if any("unforeseen" in reason for reason in seen.reasons):
        yield Advice("Something that nobody thought of: its lines say where (`code`). Report it.", lines)
    if seen.letters:
        yield Advice(
            f"{sum(seen.letters.values())} messages were put aside. See why, mend it, then replay them.",
            f"python manage.py dead-letters list --subscription {seen.letters_from}",
        )
    if waits > _LONG:
        if any("throttled" in reason for reason in seen.reasons):
            yield Advice(
                "Klaviyo's or commercetools' limits are reached: it drains by itself. Look again in ten minutes.",
                f"python manage.py status --topic {topic}",
            )
        yield Advice("Messages wait longer than ten minutes: their lines in the log say why.", lines)
    if any(NO_CREDENTIALS in told for told in seen.unseen):
        yield Advice("Without Google credentials little can be seen.", "gcloud auth application-default login")
    if any(told != "works" for told in seen.keys.values()):
        yield Advice("A backend does not answer as it should: see its status page. Messages wait.", check)


def _is_unseen(seen: Status, what: str) -> bool:
    return any(told.startswith(what) for told in seen.unseen)


def _print(seen: Status, advice: Advice | None, hours: float) -> None:
    click.secho("Queue", bold=True)
    for name, queue in seen.queues.items():
        click.echo(f"  {name.rsplit('/', 1)[1]}: {_told(queue)}")
    click.secho(f"Last {'hour' if hours == 1 else f'{hours:g} hours'}", bold=True)
    if seen.outcomes:
        more = "; only the latest were read" if seen.has_more_lines else ""
        click.echo("  " + ", ".join(f"{count} {name}" for name, count in seen.outcomes.most_common()) + more)
    elif not _is_unseen(seen, "the log"):
        click.echo("  no message was worked on, or its line is not in this project's log")
    _print_counts(seen.reasons.most_common())
    click.secho("Dead letters", bold=True)
    if not _is_unseen(seen, "dead letters"):
        _print_counts(seen.letters.most_common() or [("none", 0)])
    click.secho("Keys", bold=True)
    for name, told in seen.keys.items():
        click.echo(f"  {name}: {told}")
    for told in seen.unseen:
        click.secho(f"Not seen: {told}", fg="yellow")
    if advice:
        click.echo(f"\n{click.style(advice.why, fg='red')}\nFirst:  {advice.command}")
    elif seen.unseen:
        click.echo("\nNothing to do in what could be seen.")
    else:
        click.secho("\nNothing to do.", fg="green")


def _print_counts(counts: Sequence[tuple[str, int]]) -> None:
    for name, count in counts:
        click.echo(f"  {count:>5}  {name}" if count else f"  {name}")


def _told(queue: Queue) -> str:
    match queue:
        case Queue(None, None):
            return "no measurement in the last ten minutes"
        case Queue(0 | None, _):
            return "empty"
    return f"{queue.messages} messages wait, the oldest for {_duration(queue.oldest or 0)}"


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds} s"
