"""`manage.py demo`: every sample through the function, against the sandbox."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from commands.demo_backfill import show_past
from commands.demo_reconcile import show_drift
from commands.demo_result import show_holdings
from commands.outcome_words import effect, heading
from commands.preview_output import console
from commands.processes import Function, Sandbox, running_function, running_sandbox
from sandbox.samples import DOCUMENTS, ENVIRONMENT, Sample, samples

_ACKNOWLEDGED = 204
_COLOURS = {"synced": "green", "ignored": "dim", "retried": "red", "dead-lettered": "red"}
_MARKS = {"synced": "✓", "ignored": "·"}
_LATER = ("And later", "And later still", "In the end")
"""What is told of resources that had their heading already."""
_NAME = 35


@click.command(epilog="Example:  python3 manage.py demo --serve")
@click.option("--serve", "is_served", is_flag=True, help="Serve a page that shows what goes through, until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Where the page is served on this machine; 0: any port that is free.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show every call to commercetools and to Klaviyo.")
def demo(port: int, *, is_served: bool, verbose: bool) -> None:
    """Send every sample through the function, against stand-ins for both backends.

    Starts the sandbox and the function, delivers the samples as Pub/Sub pushes, and says what each one did in Klaviyo
    and what Klaviyo holds at the end; then it damages Klaviyo and mends it, and loads the shop's past into an empty
    Klaviyo. Exits with 1 if a sample did not have its effect. Needs no account, no network.

    With --serve a page tells it as a story, a press at a time: what happened in the shop, what the function did, what
    Klaviyo holds. Any sample can be sent there too, with failures to choose from.
    """
    if is_served:
        from commands.page.command import serve  # noqa: PLC0415 - flask, for whom it concerns

        serve(port)
        return
    terminal = console()
    started = time.monotonic()
    problems: list[str] = []
    everything = samples()
    terminal.print(
        f"A shop tells of {len(everything)} things that happened. Each message goes to the function as"
        " Pub/Sub would push it; the function reads the shop and writes Klaviyo. Both are stand-ins on this machine."
    )
    with running_sandbox(DOCUMENTS) as sandbox, running_function({**sandbox.environment, **ENVIRONMENT}) as function:
        under, seen = "", set[str]()
        for sample in everything:
            delivered = _deliver(sample, sandbox, function)
            problems += delivered.problems
            title = heading(delivered.line)
            if title in seen and title != under:
                title = under if under in _LATER else next((later for later in _LATER if later not in seen), "")
            if title != under:
                terminal.print(f"\n[bold]{title}[/]")
                under = title
                seen.add(title)
            terminal.print(_told(sample, delivered))
            if verbose and (calls := _calls(delivered)):
                terminal.print(calls)
        show_holdings(sandbox.klaviyo.state(), terminal)
        problems += show_drift(sandbox, terminal)
        problems += show_past(sandbox, terminal)
    for problem in problems:
        terminal.print(f"[red]x[/] {problem}", soft_wrap=True)
    if problems:
        raise click.ClickException(f"{len(problems)} expectations of {len(everything)} samples do not hold.")
    seconds = time.monotonic() - started
    terminal.print(f"\n[green]All {len(everything)} messages had their effect[/], in {seconds:.1f} s.")
    terminal.print(
        "Next: [bold]make page[/] shows each message, what was read and what was written, and what happens when Klaviyo"
        " is down."
    )


class _Delivered:
    """One sample that the function has answered: its log line, and the calls that it made."""

    def __init__(self, sample: Sample, sandbox: Sandbox, function: Function) -> None:
        self.status = function.push(sample.data, sample.file)
        self.line = function.outcome(sample.file)
        self.read = sandbox.commercetools.requests(kind="api")
        self.asked = sandbox.klaviyo.requests(kind="api")
        self.problems = [f"{sample.file}: {problem}" for problem in self._problems(sample, sandbox)]

    def _problems(self, sample: Sample, sandbox: Sandbox) -> list[str]:
        problems = sample.problems(sandbox.klaviyo.state())
        if self.status != _ACKNOWLEDGED or self.line["outcome"] != sample.outcome:
            problems.append(f"was {self.line['outcome']} (HTTP {self.status}), not {sample.outcome}")
        if len(self.read) > sample.reads or len(self.asked) > sample.writes:
            problems.append(
                f"cost {len(self.read)} + {len(self.asked)} calls, more than its budget of"
                f" {sample.reads} + {sample.writes}"
            )
        return problems


def _deliver(sample: Sample, sandbox: Sandbox, function: Function) -> _Delivered:
    sample.prepare(sandbox.commercetools)
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.forget_requests()
    return _Delivered(sample, sandbox, function)


def _told(sample: Sample, delivered: _Delivered) -> Table:
    """One line: the message, what it did, how long it took."""
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=_NAME, no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    outcome = delivered.line["outcome"]
    mark, colour = ("x", "red") if delivered.problems else (_MARKS.get(outcome, "x"), _COLOURS[outcome])
    row.add_row(
        Text(mark, colour),
        Text(sample.name, overflow="ellipsis"),
        Text(effect(delivered.line, delivered.asked), "dim" if outcome == "ignored" else ""),
        Text(f"{delivered.line['milliseconds']:.0f} ms", "dim"),
    )
    return row


def _calls(delivered: _Delivered) -> Text:
    """The calls of a message, in the order of their first."""
    lines = [
        f"    {name}: {operations}"
        for name, requests in (("commercetools", delivered.read), ("Klaviyo", delivered.asked))
        if (operations := _operations(requests))
    ]
    return Text("\n".join(lines), "dim")


def _operations(requests: Iterable[Mapping[str, Any]]) -> str:
    counts = Counter(request["operation"] for request in requests)
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts.items())
