"""More messages than Klaviyo's limits allow, against a sandbox that enforces the limits."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bench import documents
from bench.mix import LINE_ITEMS, Message
from bench.process_usage import cpu_seconds
from bench.processes import THREADS, running_function
from bench.progress import Bars
from bench.pubsub import Retries, Subscription
from bench.report import Sheet
from bench.saturation import EVENTS, WRITES
from bench.statistics import percentiles
from commands.processes import Sandbox, running_sandbox
from sandbox.control import Control

NEW_VARIANTS = 3
"""Variants per product. The products are new to Klaviyo, so all their variants are written."""

_FIRST = 1000
THROTTLED = 429
_BATCH = 200
_POLL_SECONDS = 1.0


def plan(seconds: int, factor: float) -> list[Message]:
    """Messages whose calls amount to `factor` times what Klaviyo's limits allow in this time.

    Customers fill the limit of profile writes, orders of five line items that of events, new products that of variants.
    """
    minutes = seconds / 60 * factor
    counts = {
        ("customer updated", 0): WRITES.per_minute * minutes,
        ("order created", LINE_ITEMS): EVENTS.per_minute * minutes / (1 + LINE_ITEMS),
        ("product published", NEW_VARIANTS): WRITES.per_minute * minutes / NEW_VARIANTS,
    }
    messages = [
        Message(kind, _FIRST + index, size) for (kind, size), count in counts.items() for index in range(round(count))
    ]
    random.Random(0).shuffle(messages)  # noqa: S311 - not for cryptography
    return messages


def beyond_limits(seconds: int, factor: float, patience: float, bars: Bars) -> dict[str, Any]:
    """Deliver the plan within `seconds`, redeliver what is not acknowledged, and check Klaviyo's final state."""
    messages = plan(seconds, factor)
    with running_sandbox() as sandbox:
        _fill(sandbox, messages)
        sandbox.klaviyo.limits()
        with running_function(sandbox.environment) as function, counting_statuses(sandbox.klaviyo) as statuses:
            subscription = Subscription(function.host, THREADS, Retries())
            started = time.monotonic()
            with bars.task("beyond the limits", len(messages)) as task:
                delivered = asyncio.run(subscription.deliver(messages, seconds, patience, task.update))
            elapsed = time.monotonic() - started
            cpu = cpu_seconds(function.pids)
            reasons = Counter(
                outcome.get("reason", outcome["outcome"])
                for outcome in function.outcomes()
                if outcome["outcome"] != "synced"
            )
        lost = losses(messages, sandbox.klaviyo.state())
    total = sum(statuses.values())
    return {
        "messages": len(messages),
        "drained_after_seconds": round(elapsed, 1),
        "unacknowledged": delivered.unacknowledged,
        "pushes": delivered.pushes,
        "refused_pushes": delivered.refusals,
        "reasons": dict(reasons),
        "requests": total,
        "throttled": statuses[THROTTLED],
        "throttled_percent": round(100 * statuses[THROTTLED] / total, 2) if total else 0.0,
        "lost": lost,
        "seconds_to_acknowledge": percentiles(delivered.seconds),
        "cpu_seconds": round(cpu, 1),
    }


def losses(messages: Sequence[Message], state: Mapping[str, Any]) -> dict[str, int]:
    """Number of records that the messages should have written but Klaviyo lacks, and of duplicate events."""
    stored = Counter(event["unique_id"] for event in state["events"])
    profiles = {profile.get("external_id") for profile in state["profiles"]}
    lost = Counter[str](profiles=0, events=0, items=0, variants=0)
    for message in messages:
        own_id = documents.resource_id(message.size, message.number)
        match message.kind:
            case "customer updated":
                lost["profiles"] += own_id not in profiles
            case "order created":
                order = documents.order(message.size, message.number)
                lost["events"] += sum(
                    stored[event_id] == 0 for event_id in (own_id, *(line["id"] for line in order["lineItems"]))
                )
            case "product published":
                lost["items"] += own_id not in state["items"]
                lost["variants"] += sum(
                    documents.sku(message.number, number) not in state["variants"]
                    for number in range(1, message.size + 1)
                )
    return {**lost, "events twice": sum(count - 1 for count in stored.values())}


def _fill(sandbox: Sandbox, messages: Sequence[Message]) -> None:
    """Put everything that the messages refer to into commercetools."""
    ordered = [documents.product(10, number) for number in range(documents.SHOP_PRODUCTS)]
    sandbox.commercetools.put_all({"categories": documents.categories(), "products": ordered})
    for start in range(0, len(messages), _BATCH):
        batch = messages[start : start + _BATCH]
        sandbox.commercetools.put_all(
            {
                "customers": [
                    documents.customer(message.number) for message in batch if message.kind == "customer updated"
                ],
                "products": [
                    documents.product(message.size, message.number)
                    for message in batch
                    if message.kind == "product published"
                ],
            }
        )


@contextmanager
def counting_statuses(klaviyo: Control) -> Iterator[Counter[int]]:
    """Count the requests made inside the block, by status; the counter is final when the block ends."""
    statuses: Counter[int] = Counter()
    ended = threading.Event()

    def count() -> None:
        last = 0
        while True:
            is_last = ended.wait(_POLL_SECONDS)
            # A request in flight has no status yet. Stop there, and read it and all later ones next time.
            for entry in klaviyo.requests(since=last, kind="api"):
                if not entry["status"]:
                    break
                statuses[entry["status"]] += 1
                last = entry["number"]
            if is_last:
                return

    counter = threading.Thread(target=count)
    counter.start()
    try:
        yield statuses
    finally:
        ended.set()
        counter.join()


def limits_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `python -m bench limits`."""
    rows = [
        ["messages", str(result["messages"])],
        ["seconds until the last acknowledgement", str(result["drained_after_seconds"])],
        ["messages never acknowledged", str(result["unacknowledged"])],
        ["pushes", str(result["pushes"])],
        ["pushes not acknowledged", str(result["refused_pushes"])],
        ["requests to Klaviyo", str(result["requests"])],
        ["requests answered 429", f"{result['throttled']} ({result['throttled_percent']} %)"],
        *([name if name == "events twice" else f"lost {name}", str(count)] for name, count in result["lost"].items()),
        *([f"seconds to acknowledge, {name}", str(value)] for name, value in result["seconds_to_acknowledge"].items()),
    ]
    return Sheet(
        f"{result['seconds']} seconds of messages at {result['factor']} times Klaviyo's limits", ["", "value"], rows
    )
