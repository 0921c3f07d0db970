"""Tables of results, for the terminal or as Markdown for docs/performance.md."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.saturation import MIXES, Instance, instances_to_saturate, saturating_rates


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of formatted cells. The first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(console: Console, sheets: Iterable[Sheet], *, markdown: bool) -> None:
    """Print the tables for the terminal or as Markdown."""
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
    """The table as Markdown, below its title."""
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
    """One line that describes the machine."""
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, Python {machine['python']}; "
        f"load before the run {machine['load_before']}"
    )


def bench_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `python -m bench`."""
    runs: Mapping[str, Mapping[str, Any]] = result["medians"]
    rows = [
        _row_across_runs("messages/s", runs, "messages_per_second"),
        *(_row_across_runs(f"{name} ms", runs, name) for name in ("p50", "p95", "p99")),
        _row_across_runs("CPU ms per message", runs, "cpu_ms_per_message"),
        _row_across_runs("peak memory MB (PSS)", runs, "peak_memory_mb"),
        *(
            _row_across_runs(f"connections to {name}", runs, "connections", name)
            for name in ("commercetools", "klaviyo")
        ),
        *(
            _row_across_runs(f"CPU seconds of the {name}", runs, "cpu_seconds", name)
            for name in ("function", "load", "backends")
        ),
    ]
    title = f"{result['messages']} messages, concurrency {result['concurrency']}, medians of {result['repeat']}"
    sheets = [Sheet(title, ["commercetools/Klaviyo latency", *runs], rows)]
    slowest = list(runs.values())[-1]
    sheets.append(
        Sheet(
            f"By kind of message, at {list(runs)[-1]}",
            ["message", "commercetools calls", "Klaviyo calls", "p50 ms", "p95 ms"],
            [
                [
                    kind,
                    *(formatted(calls.get(backend, 0)) for backend in ("commercetools", "klaviyo")),
                    *(formatted(slowest["latency_by_kind"][kind][name]) for name in ("p50", "p95")),
                ]
                for kind, calls in slowest["calls_by_kind"].items()
            ],
        )
    )
    empty = result["floor"]
    sheets.append(
        Sheet(
            "Baseline: an empty function",
            ["", "value"],
            [
                ["messages/s", formatted(empty["messages_per_second"])],
                ["CPU ms per message", formatted(empty["cpu_ms_per_message"])],
                ["peak memory MB (PSS)", formatted(empty["peak_memory_mb"])],
            ],
        )
    )
    if "cold_start" in result:
        sheets += _cold_sheets(result)
    return sheets


def _cold_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    cold, imports = result["cold_start"], result["imports"]
    packages = {name for times in imports.values() for name in times["by_package_ms"]}
    slowest = sorted(packages, key=lambda name: -max(times["by_package_ms"].get(name, 0) for times in imports.values()))
    return [
        Sheet(
            f"Cold start until the first push is answered, in seconds, medians of {result['cold_repeat']}",
            ["first message", "median", "min", "max", "imports ms", "modules"],
            [
                [
                    name,
                    *(f"{times[which]:.3f}" for which in ("median", "least", "most")),
                    formatted(imports[name]["total_ms"]),
                    str(imports[name]["modules"]),
                ]
                for name, times in cold.items()
            ],
        ),
        Sheet(
            "Import time by package, ms (`-X importtime`)",
            ["package", *imports],
            [
                [name, *(formatted(times["by_package_ms"].get(name, 0)) for times in imports.values())]
                for name in slowest[:15]
            ],
        ),
    ]


def saturation_sheet(instance: Instance) -> Sheet:
    """The model: the rate at which each mix reaches Klaviyo's limits, and the instances needed for that."""
    rows = []
    for name, shares in MIXES.items():
        rates = list(saturating_rates(shares).items())
        second = f"{rates[1][1]:.1f} {rates[1][0]}" if len(rates) > 1 else ""
        (operation, ceiling), needed = rates[0], instances_to_saturate(shares, instance)
        rows.append([name, f"{ceiling:.1f}", operation, second, f"{instance.capacity(shares):.1f}", str(needed)])
    return Sheet(
        "Messages per second within Klaviyo's limits (model)",
        ["mix", "messages/s", "limited by", "next limit", "per instance", "instances to saturate"],
        rows,
    )


def _row_across_runs(name: str, runs: Mapping[str, Mapping[str, Any]], *path: str) -> list[str]:
    cells = [name]
    for run in runs.values():
        value: Any = run
        for step in path:
            value = value[step]
        cells.append(formatted(value))
    return cells


def formatted(value: float) -> str:
    """A number with the digits needed for comparisons: two decimals below 100, else none."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"  # noqa: PLR2004 - three digits
