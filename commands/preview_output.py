"""Print what a notification would do, or did."""

import json
import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from commands.consent_words import consent_in_words
from commands.klaviyo_recorder import Write
from commands.reason_words import with_words
from commands.write_diff import Call, calls_in_words, differences
from pipeline import Outcome

COLOURS = {"synced": "green", "ignored": "yellow", "retried": "red", "dead-lettered": "red"}
FAILURES = ("retried", "dead-lettered")
"""Outcomes of a message that did not have its effect."""

_SIGNS = {"+": "green", "-": "red", "~": "yellow"}
_WIDTH_IN_A_PIPE = 100
_MAX_LINES = 40
"""Lines of a diff. Values that Klaviyo has but that differ are always shown; only new ones are dropped."""


def console(width_in_a_pipe: int = _WIDTH_IN_A_PIPE) -> Console:
    """A console as wide as the terminal or COLUMNS; `width_in_a_pipe` if neither gives a width."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if has_width else width_in_a_pipe, highlight=False)


def show_preview(console: Console, title: str, outcome: Outcome, writes: Sequence[Write], *, diff: bool) -> None:
    """Print the outcome, and for each call to Klaviyo its request, or with `diff` what it would change."""
    console.rule(escape(title), align="left")
    key = outcome.notification.key if outcome.notification else "unreadable"
    console.print(f"{key}: {outcome_markup(outcome)}")
    calls = calls_in_words(writes)
    if not calls and outcome.kind == "synced":
        console.print("Klaviyo is up to date: nothing would be written.")
    for call in calls:
        console.print(f"\n[bold]{escape(call.label)}[/]", soft_wrap=True)
        if diff:
            _show_differences(console, call)
        else:
            _show_request(console, call.write)
    for decision in outcome.consent:
        console.print(f"[bold]consent[/] {escape(consent_in_words(decision))}", soft_wrap=True)
    for cut in outcome.cuts:
        console.print(f"[yellow]left out[/] {escape(cut)}")
    console.print()


def outcome_markup(outcome: Outcome) -> str:
    """The outcome and its reason with words, with rich markup."""
    reason = f": {escape(with_words(str(outcome.error)))}" if outcome.error else ""
    return f"[{COLOURS[outcome.kind]}]{outcome.kind}[/]{reason}"


def _show_differences(console: Console, call: Call) -> None:
    if call.write.is_refused or call.write.body is None:
        return
    found = differences(call.write)
    limit = max(_MAX_LINES, sum(one.sign != "+" for one in found))
    for one in found[:limit]:
        console.print(f"  [{_SIGNS[one.sign]}]{one.sign}[/]{escape(str(one).removeprefix(one.sign))}", soft_wrap=True)
    if len(found) > limit:
        console.print(f"  … and {len(found) - limit} more new values; preview without --diff shows all")
    if not found:
        console.print("  no difference")


def _show_request(console: Console, write: Write) -> None:
    console.print(f"{write.method} {escape(write.path)}", soft_wrap=True)
    if write.body and not write.is_refused:
        text = json.dumps(write.body, indent=2, ensure_ascii=False)
        console.print(Syntax(text, "json", theme="ansi_dark", background_color="default", word_wrap=True))
