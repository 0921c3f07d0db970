"""How the results grow with line items, variants, concurrency and messages."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.mix import Message, mix_messages
from bench.processes import load, running_backends, running_function
from bench.progress import Bars
from bench.report import Sheet, formatted
from bench.statistics import line, percentiles
from bench.throughput import load_statistics

LINE_ITEMS = (1, 5, 20, 100, 500)
VARIANTS = (1, 10, 50, 100)
CONCURRENCY = (1, 8, 32, 80)
WARM_UP = 300
"""Messages that let the function cache every product of the shop."""

_FIRST = 1000
_CALLS_PER_SIZE = 1500
"""Roughly equal work for each size, so that CPU time is well above its resolution."""
_WARM_UP_CONCURRENCY = 8
_NUMBER_STRIDE = 100_000
"""Distance between sizes: the function remembers writes by SKU, which contains only the product's number."""
_MESSAGES_PER_SAMPLE = 1000
_CACHE_FILL_SECONDS = 75.0
"""Writes are remembered for a minute; fill for longer than that."""


def by_line_items(bars: Bars) -> dict[str, Any]:
    """CPU, latency and calls of OrderCreated by number of line items, and the line fitted to the CPU time."""
    rows = _by_size("order created", LINE_ITEMS, bars)
    points = [(float(row["size"]), row["cpu_ms"]) for row in rows]
    return {"rows": rows, "line": line(points).as_json()}


def by_variants(bars: Bars) -> dict[str, Any]:
    """CPU, latency and calls of ProductPublished by number of variants, three of them changed."""
    rows = _by_size("product published", VARIANTS, bars)
    points = [(float(row["size"]), row["cpu_ms"]) for row in rows]
    return {"rows": rows, "line": line(points).as_json()}


def _by_size(kind: str, sizes: Sequence[int], bars: Bars) -> list[dict[str, Any]]:
    rows = []
    with running_backends() as backends, running_function(backends.environment) as function:
        load(function, mix_messages(WARM_UP), _WARM_UP_CONCURRENCY)
        for position, size in enumerate(sizes, 1):
            count = max(10, _CALLS_PER_SIZE // (size + 4))
            messages = [Message(kind, position * _NUMBER_STRIDE + index, size) for index in range(count)]
            load(function, messages[:3], 1)  # the first messages of a size are not measured
            backends.counts(forget=True)
            with bars.task(f"{kind}, {size}", count) as task:
                loaded = load(function, messages[3:], 1, backends.process, task.update)
            counts = backends.counts()
            measured = len(messages) - 3
            rows.append(
                {
                    "size": size,
                    "messages": measured,
                    "cpu_ms": load_statistics(loaded, measured)["cpu_ms_per_message"],
                    "median_ms": round(median(loaded.latencies[kind]), 1),
                    "calls": {
                        name: round(sum(found["calls"].values()) / measured, 2) for name, found in counts.items()
                    },
                }
            )
    return rows


def by_concurrency(messages: int, bars: Bars) -> list[dict[str, Any]]:
    """Throughput and latency of the mix by number of messages in flight, at 20/50 ms."""
    rows = []
    for concurrency in CONCURRENCY:
        with running_backends(20, 50) as backends, running_function(backends.environment) as function:
            load(function, mix_messages(WARM_UP), concurrency)
            plan = mix_messages(max(100, min(messages, messages * concurrency // 32)), _FIRST)
            with bars.task(f"concurrency {concurrency}", len(plan)) as task:
                loaded = load(function, plan, concurrency, backends.process, task.update)
            values = [value for own in loaded.latencies.values() for value in own]
            rows.append({"concurrency": concurrency, **load_statistics(loaded, len(plan)), **percentiles(values)})
    return rows


def memory_over(messages: int, bars: Bars) -> dict[str, Any]:
    """Memory over this many messages, measured after filling the caches that remember writes for a minute.

    `growth_mb` is the growth over the measured messages, according to a straight line fitted to the samples.
    """
    filling: list[tuple[int, float]] = []
    sent = 0
    with running_backends() as backends, running_function(backends.environment) as function:
        started = time.monotonic()
        while sent == 0 or time.monotonic() - started < _CACHE_FILL_SECONDS:
            with bars.task(f"memory, filling {sent // messages + 1}", messages) as task:
                loaded = load(function, mix_messages(messages, _FIRST + sent), 32, backends.process, task.update)
            filling += [(sent + done, megabytes) for done, megabytes in loaded.memory]
            sent += messages
        with bars.task("memory, measured", messages) as task:
            measured = load(function, mix_messages(messages, _FIRST + sent), 32, backends.process, task.update)
    fitted = line([(float(done), megabytes) for done, megabytes in measured.memory])
    return {
        "messages": messages,
        "filled_with": sent,
        "filling_mb": _downsampled(filling),
        "measured_mb": _downsampled(measured.memory),
        "peak_mb": round(max(megabytes for _, megabytes in (*filling, *measured.memory)), 1),
        "growth_mb": round(fitted.slope * messages, 2),
    }


def _downsampled(samples: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    sampled: list[tuple[int, float]] = []
    for done, megabytes in samples:
        if not sampled or done - sampled[-1][0] >= _MESSAGES_PER_SAMPLE:
            sampled.append((done, round(megabytes, 1)))
    return sampled


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
                        formatted(row["cpu_ms"]),
                        formatted(row["median_ms"]),
                        *(formatted(row["calls"][name]) for name in ("commercetools", "klaviyo")),
                    ]
                    for row in study["rows"]
                ],
            )
        )
    sheets.append(
        Sheet(
            "The mix by concurrency, at 20/50 ms, with 32 threads",
            ["concurrency", "messages/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms per message", "peak MB"],
            [
                [
                    str(row["concurrency"]),
                    *(
                        formatted(row[name])
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
