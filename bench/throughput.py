"""Throughput of the mix: messages per second, latencies, CPU, memory, connections and calls."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.mix import LOG_NAMES, Message, implied_writes, mix_messages
from bench.processes import THREADS, LoadResult, Progress, load, running_backends, running_function
from bench.statistics import percentiles

EMPTY_FUNCTION = Path(__file__).with_name("empty_function.py")
WARM_UP = 64
"""Messages before the measurement, so that it excludes imports, the token and new connections."""

_FIRST = 1000
"""First number after those of the warm-up: every resource is used only once."""

_WRITES = ("create_event", "create_or_update_profile", "update_catalog_variant")
_ACKNOWLEDGED = "204"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies of the stand-ins in milliseconds."""

    commercetools: float
    klaviyo: float

    @property
    def name(self) -> str:
        """The name in tables, such as "20/50 ms"."""
        return f"{self.commercetools:g}/{self.klaviyo:g} ms"


def throughput(latencies: Latencies, messages: int, concurrency: int, progress: Progress) -> dict[str, Any]:
    """Run the mix against a new function and new backends. Raises ClickException if anything is lost."""
    with (
        running_backends(latencies.commercetools, latencies.klaviyo) as backends,
        running_function(backends.environment) as function,
    ):
        load(function, mix_messages(WARM_UP), concurrency)
        backends.counts(forget=True)
        plan = mix_messages(messages, _FIRST)
        loaded = load(function, plan, concurrency, backends.process, progress)
        counts = backends.counts()
        outcomes = function.outcomes()[WARM_UP:]
    _require_complete(plan, loaded, counts, outcomes)
    return {
        **load_statistics(loaded, len(plan)),
        "connections": {name: count["connections"] for name, count in counts.items()},
        "calls": {name: count["calls"] for name, count in counts.items()},
        "calls_by_kind": calls_by_kind(outcomes),
        "latency_by_kind": {kind: percentiles(values) for kind, values in sorted(loaded.latencies.items())},
        "threads": THREADS,
    }


def baseline(messages: int, concurrency: int, progress: Progress) -> dict[str, Any]:
    """Send the same messages to an empty function: the lower bound on this machine at this time."""
    with running_function({}, source=EMPTY_FUNCTION) as function:
        load(function, mix_messages(WARM_UP), concurrency)
        loaded = load(function, mix_messages(messages, _FIRST), concurrency, progress=progress)
    if loaded.statuses != {_ACKNOWLEDGED: messages}:
        raise click.ClickException(f"The empty function answered {dict(loaded.statuses)}.")
    return load_statistics(loaded, messages)


def load_statistics(loaded: LoadResult, messages: int) -> dict[str, Any]:
    """Throughput, latency, CPU and memory of a load."""
    latencies = [value for values in loaded.latencies.values() for value in values]
    return {
        "messages_per_second": round(messages / loaded.seconds, 1),
        **percentiles(latencies),
        "cpu_ms_per_message": round(loaded.cpu["function"] / messages * 1000, 3),
        "cpu_seconds": {name: round(seconds, 2) for name, seconds in loaded.cpu.items()},
        "peak_memory_mb": round(max(megabytes for _, megabytes in loaded.memory), 1),
    }


def calls_by_kind(outcomes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Calls per message by kind and backend, as counted in the function's log."""
    kinds = {name: kind for kind, name in LOG_NAMES.items()}
    totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        kind = kinds[f"{outcome['resource'].split('/')[0]}/{outcome['type']}"]
        counts[kind] += 1
        totals[kind].update(outcome.get("calls", {}))
    return {
        kind: {backend: round(calls / counts[kind], 2) for backend, calls in sorted(totals[kind].items())}
        for kind in sorted(counts)
    }


def _require_complete(
    plan: Sequence[Message],
    loaded: LoadResult,
    counts: Mapping[str, Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]],
) -> None:
    """Raise ClickException unless every message was synced and exactly the implied writes were made."""
    problems = []
    if loaded.statuses != {_ACKNOWLEDGED: len(plan)}:
        problems.append(f"answers: {dict(loaded.statuses)}")
    if Counter(outcome["outcome"] for outcome in outcomes) != {"synced": len(plan)}:
        problems.append(f"outcomes: {dict(Counter(outcome['outcome'] for outcome in outcomes))}")
    written = {name: counts["klaviyo"]["calls"].get(name, 0) for name in _WRITES}
    implied = implied_writes(plan)
    if written != {name: implied[name] for name in _WRITES}:
        problems.append(f"written {written}, not {dict(implied)}")
    unknown = {name: count["calls"]["unknown"] for name, count in counts.items() if count["calls"].get("unknown")}
    if unknown:
        problems.append(f"calls that the stand-ins don't support: {unknown}")
    if problems:
        raise click.ClickException("The run is invalid. " + "; ".join(problems))
