"""A sale starts: a message a product, for products of ten variants of which three are discounted."""

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
    "three variants, not the item's": (7, 8, 9),
    "three variants, the item's among them": (0, 8, 9),
}
"""Which variants are discounted: the item shows the price of the first one."""

_FIRST = 1000
_BATCH = 100
_CONCURRENCY = 16
_ROUNDS = 10
_PAUSE = 2.0
"""Seconds before what was not acknowledged is delivered again."""
_OFF = 100
_WIDE_LIMITS = 10_000.0


def sales(products: int, bars: Bars) -> dict[str, Any]:
    """Calls of each case by operation, as the sandbox recorded them, and the outcomes of the messages."""
    return {"cases": {name: _sale(products, discounted, name, bars) for name, discounted in CASES.items()}}


def _sale(products: int, discounted: tuple[int, ...], name: str, bars: Bars) -> dict[str, Any]:
    with running_sandbox() as sandbox, bars.task(name, 2 * products) as task:
        # What is counted are calls: the function keeps the limits that Klaviyo's answers tell of.
        sandbox.klaviyo.limits(enforce=False, scale=_WIDE_LIMITS)
        sandbox.commercetools.put_all({"categories": documents.categories()})
        with running_function(sandbox.environment) as function:
            for numbers in _batches(products):
                _put(sandbox, [documents.product(VARIANTS, number) for number in numbers])
                _deliver(function, [Message("product published", number, VARIANTS) for number in numbers])
                task.advanced(len(numbers))
        calls: Counter[str] = Counter()
        with running_function(sandbox.environment) as function:  # as an instance that has written none of them
            for numbers in _batches(products):
                _put(sandbox, [_reduced(number, discounted) for number in numbers])
                for backend in (sandbox.commercetools, sandbox.klaviyo):
                    backend.forget_requests()
                _deliver(function, [Message(DISCOUNTED, number, VARIANTS) for number in numbers])
                calls += _recorded(sandbox)
                task.advanced(len(numbers))
            outcomes = Counter(outcome["outcome"] for outcome in function.outcomes())
        wrong = _not_reduced(sandbox, products, discounted)
        if wrong:
            raise click.ClickException(f"{wrong} variants lack their discount, so the calls mean nothing.")
    return {"calls": dict(sorted(calls.items())), "outcomes": dict(outcomes)}


def _deliver(function: Function, messages: Sequence[Message]) -> None:
    """Push the messages, as Pub/Sub does again those that were not acknowledged, until each is synced."""
    left = messages
    for _ in range(_ROUNDS):
        load(function, left, _CONCURRENCY)
        synced = {line["message_id"] for line in function.outcomes() if line["outcome"] == "synced"}
        left = [message for message in left if f"{message.kind}-{message.number}" not in synced]
        if not left:
            return
        time.sleep(_PAUSE)
    raise click.ClickException(f"{len(left)} messages were not synced in {_ROUNDS} deliveries.")


def _batches(products: int) -> list[range]:
    last = _FIRST + products
    return [range(start, min(start + _BATCH, last)) for start in range(_FIRST, last, _BATCH)]


def _put(sandbox: Sandbox, products: list[Json]) -> None:
    sandbox.commercetools.put_all({"products": products})


def _reduced(number: int, discounted: tuple[int, ...]) -> Json:
    """A product with a discount on all prices of these variants."""
    product = documents.product(VARIANTS, number)
    current = product["masterData"]["current"]
    for index, variant in enumerate([current["masterVariant"], *current["variants"]]):
        for price in variant["prices"] if index in discounted else ():
            reduced = {**price["value"], "centAmount": price["value"]["centAmount"] - _OFF}
            if "preciseAmount" in reduced:
                reduced["preciseAmount"] -= _OFF
            price["discounted"] = {"value": reduced, "discount": {"typeId": "product-discount", "id": "sale"}}
    return product


def _recorded(sandbox: Sandbox) -> Counter[str]:
    both = (sandbox.commercetools, sandbox.klaviyo)
    return Counter(entry["operation"] for backend in both for entry in backend.requests(kind="api"))


def _not_reduced(sandbox: Sandbox, products: int, discounted: tuple[int, ...]) -> int:
    """How many variants there are whose old price Klaviyo does not show beside the new one."""
    variants = sandbox.klaviyo.state()["variants"]
    skus = [documents.sku(_FIRST + number, index + 1) for number in range(products) for index in discounted]
    return sum(variants[sku]["custom_metadata"].get("compare_at_price") is None for sku in skus)


def minutes_at_the_limits(calls: Mapping[str, int]) -> dict[str, float]:
    """Minutes that Klaviyo's limit of each operation takes for the calls, the longest first."""
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
    columns = ["discounted", "operation", "calls", "a message", "minutes at Klaviyo's limit"]
    return Sheet(f"A sale on {result['products']} products of {VARIANTS} variants", columns, rows)
