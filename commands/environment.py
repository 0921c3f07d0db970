"""The settings, for commands that need the real accounts."""

import click

from core.errors import ConfigurationError
from core.settings import Settings, load_settings


def settings_or_exit() -> Settings:
    """The settings; raises click.ClickException that lists what is wrong with them."""
    try:
        return load_settings()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
