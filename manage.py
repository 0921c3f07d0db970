#!/usr/bin/env python3
"""Commands for the people who run the sync: `python3 manage.py --help`."""

import signal
import sys
from importlib import import_module

if __name__ == "__main__":
    from commands.interpreter import use_virtual_environment

    use_virtual_environment()

import click

from core.version import VERSION

COMMANDS = {
    "backfill": "commands.backfill:backfill",
    "check": "commands.check:check",
    "dead-letters": "commands.dead_letters:dead_letters",
    "demo": "commands.demo:demo",
    "emulator": "commands.emulator_command:emulator",
    "preview": "commands.preview:preview",
    "prices": "commands.prices:prices",
    "reconcile": "commands.reconcile:reconcile",
    "resync": "commands.resync:resync",
    "send": "commands.send:send",
    "status": "commands.status:status",
    "subscriptions": "commands.subscriptions:subscriptions",
}
"""Module and function of each command. Calling a command imports only its module; `--help` imports all."""


class Commands(click.Group):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name, None if there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  python3 manage.py preview samples/13-customer-created.json",
)
@click.version_option(VERSION, prog_name="commercetools-klaviyo-sync", message="%(prog)s %(version)s")
def manage() -> None:
    """Commands for the commercetools to Klaviyo sync."""


if __name__ == "__main__":
    # Exit through Python, as Ctrl-C does, so that a command can stop the processes it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    manage(prog_name="python3 manage.py")
