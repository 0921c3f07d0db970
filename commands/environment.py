"""The settings, for commands: a wrong one is told in a message, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from core.errors import ConfigurationError
from core.settings import Settings, SyncRules, load_rules, load_settings


def settings_or_exit() -> Settings:
    """The settings; raises click.ClickException that lists what is wrong with them."""
    with _told():
        return load_settings()


def rules_or_exit() -> SyncRules:
    """What sync.toml says, for commands that need no account; raises click.ClickException likewise."""
    with _told():
        return load_rules()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
