"""`python -m bench`: measure the mix. Subcommands: `growth`, `limits`, `sale`, `backfill`, `drift` and `calls`."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from bench.backfill import backfill_sheets, backfills
from bench.calls import calls_sheet, compared_calls
from bench.cold import FIRST_MESSAGES, cold_starts, import_times
from bench.drift import comparison, drift_sheet
from bench.growth import by_concurrency, by_line_items, by_variants, growth_sheets, memory_over
from bench.limits import beyond_limits, limits_sheet
from bench.plot import saturation_plot
from bench.process_usage import machine
from bench.progress import progress
from bench.report import Sheet, bench_sheets, machine_line, saturation_sheet, show
from bench.sale import sale_sheet, sales
from bench.saturation import MIXES, Instance, saturating_rates
from bench.statistics import medians
from bench.throughput import Latencies, baseline, throughput

Command = TypeVar("Command", bound=Callable[..., Any])

RESULTS = Path(__file__).with_name("results")
PLOT = Path(__file__).parents[1] / "docs" / "klaviyo-limits.svg"
LATENCIES = (Latencies(0, 0), Latencies(20, 50))
_QUICK_MESSAGES = 400
_PIPE_WIDTH = 120

_markdown = click.option("--markdown", is_flag=True, help="Print the tables as Markdown, for docs/performance.md.")


def _json_option(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        default=RESULTS / default,
        show_default=f"bench/results/{default}",
        help="Save the numbers to this file.",
    )


@click.group(invoke_without_command=True, epilog="Example:  python -m bench --repeat 5")
@click.option("--messages", type=click.IntRange(50), default=2000, show_default=True, help="Messages per run.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=32, show_default=True, help="Messages in flight at the same time."
)
@click.option(
    "--repeat", type=click.IntRange(1), default=5, show_default=True, help="Number of runs; medians are printed."
)
@click.option(
    "--cold", type=click.IntRange(0), default=7, show_default=True, help="Cold starts per kind of first message."
)
@click.option("--quick", is_flag=True, help=f"A smoke test: {_QUICK_MESSAGES} messages, one run, one cold start.")
@_json_option("bench.json")
@_markdown
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Measure throughput, CPU, memory, calls and cold start for the mix, against lean stand-ins."""
    if context.invoked_subcommand is None:
        _bench(**options)


def _bench(
    *, messages: int, concurrency: int, repeat: int, cold: int, quick: bool, json_file: Path, markdown: bool
) -> None:
    if quick:
        messages, repeat, cold = _QUICK_MESSAGES, 1, min(cold, 1)
    result: dict[str, Any] = {
        "machine": machine(), "messages": messages, "concurrency": concurrency, "repeat": repeat, "cold_repeat": cold,
        "runs": {}, "medians": {},
    }  # fmt: skip
    with progress() as bar:
        with bar.task("an empty function", messages) as task:
            result["floor"] = baseline(messages, concurrency, task.update)
        for latencies in LATENCIES:
            runs = []
            for number in range(repeat):
                with bar.task(f"{latencies.name}, run {number + 1} of {repeat}", messages) as task:
                    runs.append(throughput(latencies, messages, concurrency, task.update))
            result["runs"][latencies.name] = runs
            result["medians"][latencies.name] = medians(runs)
        if cold:
            with bar.task("cold starts", cold * len(FIRST_MESSAGES)) as task:
                result["cold_start"] = cold_starts(cold, task.advance)
            result["imports"] = import_times()
    _finish(result, bench_sheets(result), json_file, markdown=markdown)
    _require_fast_backends(result)


def _require_fast_backends(result: Mapping[str, Any]) -> None:
    for name, run in result["medians"].items():
        cpu = run["cpu_seconds"]
        if cpu["backends"] + cpu["load"] >= cpu["function"]:
            raise click.ClickException(
                f"At {name} the stand-ins and the load generator used more CPU than the function."
            )


