"""How the numbers grow: with line items, variants, concurrency, and messages."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.mix import Message, mixed
from bench.processes import load, running_backends, running_function
from bench.progress import Bars
from bench.report import Sheet, number
from bench.statistics import line, percentiles
from bench.throughput import figures

LINE_ITEMS = (1, 5, 20, 100, 500)
VARIANTS = (1, 10, 50, 100)
CONCURRENCY = (1, 8, 32, 80)
WARM_UP = 300
"""Enough for every product of the shop to be known to the function."""

_FIRST = 1000
_EVENTS_A_SIZE = 1500
"""Work for each size, so that CPU time is more than its resolution."""
_AT_A_TIME = 8
_NUMBERS_APART = 100_000
"""Between sizes: a SKU has the product's number, not its size, and what was written of it is remembered."""
_SAMPLED_EVERY = 1000
_REMEMBERED_SECONDS = 75.0
"""What was written is remembered for a minute."""


def by_line_items(bars: Bars) -> dict[str, Any]:
    """CPU, latency and calls of OrderCreated by its number of line items, and the line through the CPU."""
    rows = _by_size("order created", LINE_ITEMS, bars)
    points = [(float(row["size"]), row["cpu_ms"]) for row in rows]
    return {"rows": rows, "line": line(points).as_json()}


def by_variants(bars: Bars) -> dict[str, Any]:
    """The same of ProductPublished by its number of variants, three of them changed."""
    rows = _by_size("product published", VARIANTS, bars)
    points = [(float(row["size"]), row["cpu_ms"]) for row in rows]
    return {"rows": rows, "line": line(points).as_json()}


def _by_size(kind: str, sizes: Sequence[int], bars: Bars) -> list[dict[str, Any]]:
    rows = []
    with running_backends() as backends, running_function(backends.environment) as function:
        load(function, mixed(WARM_UP), _AT_A_TIME)
        for place, size in enumerate(sizes, 1):
            count = max(10, _EVENTS_A_SIZE // (size + 4))
            messages = [Message(kind, place * _NUMBERS_APART + index, size) for index in range(count)]
            load(function, messages[:3], 1)
            backends.counts(forget=True)
            with bars.task(f"{kind}, {size}", count) as task:
                loaded = load(function, messages[3:], 1, backends.process, task.reached)
            counts = backends.counts()
            measured = len(messages) - 3
            rows.append(
                {
                    "size": size,
                    "messages": measured,
                    "cpu_ms": figures(loaded, measured)["cpu_ms_per_message"],
                    "median_ms": round(median(loaded.latencies[kind]), 1),
                    "calls": {
                        name: round(sum(found["calls"].values()) / measured, 2) for name, found in counts.items()
                    },
                }
            )
    return rows


def by_concurrency(messages: int, bars: Bars) -> list[dict[str, Any]]:
    """Throughput and latency of the mix by how many messages are sent at a time, at 20/50 ms."""
    rows = []
    for concurrency in CONCURRENCY:
        with running_backends(20, 50) as backends, running_function(backends.environment) as function:
            load(function, mixed(WARM_UP), concurrency)
            plan = mixed(max(100, min(messages, messages * concurrency // 32)), _FIRST)
            with bars.task(f"{concurrency} at a time", len(plan)) as task:
                loaded = load(function, plan, concurrency, backends.process, task.reached)
            values = [value for own in loaded.latencies.values() for value in own]
            rows.append({"concurrency": concurrency, **figures(loaded, len(plan)), **percentiles(values)})
    return rows


def memory_over(messages: int, bars: Bars) -> dict[str, Any]:
    """Memory during so many messages, after as many as it takes to fill what is remembered for a minute.

    `growth_mb` is what the straight line through the samples of the measured round gains over all its messages.
    """
    filling: list[tuple[int, float]] = []
    sent = 0
    with running_backends() as backends, running_function(backends.environment) as function:
        started = time.monotonic()
        while sent == 0 or time.monotonic() - started < _REMEMBERED_SECONDS:
            with bars.task(f"memory, filling {sent // messages + 1}", messages) as task:
                loaded = load(function, mixed(messages, _FIRST + sent), 32, backends.process, task.reached)
            filling += [(sent + done, megabytes) for done, megabytes in loaded.memory]
            sent += messages
        with bars.task("memory, measured", messages) as task:
            measured = load(function, mixed(messages, _FIRST + sent), 32, backends.process, task.reached)
    fitted = line([(float(done), megabytes) for done, megabytes in measured.memory])
    return {
        "messages": messages,
        "filled_with": sent,
        "filling_mb": _thinned(filling),
        "measured_mb": _thinned(measured.memory),
        "peak_mb": round(max(megabytes for _, megabytes in (*filling, *measured.memory)), 1),
        "growth_mb": round(fitted.slope * messages, 2),
    }


def _thinned(samples: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    kept: list[tuple[int, float]] = []
    for done, megabytes in samples:
        if not kept or done - kept[-1][0] >= _SAMPLED_EVERY:
            kept.append((done, round(megabytes, 1)))
    return kept


def growth_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `python -m bench growth`."""
    sheets = []
    for key, unit, title in (("line_items", "line item", "OrderCreated"), ("variants", "variant", "ProductPublished")):
        study = result[key]
        fitted = study["line"]
        sheets.append(
            Sheet(
                f"{title}: CPU ms = {fitted['intercept']:.2f} + {fitted['slope']:.3f} per {unit}"
                f" (r squared {fitted['fit']:.4f})",
                [f"{unit}s", "CPU ms", "median ms", "commercetools calls", "Klaviyo calls"],
                [
                    [
                        str(row["size"]),
                        number(row["cpu_ms"]),
                        number(row["median_ms"]),
                        *(number(row["calls"][name]) for name in ("commercetools", "klaviyo")),
                    ]
                    for row in study["rows"]
                ],
            )
        )
    sheets.append(
        Sheet(
            "The mix by concurrency, at 20/50 ms, with 32 threads",
            ["at a time", "messages/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms a message", "peak MB"],
            [
                [
                    str(row["concurrency"]),
                    *(
                        number(row[name])
                        for name in (
                            "messages_per_second", "p50", "p95", "p99", "cpu_ms_per_message", "peak_memory_mb",
                        )
                    ),
                ]
                for row in result["concurrency"]
            ],
        )
    )  # fmt: skip
    memory = result["memory"]
    samples = [
        *memory["filling_mb"],
        *((memory["filled_with"] + done, megabytes) for done, megabytes in memory["measured_mb"]),
    ]
    sheets.append(
        Sheet(
            f"Memory (PSS): {memory['growth_mb']:+.1f} MB over {memory['messages']} messages"
            f" after the first {memory['filled_with']}",
            ["messages", "MB"],
            [[str(done), f"{megabytes:.1f}"] for done, megabytes in samples],
        )
    )
    return sheets
