"""What happened to a message, in words for people who see the product for the first time."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commands.outcome_words import counted, effect
from commands.page.delivery import Attempt, Call, Delivery
from commands.page.subscription import MAX_DELIVERY_ATTEMPTS

TIMES = "\N{MULTIPLICATION SIGN}"

_SUCCESS_BELOW = 300
_NO_CHANGE = "nothing to change"
"""What `effect` returns if nothing was written."""
_REPEATED = re.compile(r"([^,;:]+?) x(\d+)")

REASONS: Mapping[str, str] = {
    "bad_resource_id": "its resource id is not valid",
    "brought_back": "something was written after the customer's erasure, and erasing it again failed",
    "commercetools_denied": "commercetools rejects the credentials",
    "commercetools_error": "commercetools is down",
    "commercetools_not_json": "the response is not from commercetools",
    "commercetools_refused": "commercetools rejects the request",
    "commercetools_token": "commercetools issued no token in time",
    "commercetools_unexpected": "commercetools returned an unexpected status",
    "commercetools_unreachable": "commercetools does not respond",
    "customer_gone": "the customer was deleted",
    "customer_not_there_yet": "the order's customer can't be read yet",
    "customer_removed": "the customer was removed from the order",
    "deleted_meanwhile": "it was deleted in the meantime",
    "disabled": "sync.toml switches this message type off",
    "embedded_prices": "the product does not use standalone prices",
    "event_notification": "it is not about a resource of the shop",
    "guest": "the order has no customer, and guests are skipped",
    "keeps_changing": "it changed during each write",
    "klaviyo_denied": "Klaviyo rejects the API key",
    "klaviyo_error": "Klaviyo is down",
    "klaviyo_not_json": "the response is not from Klaviyo",
    "klaviyo_refused": "Klaviyo rejects the content",
    "klaviyo_undecided": "Klaviyo says both that it exists and that it does not",
    "klaviyo_unexpected": "Klaviyo returned an unexpected status",
    "klaviyo_unreachable": "Klaviyo did not respond in time",
    "message_failed": "another call of the message had failed for good",
    "no_answer": "the function did not respond",
    "no_data": "the push has no data",
    "no_data_erasure": "a profile is only removed on data erasure",
    "no_email": "the customer has no e-mail address",
    "no_handler": "no handler takes this message type",
    "no_message": "the push has no message",
    "no_order": "the refund's order did not appear in time",
    "no_order_yet": "the refund's order can't be read yet",
    "no_profile": "the order has neither an e-mail address nor a customer",
    "no_refund": "it is not a refund",
    "no_resource": "it names no resource",
    "no_return": "no return in the list sends an event",
    "no_tracking": "the parcel has no tracking number yet",
    "no_type": "it names no message type",
    "no_variant": "Klaviyo has no such variant",
    "not_an_object": "it is not a JSON object",
    "not_base64": "its data is not base64",
    "not_json": "it is not JSON",
    "not_published": "no published product has the SKU of this price",
    "not_there_yet": "it can't be read yet",
    "order_state": "this order state sends no event",
    "other_field": "[consent] in sync.toml does not name this field or group",
    "other_project": "it belongs to another project",
    "out_of_time": "the message ran out of time",
    "payload_not_included": "its payload was too large, and the change notification copies the customer",
    "payment_state": "this payment state sends no event",
    "published_again": "the product was published again in the meantime",
    "resource_busy": "another message is writing the same resource",
    "return_gone": "a new list of returns replaced the item",
    "return_label": "it is a return label",
    "return_state": "this return state sends no event",
    "shipment_state": "this shipment state sends no event",
    "staged": "only the staged version changed",
    "stale_read": "commercetools returned an older version",
    "state_gone": "the workflow state was deleted, or the order has none",
    "still_there": "commercetools still returns the deleted customer",
    "superseded": "the field or group has changed again",
    "test_notification": "commercetools is only testing the subscription",
    "throttled": "Klaviyo is throttling requests",
    "transition": "sync.toml names no event for this workflow state",
    "unforeseen": "an unexpected error occurred",
    "unknown_notification": "its notification type is unknown",
    "unmappable": "it can't be mapped",
}

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


def reason_text(code: str) -> str:
    """A reason code in words; the code with spaces for underscores if it is unknown here."""
    return REASONS.get(code, code.replace("_", " "))


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
