"""What happened to a message, in words for people who see the product for the first time."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from commands.outcome_words import counted, effect
from commands.page.delivery import Attempt, Call, Delivery
from commands.page.subscription import MAX_DELIVERY_ATTEMPTS
from commands.reason_words import reason_text

TIMES = "\N{MULTIPLICATION SIGN}"

_SUCCESS_BELOW = 300
_NO_CHANGE = "nothing to change"
"""What `effect` returns if nothing was written."""
_REPEATED = re.compile(r"([^,;:]+?) x(\d+)")

_RESOURCE_NOUNS = {
    "categories": "category",
    "customers": "customer",
    "discount-codes": "discount code",
    "inventory": "stock",
    "orders": "order",
    "payments": "payment",
    "product-projections": "product",
    "standalone-prices": "price",
    "states": "workflow state",
}
_UNCOUNTABLE = frozenset({"stock"})


@dataclass(frozen=True, slots=True)
class Summary:
    """A delivery in four short texts: how it ended, what came in, what was read and what was written."""

    headline: str
    received: str
    read: str
    written: str


def summarize(delivery: Delivery) -> Summary:
    """The summary of a delivery, as far as it got."""
    if not delivery.attempts:
        return Summary("Being delivered.", _received(delivery), "", "")
    last = delivery.attempts[-1]
    written = with_times_sign(effect({"outcome": "synced"}, last.requests))
    headline = _headline(delivery, last, written)
    return Summary(headline, _received(delivery), _read(last), "nothing" if written == _NO_CHANGE else written)


def _received(delivery: Delivery) -> str:
    return delivery.message.description.rstrip(".")


def _headline(delivery: Delivery, last: Attempt, written: str) -> str:
    tries = len(delivery.attempts)
    attempt = f" on attempt {tries}" if tries > 1 else ""
    why = reason_text(last.reason)
    if delivery.dead_letter and delivery.dead_letter.forwarded:
        return f"Given up after {MAX_DELIVERY_ATTEMPTS} attempts: {why}. The message is a dead letter now."
    match delivery.outcome:
        case "synced":
            return (
                f"Klaviyo was already up to date{attempt}."
                if written == _NO_CHANGE
                else f"Synced to Klaviyo{attempt}: {written}."
            )
        case "ignored":
            return f"Nothing to do: {why}."
        case "dead-lettered":
            return f"Dead letter: {why}. Retrying would not help."
    return f"Back to Pub/Sub: {why}. The message will be redelivered."


def _read(attempt: Attempt) -> str:
    """`the customer, 2 products`. Counts different reads, not resources: two queries for one price are `2 prices`."""
    paths = {_address(call): call for call in attempt.calls if _is_read(call)}
    nouns = Counter(_RESOURCE_NOUNS.get(call.operation.split(".")[0], call.operation) for call in paths.values())
    named = (
        f"the {noun}" if count == 1 or noun in _UNCOUNTABLE else counted(count, noun) for noun, count in nouns.items()
    )
    return ", ".join(named)


def _address(call: Call) -> str:
    """The resource or the query of a call, equal for equal reads. A resource is the same with references expanded."""
    path = str(call.record["path"])
    return path if call.operation.endswith(".get") else path + str(call.record["query"].get("where"))


def _is_read(call: Call) -> bool:
    return call.backend == "commercetools" and 0 < call.status < _SUCCESS_BELOW


def with_times_sign(text: str) -> str:
    """Turn `Ordered Product x2` into the number, a multiplication sign, and `Ordered Product`."""
    return _REPEATED.sub(lambda match: _count_first(match[1], match[2]), text)


def _count_first(name: str, count: str) -> str:
    space = " " if name.startswith(" ") else ""
    return f"{space}{count} {TIMES} {name.strip()}"


def resource_noun(operation: str) -> str:
    """The resource that a commercetools call is about, such as `customer` for `customers.get`."""
    collection = operation.partition(".")[0]
    return _RESOURCE_NOUNS.get(collection, collection)


def shortened_list(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    most = 3
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
