"""What `manage.py check` finds, line by line."""

from dataclasses import dataclass
from typing import Literal

import click

_SIGNS = {
    "ok": ("ok      ", "green"),
    "warning": ("WARNING ", "yellow"),
    "failed": ("FAILED  ", "red"),
    "unknown": ("?       ", "yellow"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: `advice` says what to do. Only "failed" makes the check fail."""

    state: Literal["ok", "warning", "failed", "unknown"]
    what: str
    advice: str = ""

    def say(self) -> None:
        """Print it."""
        sign, colour = _SIGNS[self.state]
        click.echo(click.style(sign, fg=colour) + self.what)
        if self.advice:
            click.echo(f"          {self.advice}")
