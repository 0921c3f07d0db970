"""With late, duplicate, out-of-order and failing messages, Klaviyo converges to the state of commercetools.

Each test takes a random seed and prints it. `make converge` runs 20 of them, `make converge SEEDS=50` more.
Environment variables repeat a run and narrow it down:

    CONVERGENCE_SEEDS=5                       number of seeds
    CONVERGENCE_SEED=1234                     only this seed; which messages run concurrently still varies
    CONVERGENCE_KINDS=edit_product,move_sku   only these changes; tests/functional/random_shop.py lists all
    CONVERGENCE_LAGS=lists                    only these reads lag: availability, queries, lists, profiles; or none
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from commands.processes import Function, Sandbox, running_function
from core.settings import Settings, load_settings
from sandbox.samples import ENVIRONMENT
from tests.functional.expected_state import problems
from tests.functional.random_shop import RandomShop
from tests.functional.redelivery import Subscription

report = print
"""Prints the seed and statistics; pytest shows them on a failure, `make converge` always."""

SEED = os.environ.get("CONVERGENCE_SEED")
SEEDS = 1 if SEED else int(os.environ.get("CONVERGENCE_SEEDS") or 1)
KINDS = [kind for kind in os.environ.get("CONVERGENCE_KINDS", "").split(",") if kind]

SIZE = 10
CHANGES = 250
AT_A_TIME = 32
DUPLICATED_SHARE = 0.2
LATE_SHARE = 0.1
DRAIN_SECONDS = 60

_FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 503, "rate": 0.014},
    {"status": 500, "rate": 0.01, "apply": True},
    {"status": 502, "rate": 0.005, "body": "html"},
    {"status": 429, "rate": 0.001, "headers": {"Retry-After": "1"}},
    {"reset": "sending", "rate": 0.01},
    {"reset": "answering", "rate": 0.01, "apply": True},
)
"""Failures of 5 % of the calls in total. Those with `apply` take effect before they fail."""

_SLOW: tuple[dict[str, Any], ...] = (
    {"delay": 0.5, "rate": 0.05},
    {"method": "POST", "delay": 2, "rate": 0.1, "late": True},
    {"method": "PATCH", "delay": 2, "rate": 0.1, "late": True},
)
"""Slow calls: reads are outdated when they arrive, and slow writes overtake each other."""

_DELAY = 0.2
"""Seconds that every delivery takes to arrive, at least.

