"""What is printed: tables for people, and the same as Markdown for docs/performance.md."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.saturation import MIXES, Instance, instances_to_saturate, saturating_rates


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: a title, the columns' names, and rows of text. The first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(console: Console, sheets: Iterable[Sheet], *, markdown: bool) -> None:
    """Print the tables, in the terminal or as Markdown."""
    for sheet in sheets:
        if markdown:
            console.print(as_markdown(sheet), markup=False, highlight=False, soft_wrap=True)
            continue
        table = Table(title=sheet.title, title_justify="left")
        for index, column in enumerate(sheet.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def as_markdown(sheet: Sheet) -> str:
    """A Markdown table below its title."""
    lines = [
        f"**{sheet.title}**",
        "",
        _row(sheet.columns),
        _row(["---", *["---:"] * (len(sheet.columns) - 1)]),
        *(_row(row) for row in sheet.rows),
        "",
    ]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def machine_line(machine: Mapping[str, Any]) -> str:
    """What the numbers were measured on, in a sentence."""
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, Python {machine['python']}; "
        f"load before the run {machine['load_before']}"
    )


def bench_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `python -m bench`."""
    runs: Mapping[str, Mapping[str, Any]] = result["medians"]
    rows = [
        _across("messages/s", runs, "messages_per_second"),
        *(_across(f"{name} ms", runs, name) for name in ("p50", "p95", "p99")),
        _across("CPU ms a message", runs, "cpu_ms_per_message"),
        _across("peak memory MB (PSS)", runs, "peak_memory_mb"),
        *(_across(f"connections to {name}", runs, "connections", name) for name in ("commercetools", "klaviyo")),
        *(
            _across(f"CPU seconds of the {name}", runs, "cpu_seconds", name)
            for name in ("function", "load", "backends")
        ),
    ]
    title = f"{result['messages']} messages, {result['concurrency']} at a time, medians of {result['repeat']}"
    sheets = [Sheet(title, ["commercetools/Klaviyo latency", *runs], rows)]
    slowest = list(runs.values())[-1]
    sheets.append(
        Sheet(
            f"By kind of message, at {list(runs)[-1]}",
            ["message", "commercetools calls", "Klaviyo calls", "p50 ms", "p95 ms"],
            [
                [
                    kind,
                    *(number(calls.get(backend, 0)) for backend in ("commercetools", "klaviyo")),
                    *(number(slowest["latency_by_kind"][kind][name]) for name in ("p50", "p95")),
                ]
                for kind, calls in slowest["calls_by_kind"].items()
            ],
        )
    )
    empty = result["floor"]
    sheets.append(
        Sheet(
            "The floor: an empty function",
            ["", "value"],
            [
                ["messages/s", number(empty["messages_per_second"])],
                ["CPU ms a message", number(empty["cpu_ms_per_message"])],
                ["peak memory MB (PSS)", number(empty["peak_memory_mb"])],
            ],
        )
    )
    if "cold_start" in result:
        sheets += _cold_sheets(result)
    return sheets


def _cold_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    cold, imports = result["cold_start"], result["imports"]
    packages = {name for one in imports.values() for name in one["by_package_ms"]}
    most = sorted(packages, key=lambda name: -max(one["by_package_ms"].get(name, 0) for one in imports.values()))
    return [
        Sheet(
            f"Cold start to the first answered push, seconds, medians of {result['cold_repeat']}",
            ["first message", "median", "least", "most", "imports ms", "modules"],
            [
                [
                    name,
                    *(f"{times[which]:.3f}" for which in ("median", "least", "most")),
                    number(imports[name]["total_ms"]),
                    str(imports[name]["modules"]),
                ]
                for name, times in cold.items()
            ],
        ),
        Sheet(
            "Import time by package, ms (`-X importtime`)",
            ["package", *imports],
            [[name, *(number(one["by_package_ms"].get(name, 0)) for one in imports.values())] for name in most[:15]],
        ),
    ]


def saturation_sheet(instance: Instance) -> Sheet:
    """Which rate of which mix saturates which limit."""
    rows = []
    for name, shares in MIXES.items():
        rates = list(saturating_rates(shares).items())
        second = f"{rates[1][1]:.1f} {rates[1][0]}" if len(rates) > 1 else ""
        (operation, wall), needed = rates[0], instances_to_saturate(shares, instance)
        rows.append([name, f"{wall:.1f}", operation, second, f"{instance.capacity(shares):.1f}", str(needed)])
    return Sheet(
        "Messages a second that Klaviyo takes (model)",
        ["mix", "most", "limited by", "next limit", "an instance does", "instances that saturate"],
        rows,
    )


def _across(name: str, runs: Mapping[str, Mapping[str, Any]], *path: str) -> list[str]:
    cells = [name]
    for run in runs.values():
        value: Any = run
        for step in path:
            value = value[step]
        cells.append(number(value))
    return cells


def number(value: float) -> str:
    """With as many digits as it takes to compare."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"  # noqa: PLR2004 - three digits
