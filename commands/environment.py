"""Load the settings for a command. Wrong ones end it with a message instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

import handlers  # noqa: F401 - registers every handler
from core.errors import ConfigurationError
from core.rules import SyncRules, warnings_for
from core.settings import Settings, load_rules, load_settings
from handlers.registry import handled_messages

_HINT = "Set them in the environment or in .env (start with a copy of .env.example). docs/settings.md explains each."


def settings_or_exit() -> Settings:
    """The settings. Raises click.ClickException that lists every problem; prints warnings on stderr."""
    with _as_click_error(_HINT):
        settings = load_settings(handled_messages())
    _warn(settings.sync)
    return settings


def rules_or_exit() -> SyncRules:
    """The rules of sync.toml, for commands that need no account. Raises click.ClickException as above."""
    with _as_click_error():
        rules = load_rules(handled_messages())
    _warn(rules)
    return rules


def _warn(rules: SyncRules) -> None:
    for warning in warnings_for(rules):
        click.secho(f"Warning: {warning}", fg="yellow", err=True)


@contextmanager
def _as_click_error(hint: str = "") -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(f"{error}\n{hint}".rstrip()) from None
