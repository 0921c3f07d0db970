"""`manage.py status`: the state of the sync for people on call, and what to do first."""

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
from commands.google_cloud import CloudProject, Queue, UnreadableError, subscriptions_of
from commands.pubsub_names import SUBSCRIPTION, TOPIC, PubSubName
from commands.reason_words import with_words
from commands.status_advice import ACCEPTED, KEYS, LETTERS, LOG, QUEUE, Advice, Status, advice
from core.errors import SyncError, TryAgain, is_denial
from core.settings import Settings
from handlers.services import Services

_MAX_LETTERS = 1000
_PULL_TIMEOUT = 5.0


@click.command(epilog="Example:  python3 manage.py status --topic projects/p/topics/t")
@reads_env_file
@click.option(
    "--topic",
    required=True,
    type=TOPIC,
    envvar="TOPIC",
    show_envvar=True,
    help="The topic that commercetools publishes to.",
)
@click.option(
    "--service",
    envvar="SYNC_SERVICE",
    show_envvar=True,
    metavar="NAME",
    help="Read only the log of this Cloud Run service (a function's service has its name).  [default: every sync in the"
    " project]",
)
@click.option(
    "--dead-letters",
    type=SUBSCRIPTION,
    envvar="DEAD_LETTER_SUBSCRIPTION",
    show_envvar=True,
    help="The dead-letter topic's subscription.  [default: that of DEAD_LETTER_TOPIC]",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Hours of log to read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(topic: PubSubName, service: str | None, dead_letters: str | None, hours: float, *, as_json: bool) -> None:
    """Show how the sync is doing, and what to do first.

    Checks the queue, the outcomes in the log, the dead letters and both keys, however the sync was deployed. Says what
    it can't check. Changes nothing: dead letters stay in their subscription. Exits with 1 if there is something to do.
    """
    report = Status()
    project = CloudProject(topic.project)
    _check_queues(report, project, topic)
    _count_outcomes(report, project, timedelta(hours=hours), service)
    settings = _load_settings(report)
    if settings:
        _check_keys(report, settings)
    _count_dead_letters(report, dead_letters, settings.dead_letter_topic if settings else None)
    first = next(advice(report, topic, service), None)
    if as_json:
        click.echo(json.dumps({"advice": first, **vars(report)}, indent=2, default=asdict))
    else:
        _print(
            report,
            first,
            f"Last {'hour' if hours == 1 else f'{hours:g} hours'}, {service or 'all syncs in the project'}",
        )
    if first:
        raise SystemExit(1)


def _check_queues(report: Status, project: CloudProject, topic: str) -> None:
    try:
        for name in subscriptions_of(topic):
            report.queues[name] = project.queue(name.rsplit("/", 1)[1])
    except UnreadableError as error:
        report.unseen[QUEUE] = str(error)
        return
    without_metrics = [name.rsplit("/", 1)[1] for name, queue in report.queues.items() if queue.messages is None]
    if without_metrics:
        report.unseen[QUEUE] = f"no metrics for {', '.join(without_metrics)} in the last ten minutes"


def _count_outcomes(report: Status, project: CloudProject, since: timedelta, service: str | None) -> None:
    """Count outcomes and reasons.

    A refused key is not reported if a message of the same resource type has been synced since.
    """
    try:
        lines, report.has_more_lines = project.outcome_lines(since, service)
    except UnreadableError as error:
        report.unseen[LOG] = str(error)
        return
    decided: set[str] = set()
    for line in lines:  # newest first
        outcome, reason = str(line["outcome"]), str(line.get("reason", ""))
        report.outcomes[outcome] += 1
        status_code = line.get("status")
        shown = f"{status_code:.0f}" if isinstance(status_code, int | float) else ""
        reason_line = f"{outcome}: {' '.join(filter(None, (reason, shown, str(line.get('code', '')))))}"
        if outcome != "synced":
            report.reasons[reason_line] += 1
        resource_type = str(line.get("resource", "")).split("/")[0]
        if (outcome == "synced" or is_denial(reason)) and resource_type not in decided:
            decided.add(resource_type)
            if is_denial(reason):
                report.denied.append(f"{reason_line} in the log{f', for {resource_type}' if resource_type else ''}")


def _load_settings(report: Status) -> Settings | None:
    """The settings; None, with a note in the report, if they are missing or wrong."""
    try:
        return settings_or_exit()
    except click.ClickException as error:
        heading, *lines = error.message.splitlines()
        problems = (line.strip(" -") for line in lines if line.startswith("  - "))
        report.unseen[KEYS] = f"{heading} {'; '.join(problems)}".rstrip()
        return None


def _check_keys(report: Status, settings: Settings) -> None:
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
                    report.keys[name] = str(error)
                    if isinstance(error, TryAgain) and error.is_denied:
                        report.denied.insert(0, name)
                else:
                    report.keys[name] = ACCEPTED
    finally:
        services.close()
        calls.close()


def _count_dead_letters(report: Status, subscription: str | None, topic: str | None) -> None:
    try:
        names = [subscription] if subscription else subscriptions_of(topic) if topic else []
        report.letters_from = next(iter(names), "")
        if report.letters_from:
            with open_dead_letter_queue(report.letters_from, _PULL_TIMEOUT) as letters:
                report.letters.update(letter.reason for letter in letters.pull(_MAX_LETTERS))
        else:
            report.unseen[LETTERS] = "give their subscription with --dead-letters"
    except UnreadableError as error:
        report.unseen[LETTERS] = str(error)
    except click.ClickException as error:
        report.unseen[LETTERS] = error.message


def _print(report: Status, first: Advice | None, heading: str) -> None:
    click.secho("Queue", bold=True)
    for name, queue in report.queues.items():
        click.echo(f"  {name.rsplit('/', 1)[1]}: {_backlog(queue)}")
    if not report.queues and QUEUE not in report.unseen:
        click.echo("  none: the topic has no subscription")
    click.secho(heading, bold=True)
    if report.outcomes:
        more = "; only the latest lines were read" if report.has_more_lines else ""
        click.echo("  " + ", ".join(f"{count} {name}" for name, count in report.outcomes.most_common()) + more)
    elif LOG not in report.unseen:
        click.echo("  no message was processed, or the function logs elsewhere")
    _print_counts(report.reasons.most_common())
    click.secho("Dead letters", bold=True)
    if LETTERS not in report.unseen:
        _print_counts(report.letters.most_common() or [("none", 0)])
    click.secho("Keys", bold=True)
    for name, result in report.keys.items():
        click.echo(f"  {name}: {result}")
    for what, why in report.unseen.items():
        click.secho(f"Could not check {what}: {why}", fg="yellow")
    if first:
        click.echo(f"\n{click.style(first.why, fg='red')}\nFirst:  {first.command}")
    elif report.unseen:
        click.echo("\nNothing to do, as far as could be checked.")
    else:
        click.secho("\nNothing to do.", fg="green")


def _print_counts(counts: Sequence[tuple[str, int]]) -> None:
    for name, count in counts:
        click.echo(f"  {count:>5}  {with_words(name)}" if count else f"  {name}")


def _backlog(queue: Queue) -> str:
    match queue:
        case Queue(None, _):
            return "no metrics"
        case Queue(0, _):
            return "empty"
    return f"{queue.messages} messages waiting, the oldest for {_duration(queue.oldest or 0)}"


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds} s"
