"""`manage.py demo`: send every sample through the function, against the sandbox."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from commands.demo_backfill import show_backfill
from commands.demo_reconcile import show_reconcile
from commands.demo_result import show_holdings
from commands.outcome_words import effect, heading
from commands.preview_output import console
from commands.processes import Function, Sandbox, running_function, running_sandbox
from sandbox.samples import DOCUMENTS, ENVIRONMENT, Sample, samples

_ACKNOWLEDGED = 204
_COLOURS = {"synced": "green", "ignored": "dim", "retried": "red", "dead-lettered": "red"}
_MARKS = {"synced": "✓", "ignored": "·"}
_LATER = ("And later", "And later still", "In the end")
"""Headings for resources whose own heading has been used."""
_NAME_WIDTH = 35


@click.command(epilog="Example:  python3 manage.py demo --serve")
@click.option(
    "--serve", "is_served", is_flag=True, help="Serve a page that shows each message on its way, until Ctrl-C."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The page's port on this machine; 0 takes any free port.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show every call to commercetools and to Klaviyo.")
def demo(port: int, *, is_served: bool, verbose: bool) -> None:
    """Send every sample through the function.

    Starts the function, and stand-ins for commercetools and Klaviyo. Delivers the samples as Pub/Sub pushes, and shows
    what each one did in Klaviyo and what Klaviyo holds at the end. Then it changes Klaviyo by hand and reconciles it,
    and loads the shop's history into an empty Klaviyo. Needs no account and no network. Exits with 1 if a sample did
    not have its effect.

    With --serve a page tells it as a story, one click at a time: what happened in the shop, what the function did, and
    what Klaviyo holds. There you can also send any sample, and choose a failure to go with it.
    """
    if is_served:
        from commands.page.command import serve  # noqa: PLC0415 - only the page needs flask

        serve(port)
        return
    terminal = console()
    started = time.monotonic()
    problems: list[str] = []
    all_samples = samples()
    terminal.print(
        f"A shop publishes {len(all_samples)} messages. Each one is pushed to the function, as Pub/Sub does;"
        " the function reads the shop and writes to Klaviyo. Shop and Klaviyo are stand-ins on this machine."
    )
    with running_sandbox(DOCUMENTS) as sandbox, running_function({**sandbox.environment, **ENVIRONMENT}) as function:
        current_heading, seen = "", set[str]()
        for sample in all_samples:
            delivery = _deliver(sample, sandbox, function)
            problems += delivery.problems
            title = heading(delivery.line)
            if title in seen and title != current_heading:
                title = (
                    current_heading
                    if current_heading in _LATER
                    else next((later for later in _LATER if later not in seen), "")
                )
            if title != current_heading:
                terminal.print(f"\n[bold]{title}[/]")
                current_heading = title
                seen.add(title)
            terminal.print(_row(sample, delivery))
            if verbose and (calls := _calls(delivery)):
                terminal.print(calls)
        show_holdings(sandbox.klaviyo.state(), terminal)
        problems += show_reconcile(sandbox, terminal)
        problems += show_backfill(sandbox, terminal)
    for problem in problems:
        terminal.print(f"[red]x[/] {problem}", soft_wrap=True)
    if problems:
        raise click.ClickException(f"{len(problems)} problems with {len(all_samples)} samples; see above.")
    seconds = time.monotonic() - started
    terminal.print(f"\n[green]All {len(all_samples)} messages had their effect[/], in {seconds:.1f} s.")
    terminal.print(
        "Next: [bold]make page[/] shows for each message what was read and written, and what happens when Klaviyo is"
        " down."
    )


class _Delivery:
    """A delivered sample: the function's answer, its log line, and the calls it made."""

    def __init__(self, sample: Sample, sandbox: Sandbox, function: Function) -> None:
        self.status = function.push(sample.data, sample.file)
        self.line = function.outcome(sample.file)
        self.commercetools_calls = sandbox.commercetools.requests(kind="api")
        self.klaviyo_calls = sandbox.klaviyo.requests(kind="api")
        self.problems = [f"{sample.file}: {problem}" for problem in self._problems(sample, sandbox)]

    def _problems(self, sample: Sample, sandbox: Sandbox) -> list[str]:
        problems = sample.problems(sandbox.klaviyo.state())
        if self.status != _ACKNOWLEDGED or self.line["outcome"] != sample.outcome:
            problems.append(f"was {self.line['outcome']} (HTTP {self.status}) instead of {sample.outcome}")
        if len(self.commercetools_calls) > sample.reads or len(self.klaviyo_calls) > sample.writes:
            problems.append(
                f"took {len(self.commercetools_calls)} + {len(self.klaviyo_calls)} calls, more than its budget of"
                f" {sample.reads} + {sample.writes}"
            )
        return problems


def _deliver(sample: Sample, sandbox: Sandbox, function: Function) -> _Delivery:
    sample.prepare(sandbox.commercetools)
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.forget_requests()
    return _Delivery(sample, sandbox, function)


def _row(sample: Sample, delivery: _Delivery) -> Table:
    """A table row: the message, what it did, and how long it took."""
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=_NAME_WIDTH, no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    outcome = delivery.line["outcome"]
    mark, colour = ("x", "red") if delivery.problems else (_MARKS.get(outcome, "x"), _COLOURS[outcome])
    row.add_row(
        Text(mark, colour),
        Text(sample.name, overflow="ellipsis"),
        Text(effect(delivery.line, delivery.klaviyo_calls), "dim" if outcome == "ignored" else ""),
        Text(f"{delivery.line['milliseconds']:.0f} ms", "dim"),
    )
    return row


def _calls(delivery: _Delivery) -> Text:
    """A line per backend with the operations that a message called, in the order of their first calls."""
    lines = [
        f"    {name}: {operations}"
        for name, requests in (("commercetools", delivery.commercetools_calls), ("Klaviyo", delivery.klaviyo_calls))
        if (operations := _operations(requests))
    ]
    return Text("\n".join(lines), "dim")


def _operations(requests: Iterable[Mapping[str, Any]]) -> str:
    counts = Counter(request["operation"] for request in requests)
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts.items())
