"""`manage.py subscriptions`: what commercetools delivers to the topic."""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from commands.env_file import reads_env_file
from commands.environment import rules_or_exit, settings_or_exit
from commands.processes import ROOT
from commands.pubsub_names import TOPIC, PubSubName
from commands.subscription_api import LIMIT, Subscription, SubscriptionApi, VersionConflictError
from commands.subscription_plan import Step, changes, desired_subscriptions, messages, plan, removal_steps, switched_off
from core.rules import SyncRules
from core.settings import Settings, sync_toml

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "keep": ("=", "")}
_ATTEMPTS = 3
TFVARS = "subscriptions.auto.tfvars.json"
"""Terraform reads it by itself."""


@click.group(epilog="Example:  python3 manage.py subscriptions plan --topic projects/my-project/topics/commercetools")
def subscriptions() -> None:
    """Bring the commercetools subscriptions to what this package consumes.

    Two of the project's subscriptions are made and kept, PREFIX-messages and PREFIX-changes; others are left alone. The
    API client (CT_API_CLIENT) needs the scope manage_subscriptions:<project key>.
    """


_TOPIC_OF: dict[str, Any] = {
    "type": TOPIC,
    "envvar": "TOPIC",
    "show_envvar": True,
    "help": "The topic that commercetools publishes to.",
}
_needs_topic = click.option("--topic", required=True, **_TOPIC_OF)
_prefix = click.option("--prefix", default="klaviyo-sync", show_default=True, help="What the keys begin with.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@subscriptions.command("plan", epilog="Example:  python3 manage.py subscriptions plan --topic projects/p/topics/t")
@reads_env_file
@click.option("--topic", **_TOPIC_OF)
@_prefix
@click.option(
    "--tfvars",
    is_flag=False,
    flag_value=str(ROOT / "terraform"),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="[FOLDER]",
    help=f"Write {TFVARS} for Terraform into FOLDER (terraform/) instead.",
)
def show_plan(topic: PubSubName | None, prefix: str, tfvars: Path | None) -> None:
    """Show what would be changed. Exits with 1 when something would, with 0 when all is as it should be.

    With --tfvars nothing is compared: what sync.toml (SYNC_CONFIG) has delivered is written for Terraform to ask for.
    That needs neither an account nor a topic.
    """
    if tfvars:
        _write_variables(tfvars, rules_or_exit())
        return
    if not topic:
        raise click.UsageError("Missing option '--topic'.")
    with _api() as (api, settings):
        steps = plan(
            api.all(), desired_subscriptions(prefix, topic.project, topic.short, settings.sync, settings.scopes), prefix
        )
    _show(steps)
    _show_switched_off(settings.sync, settings.scopes)
    if any(step.kind != "keep" for step in steps):
        sys.exit(1)


@subscriptions.command(epilog="Example:  python3 manage.py subscriptions apply --topic projects/p/topics/t --yes")
@reads_env_file
@_needs_topic
@_prefix
@_yes
def apply(topic: PubSubName, prefix: str, *, yes: bool) -> None:
    """Show the difference, then make it so."""

    def steps(current: Sequence[Subscription], settings: Settings) -> list[Step]:
        return plan(
            current, desired_subscriptions(prefix, topic.project, topic.short, settings.sync, settings.scopes), prefix
        )

    _carry_out(steps, yes=yes)


@subscriptions.command(epilog="Example:  python3 manage.py subscriptions delete --topic projects/p/topics/t")
@reads_env_file
@_needs_topic
@_prefix
@_yes
def delete(topic: PubSubName, prefix: str, *, yes: bool) -> None:
    """Delete the two subscriptions: commercetools delivers nothing any more."""
    del topic
    _carry_out(lambda current, _settings: removal_steps(current, prefix), yes=yes)


def _write_variables(folder: Path, rules: SyncRules) -> None:
    """Write the variables of terraform/ that say what commercetools delivers, and say what was written."""
    of_messages, of_changes = messages(rules), changes(rules)
    variables = {"subscribed_messages": of_messages, "subscribed_changes": of_changes}
    path = folder / TFVARS
    try:
        path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from None
    types = sum(len(names) for names in of_messages.values())
    click.echo(
        f"Wrote {path}, by {sync_toml()}:\n  {types} message types, and changes of {len(of_changes)} resource types."
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


def _carry_out(steps_for: Callable[[Sequence[Subscription], Settings], list[Step]], *, yes: bool) -> None:
    with _api() as (api, settings):
        for attempt in range(_ATTEMPTS):
            current = api.all()
            steps = [step for step in steps_for(current, settings) if step.kind != "keep"]
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
            except VersionConflictError:
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


def _show_switched_off(rules: SyncRules, scopes: Collection[str] | None = None) -> None:
    """What is not asked for, and which setting says so."""
    off = switched_off(rules, scopes)
    if off:
        click.echo("Not asked for, as it is switched off by:")
    for key, setting in off.items():
        click.echo(f"    {key}: {setting}")
