"""A backfill: how fast its passes are at a share of Klaviyo's limits, which the sandbox enforces, and its memory."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench import documents
from bench.documents import Json
from bench.limits import THROTTLED, counting
from bench.mix import VARIANTS
from bench.process_usage import pss_megabytes, tree
from bench.processes import PYTHON
from bench.progress import Bars
from bench.report import Sheet
from bench.saturation import EVENTS
from commands.processes import ROOT, Sandbox, running_sandbox
from sandbox.samples import ENVIRONMENT

LINES = 3
"""Line items of an order."""
_JOB_SECONDS, _LAG = 10.0, 2.0
_FIRST = 1000
_BATCH = 200
_LOOK_EVERY = 0.2
_WIDE_LIMITS = 10_000.0

Document = Callable[[int], Json]
Fill = dict[str, tuple[int, Document]]
"""How many documents a collection has, and how each is made, by collection."""

_order: Document = partial(documents.order, LINES)
_product: Document = partial(documents.product, VARIANTS)


@dataclass(frozen=True, slots=True)
class Speed:
    """One pass of a shop that holds nothing else; `rules` go into sync.toml."""

    name: str
    only: str
    fill: Fill
    rules: str = ""


def speeds(scale: float) -> list[Speed]:
    """What is measured: `scale` 1 takes some 15 minutes."""

    def some(count: int) -> int:
        return max(1, round(count * scale))

    customers, products = partial(_of, "customers", documents.customer), partial(_of, "products", _product)
    return [
        Speed("customers in bulk", "customers", customers(some(12_000))),
        Speed("customers one by one", "customers", customers(some(1_000)), '[backfill]\nprofiles = "single"\n'),
        Speed("orders of 3 line items", "orders", customers(some(1_500)) | _of("orders", _order, some(1_500))),
        Speed("products of 10 variants in bulk", "products", products(some(600))),
    ]


def _of(collection: str, make: Document, count: int) -> Fill:
    return {collection: (count, make)}


def backfills(share: float, scale: float, bars: Bars) -> dict[str, Any]:
    """Documents a minute of each pass, its requests, and what was answered 429; memory by size of the shop."""
    return {
        "passes": {one.name: _speed(one, share, bars) for one in speeds(scale)},
        "memory": {str(times): _memory(times, scale, bars) for times in (1, 10)},
    }


def _speed(one: Speed, share: float, bars: Bars) -> dict[str, Any]:
    with running_sandbox() as sandbox:
        sandbox.commercetools.put_all({"categories": documents.categories()})
        put(sandbox, one.fill, one.name, bars)
        sandbox.klaviyo.limits()
        sandbox.klaviyo.jobs(_JOB_SECONDS)
        sandbox.klaviyo.lag(_LAG)
        sandbox.klaviyo.lag(_LAG, of="profiles")
        with counting(sandbox.klaviyo) as statuses, bars.task(one.name, 1):
            ran = ran_job(sandbox, ["backfill", "--only", one.only], share, one.rules)
        done = ran["report"]["passes"][one.only]
        events = len(sandbox.klaviyo.state()["events"])
    minutes = done["seconds"] / 60
    return {
        "documents": done["read"],
        "errors": done["errors"],
        "seconds": done["seconds"],
        "a_minute": round(done["read"] / minutes),
        "events_a_minute": round(events / minutes),
        "of_the_share": round(events / minutes / (EVENTS.a_minute * share), 2) if events else None,
        "requests": sum(statuses.values()),
        "throttled": statuses[THROTTLED],
        "calls": done["calls"],
        "peak_megabytes": ran["peak"],
    }


def _memory(times: int, scale: float, bars: Bars) -> dict[str, Any]:
    """The peak of a whole run, without limits; the shop is `times` as large."""

    def some(count: int) -> int:
        return max(1, round(count * scale)) * times

    fill: Fill = {
        "customers": (some(4_000), documents.customer),
        "orders": (some(500), _order),
        "products": (some(200), _product),
    }
    with running_sandbox() as sandbox:
        sandbox.commercetools.put_all({"categories": documents.categories()})
        put(sandbox, fill, f"a shop {times} times as large", bars)
        sandbox.klaviyo.limits(enforce=False, scale=_WIDE_LIMITS)
        with bars.task(f"memory, {times} times the shop", 1):
            ran = ran_job(sandbox, ["backfill"], 1.0)
    passes = ran["report"]["passes"]
    return {
        "documents": {name: one["read"] for name, one in passes.items()},
        "seconds": round(sum(one["seconds"] for one in passes.values()), 1),
        "peak_megabytes": ran["peak"],
    }


def put(sandbox: Sandbox, fill: Fill, name: str, bars: Bars) -> None:
    """The documents."""
    with bars.task(f"{name}: the shop", sum(count for count, _ in fill.values())) as task:
        for collection, (count, make) in fill.items():
            for start in range(0, count, _BATCH):
                numbers = range(_FIRST + start, _FIRST + min(count, start + _BATCH))
                sandbox.commercetools.put_all({collection: [make(number) for number in numbers]})
                task.advanced(len(numbers))


def ran_job(sandbox: Sandbox, arguments: Sequence[str], share: float, rules: str = "") -> dict[str, Any]:
    """The report of a job, and the most memory that it used, in MB (PSS)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sync.toml").write_text(rules, encoding="utf-8")
        process = subprocess.Popen(
            [PYTHON, "-m", "jobs", *arguments, "--json", "--share", str(share)],
            cwd=folder,
            env={
                **os.environ, **ENVIRONMENT, **sandbox.environment, "PYTHONPATH": str(ROOT),
                "SYNC_CONFIG": str(Path(folder, "sync.toml")),
            },
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        with _watched(process) as peaks:
            out, _ = process.communicate()
        if process.returncode:
            raise click.ClickException(f"{arguments[0]} ended with {process.returncode}:\n{out[-2000:]}")
        return {"report": json.loads(out.splitlines()[-1]), "peak": round(max(peaks), 1)}


@contextmanager
def _watched(process: "subprocess.Popen[str]") -> Iterator[Sequence[float]]:
    """The memory of a process, looked at all the time."""
    peaks = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY):
            peaks.append(pss_megabytes(tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def past_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `python -m bench past`."""
    rows = [
        [
            name, str(one["documents"]), f"{one['seconds']:.0f}", str(one["a_minute"]),
            "" if one["of_the_share"] is None else f"{one['events_a_minute']} ({one['of_the_share']:.0%})",
            f"{one['throttled']} of {one['requests']}", str(one["errors"]), f"{one['peak_megabytes']:.0f}",
        ]
        for name, one in result["passes"].items()
    ]  # fmt: skip
    columns = ["pass", "documents", "seconds", "a minute", "events a minute", "answered 429", "errors", "peak MB"]
    memory = [
        [
            f"{times} times", ", ".join(f"{count:,} {name}" for name, count in one["documents"].items() if count),
            f"{one['seconds']:.0f}", f"{one['peak_megabytes']:.0f}",
        ]
        for times, one in result["memory"].items()
    ]  # fmt: skip
    return [
        Sheet(f"A backfill at a share of {result['share']:g} of Klaviyo's limits", columns, rows),
        Sheet("Memory of a backfill, without limits", ["shop", "documents", "seconds", "peak MB"], memory),
    ]