@main.command(epilog="Example:  python -m bench growth")
@click.option(
    "--messages", type=click.IntRange(100), default=10_000, show_default=True, help="Messages per memory round."
)
@_json_option("growth.json")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), default=PLOT, help="Save the plot to this file."
)
@_markdown
def growth(messages: int, json_file: Path, plot: Path, *, markdown: bool) -> None:
    """Measure how the results grow.

    Varies line items, variants, concurrency and messages, and models several instances.
    """
    result: dict[str, Any] = {"machine": machine()}
    with progress() as bars:
        result["line_items"] = by_line_items(bars)
        result["variants"] = by_variants(bars)
        result["concurrency"] = by_concurrency(min(messages, 2000), bars)
        result["memory"] = memory_over(messages, bars)
    instance = Instance()
    result["saturation"] = {name: saturating_rates(shares) for name, shares in MIXES.items()}
    plot.write_text(saturation_plot(instance), encoding="utf-8")
    _finish(result, [*growth_sheets(result), saturation_sheet(instance)], json_file, markdown=markdown)


@main.command(epilog="Example:  python -m bench limits --seconds 30")
@click.option(
    "--seconds", type=click.IntRange(1), default=120, show_default=True, help="Seconds over which messages are sent."
)
@click.option(
    "--factor", type=float, default=1.5, show_default=True, help="Load as a multiple of Klaviyo's limits per minute."
)
@click.option("--patience", type=float, default=900, show_default=True, help="Give up after this many seconds.")
@_json_option("limits.json")
@_markdown
def limits(seconds: int, factor: float, patience: float, json_file: Path, *, markdown: bool) -> None:
    """Send more than Klaviyo's limits allow.

    The sandbox enforces the limits. Counts losses and 429s.
    """
    result: dict[str, Any] = {"machine": machine(), "seconds": seconds, "factor": factor}
    with progress() as bars:
        result |= beyond_limits(seconds, factor, patience, bars)
    _finish(result, [limits_sheet(result)], json_file, markdown=markdown)


@main.command(epilog="Example:  python -m bench sale --products 100")
@click.option("--products", type=click.IntRange(1), default=1000, show_default=True, help="Products in the sale.")
@_json_option("sale.json")
@_markdown
def sale(products: int, json_file: Path, *, markdown: bool) -> None:
    """Measure the start of a sale.

    Three of ten variants per product are discounted. Counts calls, and minutes at Klaviyo's limits.
    """
    result: dict[str, Any] = {"machine": machine(), "products": products}
    with progress() as bars:
        result |= sales(products, bars)
    _finish(result, [sale_sheet(result)], json_file, markdown=markdown)


@main.command(epilog="Example:  python -m bench backfill --scale 0.1")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Share of Klaviyo's limits to use.",
)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Scale of the shops' sizes.")
@_json_option("backfill.json")
@_markdown
def backfill(share: float, scale: float, json_file: Path, *, markdown: bool) -> None:
    """Measure backfills.

    The sandbox enforces Klaviyo's limits. Measures documents per minute, 429s and memory.
    """
    result: dict[str, Any] = {"machine": machine(), "share": share, "scale": scale}
    with progress() as bars:
        result |= backfills(share, scale, bars)
    _finish(result, backfill_sheets(result), json_file, markdown=markdown)


@main.command(epilog="Example:  python -m bench drift --products 500")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Share of Klaviyo's limits to use.",
)
@click.option(
    "--products", type=click.IntRange(20), default=10_000, show_default=True, help="Products, with ten variants each."
)
@_json_option("drift.json")
@_markdown
def drift(share: float, products: int, json_file: Path, *, markdown: bool) -> None:
    """Measure a reconcile run without drift.

    The sandbox enforces Klaviyo's limits. Measures calls, minutes and memory.
    """
    result: dict[str, Any] = {"machine": machine(), "share": share}
    with progress() as bars:
        result |= comparison(products, share, bars)
    _finish(result, [drift_sheet(result)], json_file, markdown=markdown)


@main.command()
@_markdown
def calls(*, markdown: bool) -> None:
    """Check the lean stand-ins.

    Each kind of message must make the same calls to them as to the sandbox.
    """
    with progress() as bars:
        found = compared_calls(bars)
    show(_console(), [calls_sheet(found)], markdown=markdown)
    different = [kind for kind, (lean, strict) in found.items() if lean != strict]
    if different:
        raise click.ClickException(
            f"The function's calls to the lean stand-ins and to the sandbox differ for: {', '.join(different)}"
        )


def _finish(result: Mapping[str, Any], sheets: list[Sheet], json_file: Path, *, markdown: bool) -> None:
    """Save the numbers and print them."""
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console = _console()
    show(console, sheets, markdown=markdown)
    console.print(machine_line(result["machine"]), highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


if __name__ == "__main__":
    main(prog_name="python -m bench")