If a query or list lags less than that, the message about what it misses has not arrived yet. Between instances, a
longer lag can't be compensated; docs/how-it-works.md says what may then stay wrong.
"""

_LAGS = {"availability": 3.0, "queries": _DELAY, "lists": 3.0, "profiles": 3.0}
"""Maximum seconds by which reads lag behind writes; random for each read."""


@pytest.fixture
def settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the function under test, for the mappers that give the expected state."""
    for name, value in {**sandbox.environment, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("instances", [1, 2], ids=["one instance", "two instances"])
@pytest.mark.parametrize("_run", range(SEEDS))
def test_klaviyo_converges_to_commercetools(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, instances: int, _run: int
) -> None:
    """Klaviyo converges after random changes, with 32 concurrent deliveries, failing calls and lagging reads.

    Messages are shuffled, duplicated and delayed. SKUs, categories and stock move and move back. The function runs with
    the default settings in one instance, and in two behind the same queue.
    """
    seed = int(SEED or random.randrange(2**32))
    report(f"CONVERGENCE_SEED={seed}, {instances} instances")
    rng = random.Random(seed)
    for backend in (sandbox.commercetools, sandbox.klaviyo):
        backend.seed(seed)
        for fault in (*_FAULTS, *_SLOW):
            backend.fail(r"^/(shop|api)/", **fault)
    shop = RandomShop(rng, sandbox.commercetools, KINDS)
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": ""}
    with ExitStack() as stack:
        functions = [
            stack.enter_context(running_function(environment, threads=AT_A_TIME // instances)) for _ in range(instances)
        ]
        started = time.monotonic()
        subscription = Subscription([function.url for function in functions], random.Random(rng.random()))
        shop.is_pending = subscription.is_pending
        with subscription.pushing(AT_A_TIME):
            _publish(shop.open(SIZE), subscription, rng)
            opened = subscription.drained(DRAIN_SECONDS)
            _let_reads_lag(sandbox, instances)
            for _ in range(CHANGES):
                subscription.wait_for_room(AT_A_TIME, soon=_DELAY)
                _publish(shop.change(), subscription, rng)
            drained = opened and subscription.drained(DRAIN_SECONDS)
        seconds = time.monotonic() - started
    report(f"{seconds:.1f} s", *_statistics(subscription, functions, sandbox), sep="\n")
    wrong = [*_refusals(functions), *problems(sandbox, settings, shop)]
    if not drained:
        wrong.insert(0, f"messages are not acknowledged within {DRAIN_SECONDS} s")
    if wrong:
        name = ("one instance", "two instances")[instances - 1]
        wrong = [
            *wrong[:40],
            f"{len(wrong)} problems; the full record: {_write_record(tmp_path, subscription, functions, sandbox)}",
            f"repeat with: CONVERGENCE_SEED={seed} pytest tests/functional/test_convergence.py -k '{name}'",
        ]
        pytest.fail("\n".join(wrong), pytrace=False)


def _write_record(folder: Path, subscription: Subscription, functions: Sequence[Function], sandbox: Sandbox) -> Path:
    """Write all pushes, each instance's log lines and both backends' requests to a file; return its path."""
    record = {
        "pushes": subscription.pushed,
        "lines": [function.lines for function in functions],
        "commercetools": sandbox.commercetools.requests(),
        "klaviyo": sandbox.klaviyo.requests(),
    }
    path = folder / "record.json"
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return path


def _let_reads_lag(sandbox: Sandbox, instances: int) -> None:
    """Let reads lag. An instance knows what it wrote itself, so Klaviyo's lists may lag longer with only one."""
    selected = os.environ.get("CONVERGENCE_LAGS") or ",".join(_LAGS)
    for name, seconds in _LAGS.items():
        if name in selected.split(","):
            backend = sandbox.klaviyo if name in ("lists", "profiles") else sandbox.commercetools
            most = min(seconds, _DELAY) if name == "lists" and instances > 1 else seconds
            backend.lag(0, most, of=name)  # type: ignore[arg-type]


def _publish(deliveries: list[dict[str, Any]], subscription: Subscription, rng: random.Random) -> None:
    """Publish with delays of up to 0.3 s, most of them short. A tenth is up to 3 s late, a fifth is duplicated."""
    for delivery in deliveries:
        for _ in range(1 + (rng.random() < DUPLICATED_SHARE)):
            late = rng.uniform(1, 3) if rng.random() < LATE_SHARE else 0.3 * rng.random() ** 3
            subscription.publish(delivery, _DELAY + late)


def _statistics(subscription: Subscription, functions: Sequence[Function], sandbox: Sandbox) -> Iterator[str]:
    lines = [line for function in functions for line in function.lines]
    yield f"{subscription.published} messages, {len(subscription.pushed)} pushes, {subscription.refusals} refused"
    yield str(dict(Counter(line["outcome"] for line in lines if "outcome" in line)))
    yield str(dict(Counter(line["reason"] for line in lines if "reason" in line)))
    for name, backend in (("commercetools", sandbox.commercetools), ("Klaviyo", sandbox.klaviyo)):
        calls = len(backend.requests(kind="api"))
        failed = sum(rule["hits"] for rule in backend.failures() if not rule["delay"])
        yield f"{name}: {calls} calls, {failed / calls:.1%} of them failed"


def _refusals(functions: Sequence[Function]) -> Iterator[str]:
    """Dead letters, unforeseen errors and tracebacks: there must be none."""
    for function in functions:
        yield from (str(line) for line in function.lines if _is_refusal(line))
        yield from (line for line in function.errors if "Traceback" in line)


def _is_refusal(line: Mapping[str, Any]) -> bool:
    return "letter" in line or line.get("reason") == "unforeseen"
