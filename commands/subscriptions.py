"""`manage.py subscriptions`: create, update and delete the commercetools subscriptions."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from commands.env_file import reads_env_file
from commands.environment import rules_or_exit, settings_or_exit
from commands.processes import ROOT
from commands.pubsub_names import TOPIC, PubSubName
from commands.subscription_api import LIMIT, Subscription, SubscriptionApi, VersionConflictError
from commands.subscription_plan import (
    Scopes,
    Step,
    changes,
    desired_subscriptions,
    destination,
    keys,
    messages,
    plan,
    removal_steps,
    switched_off,
)
from core.rules import SyncRules
from core.settings import Settings, sync_toml

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "keep": ("=", "")}
_ATTEMPTS = 3
_UP_TO_DATE = "Nothing to change: the subscriptions are up to date."
TFVARS = "subscriptions.auto.tfvars.json"
"""Terraform loads files with this ending automatically."""


@click.group(epilog="Example:  python3 manage.py subscriptions plan --topic projects/p/topics/t")
def subscriptions() -> None:
    """Manage the commercetools subscriptions.

    The sync needs two, PREFIX-messages and PREFIX-changes; the project's other subscriptions are left alone. The API
    client (CT_API_CLIENT) needs the scope manage_subscriptions:<project key>.
    """


_TOPIC_OPTION: dict[str, Any] = {
    "type": TOPIC,
    "envvar": "TOPIC",
    "show_envvar": True,
    "help": "The topic that commercetools publishes to.",
}
_prefix = click.option("--prefix", default="klaviyo-sync", show_default=True, help="Prefix of the subscriptions' keys.")
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


@subscriptions.command("plan", epilog="Example:  python3 manage.py subscriptions plan --topic projects/p/topics/t")
@reads_env_file
@click.option("--topic", **_TOPIC_OPTION)
@_prefix
@click.option(
    "--tfvars",
    is_flag=False,
    flag_value=str(ROOT / "terraform"),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="[FOLDER]",
    help=f"Compare nothing; write {TFVARS} for Terraform into FOLDER (default: terraform/).",
)
def show_plan(topic: PubSubName | None, prefix: str, tfvars: Path | None) -> None:
    """Show what apply would change.

    Exits with 1 if there is a difference, with 0 if not.

    With --tfvars it compares nothing. It writes the message types and changes that sync.toml (SYNC_CONFIG) asks for as
    Terraform variables, which needs neither an account nor a topic.
    """
    if tfvars:
        _write_variables(tfvars, rules_or_exit())
        return
    if not topic:
        raise click.UsageError("Missing option '--topic'.")
    with _api() as (api, settings):
        scopes = _function_scopes(settings)
        steps = plan(
            api.all(), desired_subscriptions(prefix, topic.project, topic.short, settings.sync, scopes), prefix
        )
    _show(steps)
    _show_switched_off(settings.sync, scopes)
    if any(step.kind != "keep" for step in steps):
        sys.exit(1)


@subscriptions.command(epilog="Example:  python3 manage.py subscriptions apply --topic projects/p/topics/t --yes")
@reads_env_file
@click.option("--topic", required=True, **_TOPIC_OPTION)
@_prefix
@_yes
def apply(topic: PubSubName, prefix: str, *, yes: bool) -> None:
    """Create, update or delete subscriptions as planned.

    Shows the difference first and asks for confirmation.
    """

    def steps(current: Sequence[Subscription], settings: Settings) -> list[Step]:
        scopes = _function_scopes(settings)
        return plan(current, desired_subscriptions(prefix, topic.project, topic.short, settings.sync, scopes), prefix)

    _apply_steps(steps, yes=yes, verb="Apply this to", none=_UP_TO_DATE)


@subscriptions.command(epilog="Example:  python3 manage.py subscriptions delete --env-file admin.env")
@reads_env_file
@click.option("--topic", type=TOPIC, help="Refuse if a subscription publishes to another topic.")
@_prefix
@_yes
def delete(topic: PubSubName | None, prefix: str, *, yes: bool) -> None:
    """Delete both subscriptions.

    commercetools then stops delivering messages to the sync. Shows where each one publishes to and asks for
    confirmation.
    """

    def steps(current: Sequence[Subscription], _settings: Settings) -> list[Step]:
        found = removal_steps(current, prefix)
        others = [
            f"{one.key} publishes to {destination(one.current)}" for one in found if destination(one.current) != topic
        ]
        if topic and others:
            raise click.ClickException(
                f"Not deleted: {' and '.join(others)}, not to {topic}. If they are the right ones, run the command"
                " without --topic."
            )
        return found

    none = f"Nothing to delete: no subscription has the key {' or '.join(keys(prefix))}."
    _apply_steps(steps, yes=yes, verb="Delete from", none=none)


def _write_variables(folder: Path, rules: SyncRules) -> None:
    """Write the Terraform variables that list what commercetools delivers, and print a summary."""
    of_messages, of_changes = messages(rules), changes(rules)
    variables = {"subscribed_messages": of_messages, "subscribed_changes": of_changes}
    path = folder / TFVARS
    try:
        path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"Can't write {path}: {error.strerror}") from None
    types = sum(len(names) for names in of_messages.values())
    click.echo(
        f"Wrote {path}, from {sync_toml()}:\n  {types} message types, and changes of {len(of_changes)} resource types."
    )
    _show_switched_off(rules)


@contextmanager
def _api() -> Iterator[tuple[SubscriptionApi, Settings]]:
    settings = settings_or_exit()
    api = SubscriptionApi(settings)
    try:
        yield api, settings
    finally:
        api.close()


def _apply_steps(
    steps_for: Callable[[Sequence[Subscription], Settings], list[Step]], *, yes: bool, verb: str, none: str
) -> None:
    """Show the steps, ask and run them. `verb` begins the question; `none` is printed if there is nothing to do."""
    with _api() as (api, settings):
        for attempt in range(_ATTEMPTS):
            current = api.all()
            steps = [step for step in steps_for(current, settings) if step.kind != "keep"]
            if not steps:
                click.echo(none)
                return
            if attempt == 0:
                _show(steps)
            created = sum(step.kind == "create" for step in steps)
            if len(current) + created > LIMIT:
                raise click.ClickException(
                    f"The project has {len(current)} of at most {LIMIT} subscriptions, and needs {created} more: "
                    "delete some first."
                )
            if attempt == 0 and not yes:
                click.confirm(f"{verb} the commercetools project {settings.ct_project_id}?", abort=True)
            try:
                for step in steps:
                    _run_step(step, api)
            except VersionConflictError:
                continue  # read and plan again
            click.echo("Done. It can take a minute to take effect.")
            return
    raise click.ClickException("These subscriptions keep changing while being updated. Try again.")


def _run_step(step: Step, api: SubscriptionApi) -> None:
    match step.kind:
        case "create":
            api.create(step.draft)
        case "update":
            api.update(step.current, list(step.actions))
        case "delete":
            api.delete(step.current)


def _show(steps: Sequence[Step]) -> None:
    if all(step.kind == "keep" for step in steps):
        click.echo(_UP_TO_DATE)
        return
    for step in steps:
        sign, colour = _SIGNS[step.kind]
        click.secho(f"{sign} {step.kind} {step.key}", fg=colour or None)
        for difference in step.differences:
            click.echo(f"    {difference}")


def _function_scopes(settings: Settings) -> Scopes:
    """The function's scopes: messages that need a scope not listed here are not subscribed to.

    None if CT_SCOPE is that of a client for subscriptions only, because it then says nothing about the function.
    """
    names = {scope.partition(":")[0] for scope in settings.scopes}
    return None if names == {"manage_subscriptions"} else settings.scopes


def _show_switched_off(rules: SyncRules, scopes: Scopes = None) -> None:
    """Print what the subscriptions leave out, each with the setting or scope that switches it off."""
    off = switched_off(rules, scopes)
    if off:
        click.echo("Not subscribed, switched off by:")
    for key, setting in off.items():
        click.echo(f"    {key}: {setting}")
