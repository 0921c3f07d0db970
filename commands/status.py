"""`manage.py status`: how the sync is doing, for whoever was paged, and what to do first."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta

import click

from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import message_budget
from commands.dead_letter_queue import open_dead_letter_queue
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.google_cloud import CloudProject, Queue, UnseenError, subscriptions_of
from commands.pubsub_names import SUBSCRIPTION, TOPIC, PubSubName
from commands.status_advice import ACCEPTED, KEYS, LETTERS, LOG, QUEUE, Advice, Status, advice
from core.errors import SyncError, TryAgain, is_denial
from core.settings import Settings
from handlers.services import Services

_MOST_LETTERS = 1000
_PULL_SECONDS = 5.0


@click.command(epilog="Example:  python3 manage.py status --topic projects/my-project/topics/klaviyo-sync")
@reads_env_file
@click.option(
    "--topic",
    required=True,
    type=TOPIC,
    envvar="TOPIC",
    show_envvar=True,
    help="The topic commercetools publishes to.",
)
@click.option(
    "--service",
    envvar="SYNC_SERVICE",
    show_envvar=True,
    metavar="NAME",
    help="The Cloud Run service (a function is one of its name) whose log is read; default: all syncs of the project.",
)
@click.option(
    "--dead-letters",
    type=SUBSCRIPTION,
    envvar="DEAD_LETTER_SUBSCRIPTION",
    show_envvar=True,
    help="Where dead letters wait; default: the subscription of DEAD_LETTER_TOPIC.",
)
@click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Of the log."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(topic: PubSubName, service: str | None, dead_letters: str | None, hours: float, *, as_json: bool) -> None:
    """Say how the sync is doing, and what to do first.

    Looks at the queue, at the outcomes in the log, at the dead letters and at both keys, whatever way the sync was
    deployed. Changes nothing; letters stay where they are. What can't be seen from here is said. Exits with 1 if there
    is something to do.
    """
    seen = Status()
    observed = CloudProject(topic.project)
    _look_at_queues(seen, observed, topic)
    _look_at_lines(seen, observed, timedelta(hours=hours), service)
    settings = _settings(seen)
    if settings:
        _look_at_keys(seen, settings)
    _look_at_letters(seen, dead_letters, settings.dead_letter_topic if settings else None)
    first = next(advice(seen, topic, service), None)
    if as_json:
        click.echo(json.dumps({"advice": first, **vars(seen)}, indent=2, default=asdict))
    else:
        _print(seen, first, f"Last {'hour' if hours == 1 else f'{hours:g} hours'} of {service or 'all syncs here'}")
    if first:
        raise SystemExit(1)


def _look_at_queues(seen: Status, observed: CloudProject, topic: str) -> None:
    try:
        for name in subscriptions_of(topic):
            seen.queues[name] = observed.queue(name.rsplit("/", 1)[1])
    except UnseenError as error:
        seen.unseen[QUEUE] = str(error)
        return
    unmeasured = [name.rsplit("/", 1)[1] for name, queue in seen.queues.items() if queue.messages is None]
    if unmeasured:
        seen.unseen[QUEUE] = f"no measurement of {', '.join(unmeasured)} in the last ten minutes"


def _look_at_lines(seen: Status, observed: CloudProject, since: timedelta, service: str | None) -> None:
    """Counts them. A refused key counts as long as nothing of the same resource type was synced after it."""
    try:
        lines, seen.has_more_lines = observed.lines(since, service)
    except UnseenError as error:
        seen.unseen[LOG] = str(error)
        return
    judged: set[str] = set()
    for line in lines:  # the newest first
        outcome, reason = str(line["outcome"]), str(line.get("reason", ""))
        seen.outcomes[outcome] += 1
        status_code = line.get("status")
        shown = f"{status_code:.0f}" if isinstance(status_code, int | float) else ""
        told = f"{outcome}: {' '.join(filter(None, (reason, shown, str(line.get('code', '')))))}"
        if outcome != "synced":
            seen.reasons[told] += 1
        resource_type = str(line.get("resource", "")).split("/")[0]
        if (outcome == "synced" or is_denial(reason)) and resource_type not in judged:
            judged.add(resource_type)
            if is_denial(reason):
                seen.denied.append(f"{told} in the log{f', of {resource_type}' if resource_type else ''}")


def _settings(seen: Status) -> Settings | None:
    """The settings; None where they are not to be had, after that was noted."""
    try:
        return settings_or_exit()
    except click.ClickException as error:
        heading, *problems = error.message.splitlines()
        seen.unseen[KEYS] = f"{heading} {'; '.join(problem.strip(' -') for problem in problems)}".rstrip()
        return None


def _look_at_keys(seen: Status, settings: Settings) -> None:
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
                    seen.keys[name] = str(error)
                    if isinstance(error, TryAgain) and error.is_denied:
                        seen.denied.insert(0, name)
                else:
                    seen.keys[name] = ACCEPTED
    finally:
        services.close()
        calls.close()


def _look_at_letters(seen: Status, subscription: str | None, topic: str | None) -> None:
    try:
        names = [subscription] if subscription else subscriptions_of(topic) if topic else []
        seen.letters_from = next(iter(names), "")
        if seen.letters_from:
            with open_dead_letter_queue(seen.letters_from, _PULL_SECONDS) as letters:
                seen.letters.update(letter.reason for letter in letters.pull(_MOST_LETTERS))
        else:
            seen.unseen[LETTERS] = "name their subscription with --dead-letters"
    except UnseenError as error:
        seen.unseen[LETTERS] = str(error)
    except click.ClickException as error:
        seen.unseen[LETTERS] = error.message


def _print(seen: Status, first: Advice | None, heading: str) -> None:
    click.secho("Queue", bold=True)
    for name, queue in seen.queues.items():
        click.echo(f"  {name.rsplit('/', 1)[1]}: {_told(queue)}")
    if not seen.queues and QUEUE not in seen.unseen:
        click.echo("  none: the topic has no subscription")
    click.secho(heading, bold=True)
    if seen.outcomes:
        more = "; only the latest were read" if seen.has_more_lines else ""
        click.echo("  " + ", ".join(f"{count} {name}" for name, count in seen.outcomes.most_common()) + more)
    elif LOG not in seen.unseen:
        click.echo("  no message was worked on, or its line is not in this project's log")
    _print_counts(seen.reasons.most_common())
    click.secho("Dead letters", bold=True)
    if LETTERS not in seen.unseen:
        _print_counts(seen.letters.most_common() or [("none", 0)])
    click.secho("Keys", bold=True)
    for name, told in seen.keys.items():
        click.echo(f"  {name}: {told}")
    for what, why in seen.unseen.items():
        click.secho(f"Not seen: {what}: {why}", fg="yellow")
    if first:
        click.echo(f"\n{click.style(first.why, fg='red')}\nFirst:  {first.command}")
    elif seen.unseen:
        click.echo("\nNothing to do in what could be seen.")
    else:
        click.secho("\nNothing to do.", fg="green")


def _print_counts(counts: Sequence[tuple[str, int]]) -> None:
    for name, count in counts:
        click.echo(f"  {count:>5}  {name}" if count else f"  {name}")


def _told(queue: Queue) -> str:
    match queue:
        case Queue(None, _):
            return "no measurement"
        case Queue(0, _):
            return "empty"
    return f"{queue.messages} messages wait, the oldest for {_duration(queue.oldest or 0)}"


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds} s"
