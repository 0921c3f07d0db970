"""Checks the lean stand-ins: each kind of message must make the same calls to them as to the sandbox."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import documents
from bench.documents import Json
from bench.mix import KINDS, SIZES, VARIANTS, Message
from bench.processes import Function, load, running_backends, running_function
from bench.progress import Bars, Task
from bench.report import Sheet
from commands.processes import Sandbox, running_sandbox

MESSAGES = 8
"""Messages per kind."""

_FIRST = 1000
_STOCK_PRODUCT = 5000
"""Number of the product whose variants the inventory messages are about."""
_SYNC_TOML = "[limits]\nstale_after = 30\n"
"""A high `stale_after`, so that a slow machine does not cause extra reads."""

Calls = Mapping[str, int]


def compared_calls(bars: Bars) -> dict[str, tuple[Calls, Calls]]:
    """By kind of message: calls by operation to the lean stand-ins, and to the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, "sync.toml")
        rules.write_text(_SYNC_TOML, encoding="utf-8")
        own = {"SYNC_CONFIG": str(rules)}
        with (
            bars.task("calls, lean stand-ins", len(KINDS)) as task,
            running_backends() as backends,
            running_function(backends.environment | own) as function,
        ):

            def lean_calls() -> Counter[str]:
                counts = backends.counts(forget=True).values()
                return Counter({name: count for found in counts for name, count in found["calls"].items()})

            lean = _calls_by_kind(function, lean_calls, task)
        with bars.task("calls, sandbox", len(KINDS)) as task, running_sandbox() as sandbox:
            _fill(sandbox)
            # Fill Klaviyo's catalog from the products as they were before the change.
            with running_function(sandbox.environment | own) as function:
                load(
                    function,
                    [*_messages("product published"), Message("product published", _STOCK_PRODUCT, MESSAGES)],
                    4,
                )
            _change_products(sandbox)
            with running_function(sandbox.environment | own) as function:
                strict = _calls_by_kind(function, lambda: _take_recorded_calls(sandbox), task)
    return {kind: (lean[kind], strict[kind]) for kind in KINDS}


def _messages(kind: str) -> list[Message]:
    return [Message(kind, _FIRST + index, SIZES.get(kind, 0)) for index in range(MESSAGES)]


def _calls_by_kind(function: Function, take_calls: Callable[[], Counter[str]], task: Task) -> dict[str, Calls]:
    calls: dict[str, Calls] = {}
    take_calls()
    for kind in KINDS:
        load(function, _messages(kind), 1)
        found = take_calls()
        del found["token"]
        calls[kind] = dict(sorted(found.items()))
        task.advance(1)
    return calls


def _take_recorded_calls(sandbox: Sandbox) -> Counter[str]:
    """Calls by operation since the last time; clears the record."""
    both = (sandbox.commercetools, sandbox.klaviyo)
    calls = Counter(entry["operation"] for backend in both for entry in backend.requests(kind="api"))
    for backend in both:
        backend.forget_requests()
    return calls


def _fill(sandbox: Sandbox) -> None:
    """Put everything that the messages refer to into commercetools, products in their state before the change."""
    numbers = range(_FIRST, _FIRST + MESSAGES)
    ordered = {line["productId"] for number in numbers for line in _order(number)["lineItems"]}
    sandbox.commercetools.put_all(
        {
            "categories": documents.categories(),
            "customers": [documents.customer(number) for number in numbers],
            "orders": [_order(number) for number in numbers],
            "inventory": [documents.inventory_entry(number, own) for number in numbers for own in range(VARIANTS + 1)],
            "products": [
                *(documents.product(*documents.size_and_number(own_id)) for own_id in sorted(ordered)),
                *(documents.product(VARIANTS, number, changed=False) for number in numbers),
                _stocked_product(),
            ],
        }
    )


def _change_products(sandbox: Sandbox) -> None:
    changed = [documents.product(VARIANTS, _FIRST + index) for index in range(MESSAGES)]
    sandbox.commercetools.put_all({"products": changed})


def _order(number: int) -> Json:
    return documents.order(SIZES["order state changed"], number)


def _stocked_product() -> Json:
    product = documents.product(MESSAGES, _STOCK_PRODUCT, changed=False)
    data = product["masterData"]["current"]
    for index, variant in enumerate([data["masterVariant"], *data["variants"]]):
        variant["sku"] = documents.sku(_FIRST + index, 0)
    return product


def calls_sheet(found: Mapping[str, tuple[Calls, Calls]]) -> Sheet:
    """The table of `python -m bench calls`."""
    rows = []
    for kind, (lean, strict) in found.items():
        for operation in sorted(lean.keys() | strict.keys()):
            per_message = [f"{counts.get(operation, 0) / MESSAGES:.2f}" for counts in (lean, strict)]
            rows.append([kind, operation, *per_message])
    return Sheet("Calls per message", ["message", "operation", "lean stand-ins", "sandbox"], rows)
