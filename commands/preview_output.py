"""What a notification would do, or did, for people at a terminal."""

import json
import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from commands.consent_words import consent_in_words
from commands.klaviyo_recorder import Write
from commands.write_diff import Call, calls_in_words, differences
from pipeline import Outcome

COLOURS = {"synced": "green", "ignored": "yellow", "retried": "red", "dead-lettered": "red"}
FAILURES = ("retried", "dead-lettered")
"""Outcomes of a message whose effect is not there."""

_SIGNS = {"+": "green", "-": "red", "~": "yellow"}
_WIDTH_IN_A_PIPE = 100
_MOST_LINES = 40
"""Of a difference; what Klaviyo has otherwise is shown in any case."""


def console(width_in_a_pipe: int = _WIDTH_IN_A_PIPE) -> Console:
    """As wide as the terminal, or as COLUMNS says."""
    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if is_told else width_in_a_pipe, highlight=False)


def show_preview(console: Console, title: str, outcome: Outcome, writes: Sequence[Write], *, diff: bool) -> None:
    """The outcome, and what each call to Klaviyo would send, or with `diff` what it would change."""
    console.rule(escape(title), align="left")
    key = outcome.notification.key if outcome.notification else "unreadable"
    console.print(f"{key}: {outcome_markup(outcome)}")
    calls = calls_in_words(writes)
    if not calls and outcome.kind == "synced":
        console.print("Klaviyo has it already: nothing would be written.")
    for call in calls:
        console.print(f"\n[bold]{escape(call.label)}[/]", soft_wrap=True)
        if diff:
            _show_differences(console, call)
        else:
            _show_request(console, call.write)
    for said in outcome.consent:
        console.print(f"[bold]consent[/] {escape(consent_in_words(said))}", soft_wrap=True)
    for cut in outcome.cuts:
        console.print(f"[yellow]left out[/] {escape(cut)}")
    console.print()


def outcome_markup(outcome: Outcome) -> str:
    """Outcome and reason, as markup."""
    reason = f" ({escape(str(outcome.error))})" if outcome.error else ""
    return f"[{COLOURS[outcome.kind]}]{outcome.kind}[/]{reason}"


def _show_differences(console: Console, call: Call) -> None:
    if call.write.is_refused or call.write.body is None:
        return
    found = differences(call.write)
    most = max(_MOST_LINES, sum(one.sign != "+" for one in found))
    for one in found[:most]:
        console.print(f"  [{_SIGNS[one.sign]}]{one.sign}[/]{escape(str(one).removeprefix(one.sign))}", soft_wrap=True)
    if len(found) > most:
        console.print(f"  … and {len(found) - most} more, which are new: preview shows all of it without --diff")
    if not found:
        console.print("  no difference")


def _show_request(console: Console, write: Write) -> None:
    console.print(f"{write.method} {escape(write.path)}", soft_wrap=True)
    if write.body and not write.is_refused:
        text = json.dumps(write.body, indent=2, ensure_ascii=False)
        console.print(Syntax(text, "json", theme="ansi_dark", background_color="default", word_wrap=True))
