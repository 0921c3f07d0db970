"""The settings, for commands: a wrong one is told in a message, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

import handlers  # noqa: F401 - registers every handler
from core.errors import ConfigurationError
from core.rules import SyncRules, warnings_for
from core.settings import Settings, load_rules, load_settings
from handlers.registry import consumed


def settings_or_exit() -> Settings:
    """The settings; raises click.ClickException that lists what is wrong with them."""
    with _told():
        settings = load_settings(consumed())
    _warn(settings.sync)
    return settings


def rules_or_exit() -> SyncRules:
    """What sync.toml says, for commands that need no account; raises click.ClickException likewise."""
    with _told():
        rules = load_rules(consumed())
    _warn(rules)
    return rules


def _warn(rules: SyncRules) -> None:
    for warning in warnings_for(rules):
        click.secho(f"Warning: {warning}", fg="yellow", err=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
