"""Put reason codes into words: why a message was ignored, is retried or became a dead letter."""

import re
from collections.abc import Mapping

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
    "disabled": "sync.toml switches it off, or CT_SCOPE lacks its scope",
    "embedded_prices": "the product does not use standalone prices",
    "event_notification": "it is not about a resource of the shop",
    "forwarded": "Pub/Sub gave up after the last delivery attempt",
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
"""docs/failures.md lists what each code means for the people who run the sync."""
_REASON = re.compile(r"(?:(?:\S+ )?(?:ignored|retried|dead-lettered): )?(\w+)")


def reason_text(code: str) -> str:
    """A reason code in words; the code with spaces for underscores if it is unknown here."""
    return REASONS.get(code, code.replace("_", " "))


def with_words(text: str) -> str:
    """The text with its reason in words: `ignored: no_email (the customer has no e-mail address)`.

    `text` is a reason, an outcome with its reason, or a log message; more may follow: `retried: klaviyo_denied 401`.
    Without a known reason it is returned unchanged.
    """
    found = _REASON.match(text)
    words = REASONS.get(found[1]) if found else None
    return f"{text} ({words})" if words else text
