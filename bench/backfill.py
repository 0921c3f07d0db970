"""Backfills: speed of each pass at a share of Klaviyo's limits, which the sandbox enforces, and memory use."""

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
from bench.limits import THROTTLED, counting_statuses
from bench.mix import VARIANTS
from bench.process_usage import process_tree, pss_megabytes
from bench.processes import PYTHON
from bench.progress import Bars
from bench.report import Sheet
from bench.saturation import EVENTS
from commands.processes import ROOT, Sandbox, running_sandbox
from sandbox.samples import ENVIRONMENT

LINES = 3
"""Line items per order."""
_JOB_SECONDS, _LAG = 10.0, 2.0
_FIRST = 1000
_BATCH = 200
_POLL_SECONDS = 0.2
_UNLIMITED_SCALE = 10_000.0

MakeDocument = Callable[[int], Json]
"""Creates the document with a number."""
Content = dict[str, tuple[int, MakeDocument]]
"""By collection: the number of documents, and how to create them."""

_order: MakeDocument = partial(documents.order, LINES)
_product: MakeDocument = partial(documents.product, VARIANTS)


@dataclass(frozen=True, slots=True)
class PassCase:
    """A pass to measure (`--only`), over a shop with only that `content`. `rules` is the text of sync.toml."""

    name: str
    only: str
    content: Content
    rules: str = ""


def pass_cases(scale: float) -> list[PassCase]:
    """The passes to measure. With a `scale` of 1 they take about 15 minutes."""

    def scaled(count: int) -> int:
        return max(1, round(count * scale))

    customers, products = partial(_only, "customers", documents.customer), partial(_only, "products", _product)
    return [
        PassCase("customers in bulk", "customers", customers(scaled(12_000))),
        PassCase("customers one by one", "customers", customers(scaled(1_000)), '[backfill]\nprofiles = "single"\n'),
        PassCase("orders of 3 line items", "orders", customers(scaled(1_500)) | _only("orders", _order, scaled(1_500))),
        PassCase("products of 10 variants in bulk", "products", products(scaled(600))),
    ]


def _only(collection: str, make: MakeDocument, count: int) -> Content:
    return {collection: (count, make)}


def backfills(share: float, scale: float, bars: Bars) -> dict[str, Any]:
    """Measure each pass: documents per minute, requests, 429s. Also measure memory for two sizes of shop."""
    return {
        "passes": {case.name: _measure_pass(case, share, bars) for case in pass_cases(scale)},
        "memory": {str(times): _measure_memory(times, scale, bars) for times in (1, 10)},
    }


def _measure_pass(case: PassCase, share: float, bars: Bars) -> dict[str, Any]:
    with running_sandbox() as sandbox:
        sandbox.commercetools.put_all({"categories": documents.categories()})
        put_documents(sandbox, case.content, case.name, bars)
        sandbox.klaviyo.limits()
        sandbox.klaviyo.jobs(_JOB_SECONDS)
        sandbox.klaviyo.lag(_LAG)
        sandbox.klaviyo.lag(_LAG, of="profiles")
        with counting_statuses(sandbox.klaviyo) as statuses, bars.task(case.name, 1):
            result = run_job(sandbox, ["backfill", "--only", case.only], share, case.rules)
        done = result["report"]["passes"][case.only]
        events = len(sandbox.klaviyo.state()["events"])
    minutes = done["seconds"] / 60
    return {
        "documents": done["read"],
        "errors": done["errors"],
        "seconds": done["seconds"],
        "a_minute": round(done["read"] / minutes),
        "events_a_minute": round(events / minutes),
        "of_the_share": round(events / minutes / (EVENTS.per_minute * share), 2) if events else None,
        "requests": sum(statuses.values()),
        "throttled": statuses[THROTTLED],
        "calls": done["calls"],
        "peak_megabytes": result["peak"],
    }


def _measure_memory(times: int, scale: float, bars: Bars) -> dict[str, Any]:
    """Peak memory of a whole run without rate limits, on a shop `times` the base size."""

    def scaled(count: int) -> int:
        return max(1, round(count * scale)) * times

    content: Content = {
        "customers": (scaled(4_000), documents.customer),
        "orders": (scaled(500), _order),
        "products": (scaled(200), _product),
    }
    with running_sandbox() as sandbox:
        sandbox.commercetools.put_all({"categories": documents.categories()})
        put_documents(sandbox, content, f"a shop of {times} times the size", bars)
        sandbox.klaviyo.limits(enforce=False, scale=_UNLIMITED_SCALE)
        with bars.task(f"memory, {times} times the shop", 1):
            result = run_job(sandbox, ["backfill"], 1.0)
    passes = result["report"]["passes"]
    return {
        "documents": {name: counts["read"] for name, counts in passes.items()},
        "seconds": round(sum(counts["seconds"] for counts in passes.values()), 1),
        "peak_megabytes": result["peak"],
    }


def put_documents(sandbox: Sandbox, content: Content, name: str, bars: Bars) -> None:
    """Put documents into commercetools; `name` labels the progress bar."""
    with bars.task(f"{name}: filling the shop", sum(count for count, _ in content.values())) as task:
        for collection, (count, make) in content.items():
            for start in range(0, count, _BATCH):
                numbers = range(_FIRST + start, _FIRST + min(count, start + _BATCH))
                sandbox.commercetools.put_all({collection: [make(number) for number in numbers]})
                task.advance(len(numbers))


def run_job(sandbox: Sandbox, arguments: Sequence[str], share: float, rules: str = "") -> dict[str, Any]:
    """Run a job and return its report and its peak memory in MB (PSS). Raises ClickException if it fails."""
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
        with _sampled_memory(process) as samples:
            out, _ = process.communicate()
        if process.returncode:
            raise click.ClickException(f"{arguments[0]} exited with {process.returncode}:\n{out[-2000:]}")
        return {"report": json.loads(out.splitlines()[-1]), "peak": round(max(samples), 1)}


@contextmanager
def _sampled_memory(process: "subprocess.Popen[str]") -> Iterator[Sequence[float]]:
    """Samples of a process's memory in MB (PSS), taken in the background while the block runs."""
    samples = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            samples.append(pss_megabytes(process_tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        ended.set()
        watcher.join()


def backfill_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `python -m bench backfill`."""
    rows = [
        [
            name, str(run["documents"]), f"{run['seconds']:.0f}", str(run["a_minute"]),
            "" if run["of_the_share"] is None else f"{run['events_a_minute']} ({run['of_the_share']:.0%})",
            f"{run['throttled']} of {run['requests']}", str(run["errors"]), f"{run['peak_megabytes']:.0f}",
        ]
        for name, run in result["passes"].items()
    ]  # fmt: skip
    columns = [
        "pass",
        "documents",
        "seconds",
        "documents/min",
        "events/min (share used)",
        "answered 429",
        "errors",
        "peak MB",
    ]
    memory = [
        [
            f"{times}x", ", ".join(f"{count:,} {name}" for name, count in run["documents"].items() if count),
            f"{run['seconds']:.0f}", f"{run['peak_megabytes']:.0f}",
        ]
        for times, run in result["memory"].items()
    ]  # fmt: skip
    return [
        Sheet(f"Backfills at {result['share']:.0%} of Klaviyo's limits", columns, rows),
        Sheet("Memory of a backfill, without rate limits", ["shop", "documents", "seconds", "peak MB"], memory),
    ]
