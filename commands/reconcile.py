"""`manage.py reconcile`: run the reconcile job from a terminal, with a progress bar and a table."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from commands.env_file import env_file_parser, reads_env_file
from commands.run_job import run_job
from jobs.drift.entry import reconcile as compare
from jobs.drift.options import parse_options
from jobs.outcome import Outcome

_PROGRAM = "python3 manage.py reconcile"
_COLUMNS = ("same", "missing", "differing", "extra", "unknown", "moved", "mended", "failed", "foreign")
_COLUMN_TITLES = {"mended": "fixed"}
_MAX_IDS = 5
_LABELS = {
    "missing": "missing in Klaviyo",
    "extra": "not in the shop",
    "differing": "differing",
    "failed": "failed",
    "duplicates": "of customers with several profiles",
    "consent": "whose consent differs in Klaviyo",
}


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Compare Klaviyo with the shop, and fix what differs.",
)
@reads_env_file
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def reconcile(arguments: tuple[str, ...]) -> None:
    """Compare Klaviyo with the shop, and fix what differs."""
    run_job(
        "reconcile",
        arguments,
        lambda given, rules: parse_options(given, rules.reconcile, _PROGRAM, parents=[env_file_parser()]),
        compare,
        partial(_print_report, Console(soft_wrap=True)),
    )


def _print_report(console: Console, outcome: Outcome) -> None:
    report = outcome.report
    if messages := report.get("messages"):
        for name, count in messages["read"].items():
            click.echo(f"{count:>7,}  {name}")
        click.echo(f"{messages['synced']} synced, {messages['ignored']} ignored, {messages['failed']} failed;"
                   f" {messages.get('others', 0)} of types that the sync does not consume")  # fmt: skip
        return
    kinds = report.get("kinds") or {}
    if not kinds:
        return
    console.print(_table(kinds))
    for kind, found in kinds.items():
        for line in _id_lines(kind, found):
            click.echo(line)
    calls = ", ".join(f"{count:,} to {backend}" for backend, count in sorted(report["calls"].items()))
    seconds = f", {report['seconds']:g} s" if "seconds" in report else ""
    click.echo(f"{report['drift']:.2%} of the shop's records had drifted. Calls: {calls}{seconds}.")


def _table(kinds: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    shown = [name for name in _COLUMNS if name in ("same", "missing", "differing", "extra") or _has_any(kinds, name)]
    for name in shown:
        table.add_column(_COLUMN_TITLES.get(name, name), justify="right")
    for kind, found in kinds.items():
        table.add_row(kind, *(f"{_count(found, name):,}" for name in shown))
    return table


def _has_any(kinds: Mapping[str, Any], name: str) -> bool:
    return any(_count(found, name) for found in kinds.values())


def _count(found: Mapping[str, Any], name: str) -> int:
    if name == "consent":
        return sum(found[name].values())
    return found["differing_records"] if name == "differing" else int(found[name])


def _id_lines(kind: str, found: Mapping[str, Any]) -> Iterator[str]:
    """A line per result, with ids and differing fields: `items differing: 7c1…, 9d2… (title 2, price 1)`."""
    for name, ids in found["ids"].items():
        more = _count(found, name) - _MAX_IDS
        listed = ", ".join(ids[:_MAX_IDS]) + (f" and {more} more" if more > 0 else "")
        counts = found.get(name) if name in ("differing", "consent") else None
        fields = ", ".join(f"{field} {count}" for field, count in sorted((counts or {}).items()))
        yield f"{kind} {_LABELS[name]}: {listed}" + (f" ({fields})" if fields else "")
