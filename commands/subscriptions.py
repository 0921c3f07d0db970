"""`manage.py subscriptions`: what commercetools delivers to the topic."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.subscription_api import LIMIT, ChangedMeanwhileError, SubscriptionApi
from commands.subscription_plan import Step, plan, removal, wanted

_TOPIC = re.compile(r"projects/([^/]+)/topics/([^/]+)")
_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "keep": ("=", "")}
_ATTEMPTS = 3


@click.group(epilog="Example:  python manage.py subscriptions plan --topic projects/my-project/topics/commercetools")
def subscriptions() -> None:
    """Bring the commercetools subscriptions to what this package consumes.

    Two of the project's subscriptions are made and kept, PREFIX-messages and PREFIX-changes; others are left alone. The
    API client (CT_API_CLIENT) needs the scope manage_subscriptions:<project key>.
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        reads_env_file,
        click.option("--prefix", default="klaviyo-sync", show_default=True, help="What the keys begin with."),
        click.option(
            "--topic",
            required=True,
            envvar="TOPIC",
            callback=_topic,
            metavar="projects/P/topics/T",
            help="The topic that commercetools publishes to (or the environment's TOPIC).",
        ),
    ):
        command = option(command)
    return command


def _topic(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, str]:
    found = _TOPIC.fullmatch(value)
    if not found:
        raise click.BadParameter("it has the form projects/PROJECT/topics/TOPIC")
    return found[1], found[2]


@subscriptions.command("plan", epilog="Example:  python manage.py subscriptions plan --topic projects/p/topics/t")
@_options
def show_plan(topic: tuple[str, str], prefix: str) -> None:
    """Show what would be changed. Exits with 1 when something would, with 0 when all is as it should be."""
    with _api() as api:
        steps = plan(api.all(), wanted(prefix, *topic))
    _show(steps)
    if any(step.kind != "keep" for step in steps):
        sys.exit(1)


@subscriptions.command(epilog="Example:  python manage.py subscriptions apply --topic projects/p/topics/t --yes")
@_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(topic: tuple[str, str], prefix: str, *, yes: bool) -> None:
    """Show the difference, then make it so."""
    _carry_out(lambda current: plan(current, wanted(prefix, *topic)), yes=yes)


@subscriptions.command(epilog="Example:  python manage.py subscriptions delete --topic projects/p/topics/t")
@_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(topic: tuple[str, str], prefix: str, *, yes: bool) -> None:
    """Delete the two subscriptions: commercetools delivers nothing any more."""
    _carry_out(lambda current: removal(current, wanted(prefix, *topic)), yes=yes)


@contextmanager
def _api() -> Iterator[SubscriptionApi]:
    api = SubscriptionApi(settings_or_exit())
    try:
        yield api
    finally:
        api.close()


def _carry_out(steps_for: Callable[[Sequence[dict[str, Any]]], list[Step]], *, yes: bool) -> None:
    with _api() as api:
        for attempt in range(_ATTEMPTS):
            current = api.all()
            steps = [step for step in steps_for(current) if step.kind != "keep"]
            if attempt == 0 or not steps:
                _show(steps)
            if not steps:
                return
            created = sum(step.kind == "create" for step in steps)
            if len(current) + created > LIMIT:
                raise click.ClickException(
                    f"The project has {len(current)} of at most {LIMIT} subscriptions, and {created} are to be made: "
                    "delete some first."
                )
            if attempt == 0 and not yes:
                click.confirm("Go on?", abort=True)
            try:
                for step in steps:
                    _do(step, api)
            except ChangedMeanwhileError:
                continue  # read again: what is left to do may be something else now
            click.echo("Done. It may take a minute until commercetools delivers accordingly.")
            return
    raise click.ClickException("Somebody else keeps changing these subscriptions; try again.")


def _do(step: Step, api: SubscriptionApi) -> None:
    match step.kind:
        case "create":
            api.create(step.draft)
        case "update":
            api.update(step.current, list(step.actions))
        case "delete":
            api.delete(step.current)


def _show(steps: Sequence[Step]) -> None:
    if all(step.kind == "keep" for step in steps):
        click.echo("Nothing to change: the subscriptions are as they should be.")
        return
    for step in steps:
        sign, colour = _SIGNS[step.kind]
        click.secho(f"{sign} {step.kind} {step.key}", fg=colour or None)
        for difference in step.differences:
            click.echo(f"    {difference}")
