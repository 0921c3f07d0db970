"""Findings of `manage.py check`, a line each."""

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
    """The result of one check. `advice` says what to do about it. Only "failed" makes the command fail."""

    state: Literal["ok", "warning", "failed", "unknown"]
    what: str
    advice: str = ""

    def show(self) -> None:
        """Print the finding, with its advice on a line below."""
        sign, colour = _SIGNS[self.state]
        click.echo(click.style(sign, fg=colour) + self.what)
        if self.advice:
            click.echo(f"          {self.advice}")
