"""The start of a sale: one message per product, for products with ten variants of which three are discounted."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bench import documents
from bench.documents import Json
from bench.mix import DISCOUNTED, VARIANTS, Message
from bench.processes import Function, load, running_function
from bench.progress import Bars
from bench.report import Sheet
from bench.saturation import LIMITS
from commands.processes import Sandbox, running_sandbox

CASES: Mapping[str, tuple[int, ...]] = {
    "three variants, without the first": (7, 8, 9),
    "three variants, with the first": (0, 8, 9),
}
"""The discounted variants. The item shows the price of the first variant, so a discount on it changes the item too."""

_FIRST = 1000
_BATCH = 100
_CONCURRENCY = 16
_ROUNDS = 10
_PAUSE = 2.0
"""Seconds before messages that were not synced are delivered again."""
_DISCOUNT_CENTS = 100
_UNLIMITED_SCALE = 10_000.0


def sales(products: int, bars: Bars) -> dict[str, Any]:
    """Measure each case: calls by operation as the sandbox recorded them, and outcomes of all deliveries."""
    return {"cases": {name: _sale(products, discounted, name, bars) for name, discounted in CASES.items()}}


def _sale(products: int, discounted: tuple[int, ...], name: str, bars: Bars) -> dict[str, Any]:
    with running_sandbox() as sandbox, bars.task(name, 2 * products) as task:
        # Only calls are counted. The function throttles itself to the limits in Klaviyo's headers, so make them large.
        sandbox.klaviyo.limits(enforce=False, scale=_UNLIMITED_SCALE)
        sandbox.commercetools.put_all({"categories": documents.categories()})
        with running_function(sandbox.environment) as function:
            for numbers in _batches(products):
                _put(sandbox, [documents.product(VARIANTS, number) for number in numbers])
                _deliver(function, [Message("product published", number, VARIANTS) for number in numbers])
                task.advance(len(numbers))
        calls: Counter[str] = Counter()
        with running_function(sandbox.environment) as function:  # a new instance, with empty caches
            for numbers in _batches(products):
                _put(sandbox, [_discounted_product(number, discounted) for number in numbers])
                for backend in (sandbox.commercetools, sandbox.klaviyo):
                    backend.forget_requests()
                _deliver(function, [Message(DISCOUNTED, number, VARIANTS) for number in numbers])
                calls += _recorded_calls(sandbox)
                task.advance(len(numbers))
            outcomes = Counter(outcome["outcome"] for outcome in function.outcomes())
        undiscounted = _count_undiscounted(sandbox, products, discounted)
        if undiscounted:
            raise click.ClickException(f"{undiscounted} variants lack their discount, so the result is invalid.")
    return {"calls": dict(sorted(calls.items())), "outcomes": dict(outcomes)}


def _deliver(function: Function, messages: Sequence[Message]) -> None:
    """Push the messages and, like Pub/Sub, redeliver them until each is synced. Raises ClickException."""
    pending = messages
    for _ in range(_ROUNDS):
        load(function, pending, _CONCURRENCY)
        synced = {line["message_id"] for line in function.outcomes() if line["outcome"] == "synced"}
        pending = [message for message in pending if f"{message.kind}-{message.number}" not in synced]
        if not pending:
            return
        time.sleep(_PAUSE)
    raise click.ClickException(f"{len(pending)} messages were not synced after {_ROUNDS} deliveries.")


def _batches(products: int) -> list[range]:
    last = _FIRST + products
    return [range(start, min(start + _BATCH, last)) for start in range(_FIRST, last, _BATCH)]


def _put(sandbox: Sandbox, products: list[Json]) -> None:
    sandbox.commercetools.put_all({"products": products})


def _discounted_product(number: int, discounted: tuple[int, ...]) -> Json:
    """A product with all prices of these variants discounted."""
    product = documents.product(VARIANTS, number)
    current = product["masterData"]["current"]
    for index, variant in enumerate([current["masterVariant"], *current["variants"]]):
        for price in variant["prices"] if index in discounted else ():
            reduced = {**price["value"], "centAmount": price["value"]["centAmount"] - _DISCOUNT_CENTS}
            if "preciseAmount" in reduced:
                reduced["preciseAmount"] -= _DISCOUNT_CENTS
            price["discounted"] = {"value": reduced, "discount": {"typeId": "product-discount", "id": "sale"}}
    return product


def _recorded_calls(sandbox: Sandbox) -> Counter[str]:
    both = (sandbox.commercetools, sandbox.klaviyo)
    return Counter(entry["operation"] for backend in both for entry in backend.requests(kind="api"))


def _count_undiscounted(sandbox: Sandbox, products: int, discounted: tuple[int, ...]) -> int:
    """Number of discounted variants in Klaviyo without a `compare_at_price`, that is, without the old price."""
    variants = sandbox.klaviyo.state()["variants"]
    skus = [documents.sku(_FIRST + number, index + 1) for number in range(products) for index in discounted]
    return sum(variants[sku]["custom_metadata"].get("compare_at_price") is None for sku in skus)


def minutes_at_the_limits(calls: Mapping[str, int]) -> dict[str, float]:
    """Minutes that each operation's calls take at Klaviyo's limit, longest first."""
    minutes = {name: count / 60 / LIMITS[name].steady for name, count in calls.items() if name in LIMITS}
    return dict(sorted(minutes.items(), key=lambda pair: -pair[1]))


def sale_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `python -m bench sale`."""
    rows = []
    for name, case in result["cases"].items():
        minutes = {own: f"{count:.1f}" for own, count in minutes_at_the_limits(case["calls"]).items()}
        for operation, count in case["calls"].items():
            rows.append([name, operation, str(count), f"{count / result['products']:.2f}", minutes.get(operation, "")])
        rows.append([name, "deliveries", str(sum(case["outcomes"].values())), "", ""])
    columns = ["discounted", "operation", "calls", "per message", "minutes at Klaviyo's limit"]
    return Sheet(f"A sale on {result['products']} products with {VARIANTS} variants", columns, rows)
