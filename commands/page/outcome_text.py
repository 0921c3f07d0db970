"""What became of a message, for people who see it for the first time."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commands.outcome_words import counted, effect
from commands.page.delivery import Attempt, Call, Delivery
from commands.page.subscription import ATTEMPTS

TIMES = "\N{MULTIPLICATION SIGN}"

_OK = 300
_NOTHING = "nothing to change"
"""What `effect` says where nothing was written."""
_TIMES = re.compile(r"([^,;]+?) x(\d+)")

REASONS: Mapping[str, str] = {
    "bad_resource_id": "its id is none that a resource can have",
    "commercetools_denied": "commercetools does not accept the credentials",
    "commercetools_error": "commercetools is down",
    "commercetools_unreachable": "commercetools does not answer",
    "customer_gone": "the customer was deleted",
    "customer_removed": "the customer was taken off the order",
    "deleted_meanwhile": "it was deleted meanwhile",
    "disabled": "sync.toml switches this message off",
    "event_notification": "it is about no resource of the shop",
    "klaviyo_denied": "Klaviyo does not accept the key",
    "klaviyo_error": "Klaviyo is down",
    "klaviyo_refused": "Klaviyo refuses the content",
    "klaviyo_unreachable": "Klaviyo did not answer in time",
    "no_answer": "the function did not answer",
    "no_data_erasure": "only a data erasure takes a profile away",
    "no_email": "there is no e-mail to reach anybody by",
    "no_handler": "nothing here consumes such messages",
    "no_profile": "the order has neither e-mail nor customer",
    "no_refund": "it is no refund",
    "no_resource": "it names no resource",
    "no_tracking": "the parcel has no tracking number yet",
    "no_variant": "Klaviyo has no such variant",
    "not_an_object": "it is no JSON object",
    "not_json": "it is no JSON",
    "order_state": "that state of an order makes no event",
    "other_project": "it is of another project",
    "payment_state": "that state of a payment makes no event",
    "published_again": "the product is published again by now",
    "return_label": "it is a label for sending things back",
    "shipment_state": "that state of a shipment makes no event",
    "staged": "only the staged side changed",
    "test_notification": "commercetools only tests its subscription",
    "throttled": "Klaviyo asks for a pause",
    "transition": "sync.toml names no event for that workflow state",
    "unmappable": "it can't be mapped",
}

_READ = {
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
_UNCOUNTED = frozenset({"stock"})


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery in four short texts."""

    headline: str
    came: str
    read: str
    written: str


def told(delivery: Delivery) -> Told:
    """What came in, what was read, what was written, and how it ended."""
    if not delivery.attempts:
        return Told("It is being delivered.", _came(delivery), "", "")
    last = delivery.attempts[-1]
    written = times(effect({"outcome": "synced"}, last.requests))
    headline = _headline(delivery, last, written)
    return Told(headline, _came(delivery), _read(last), "nothing" if written == _NOTHING else written)


def reason(word: str) -> str:
    """A reason of the log in words; one that is not known here with blanks."""
    return REASONS.get(word, word.replace("_", " "))


def _came(delivery: Delivery) -> str:
    return delivery.message.shows.rstrip(".")


def _headline(delivery: Delivery, last: Attempt, written: str) -> str:
    tries = len(delivery.attempts)
    again = f" At attempt {tries}." if tries > 1 else ""
    why = reason(last.reason)
    if delivery.letter and delivery.letter.forwarded:
        return f"Given up after {ATTEMPTS} attempts: {why}. It lies among the dead letters."
    match delivery.outcome:
        case "synced":
            return f"Klaviyo has it already.{again}" if written == _NOTHING else f"Klaviyo has it: {written}.{again}"
        case "ignored":
            return f"Nothing to do: {why}."
        case "dead-lettered":
            return f"It can never succeed: {why}. It lies among the dead letters."
    return f"Back to Pub/Sub: {why}. It will be delivered again."


def _read(attempt: Attempt) -> str:
    """`a customer, 2 products`; each resource once, however often it was looked at."""
    paths = {_address(call): call for call in attempt.calls if _is_read(call)}
    nouns = Counter(_READ.get(call.operation.split(".")[0], call.operation) for call in paths.values())
    named = (
        f"the {noun}" if count == 1 or noun in _UNCOUNTED else counted(count, noun) for noun, count in nouns.items()
    )
    return ", ".join(named)


def _address(call: Call) -> str:
    """What is asked for; a resource with its references expanded is the same resource."""
    path = str(call.record["path"])
    return path if call.operation.endswith(".get") else path + str(call.record["query"].get("where"))


def _is_read(call: Call) -> bool:
    return call.backend == "commercetools" and 0 < call.status < _OK


def times(text: str) -> str:
    """`2 times Ordered Product`, with a sign for times, of `Ordered Product x2`."""
    return _TIMES.sub(lambda found: _turned(found[1], found[2]), text)


def _turned(name: str, count: str) -> str:
    blank = " " if name.startswith(" ") else ""
    return f"{blank}{count} {TIMES} {name.strip()}"


def resource_noun(operation: str) -> str:
    """What a call to commercetools is about: `customers.get` is about a customer."""
    collection = operation.partition(".")[0]
    return _READ.get(collection, collection)


def titles(names: Sequence[str]) -> str:
    """Several names in one text, the first few of them."""
    most = 3
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
