#!/usr/bin/env python3
"""Commands for the people who run the sync: `python manage.py --help`."""

import click

from commands.check import check
from commands.dead_letters import dead_letters
from commands.demo import demo
from commands.emulated import emulator
from commands.preview import preview
from commands.send import send
from commands.subscriptions import subscriptions


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def manage() -> None:
    """Commands for the commercetools to Klaviyo sync."""


manage.add_command(check)
manage.add_command(dead_letters)
manage.add_command(demo)
manage.add_command(emulator)
manage.add_command(preview)
manage.add_command(send)
manage.add_command(subscriptions)

if __name__ == "__main__":
    manage(prog_name="python manage.py")
