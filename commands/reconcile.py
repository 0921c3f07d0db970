"""`manage.py reconcile`: the job of the same name, for people: a bar, and a table instead of JSON."""

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
_COLUMNS = ("same", "missing", "differing", "extra", "moved", "mended", "failed", "foreign")
_NAMED = 5
_HEADS = {"missing": "missing in Klaviyo", "extra": "not in the shop", "differing": "differing", "failed": "failed",
          "duplicates": "customers with several profiles", "consent": "with another consent in Klaviyo"}  # fmt: skip


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Compare Klaviyo with the shop, and mend what differs.",
)
@reads_env_file
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def reconcile(arguments: tuple[str, ...]) -> None:
    """Compare Klaviyo with the shop, and mend what differs."""
    run_job(
        "reconcile",
        arguments,
        lambda given, rules: parse_options(given, rules.reconcile, _PROGRAM, parents=[env_file_parser()]),
        compare,
        partial(_tell, Console(soft_wrap=True)),
    )


def _tell(console: Console, outcome: Outcome) -> None:
    report = outcome.report
    if messages := report.get("messages"):
        for name, count in messages["read"].items():
            click.echo(f"{count:>7,}  {name}")
        click.echo(f"{messages['synced']} synced, {messages['ignored']} ignored, {messages['failed']} failed;"
                   f" {messages.get('others', 0)} of no interest")  # fmt: skip
        return
    kinds = report.get("kinds") or {}
    if not kinds:
        return
    console.print(_table(kinds))
    for kind, found in kinds.items():
        for line in _details(kind, found):
            click.echo(line)
    calls = ", ".join(f"{count:,} of {backend}" for backend, count in sorted(report["calls"].items()))
    seconds = f", {report['seconds']:g} s" if "seconds" in report else ""
    click.echo(f"{report['drift']:.2%} of the shop's records had drifted. Calls: {calls}{seconds}.")


def _table(kinds: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    shown = [name for name in _COLUMNS if name in ("same", "missing", "differing", "extra") or _any(kinds, name)]
    for name in shown:
        table.add_column(name, justify="right")
    for kind, found in kinds.items():
        table.add_row(kind, *(f"{_number(found, name):,}" for name in shown))
    return table


def _any(kinds: Mapping[str, Any], name: str) -> bool:
    return any(_number(found, name) for found in kinds.values())


def _number(found: Mapping[str, Any], name: str) -> int:
    if name == "consent":
        return sum(found[name].values())
    return found["differing_records"] if name == "differing" else int(found[name])


def _details(kind: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Which they are, and in what they differ: `items differing: 7c1…, 9d2… (title 2, price 1)`."""
    for name, ids in found["ids"].items():
        more = _number(found, name) - _NAMED
        listed = ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        counts = found.get(name) if name in ("differing", "consent") else None
        fields = ", ".join(f"{field} {count}" for field, count in sorted((counts or {}).items()))
        yield f"{kind} {_HEADS[name]}: {listed}" + (f" ({fields})" if fields else "")
