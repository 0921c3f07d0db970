"""The mix of messages, and the writes that it must cause."""

import base64
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from bench.documents import (
    CHANGED_VARIANTS,
    ORDER_GROUPS,
    PROJECT,
    VERSION,
    encoded,
    order_template,
    projection,
    resource_id,
    sku,
    with_number,
)

LINE_ITEMS = 5
VARIANTS = 10


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its kind, the number of its resource, and the resource's number of line items or variants."""

    kind: str
    number: int
    size: int

    def as_json(self) -> dict[str, Any]:
        """The message as JSON, for the load generator's process."""
        return asdict(self)


SHARES: Mapping[str, float] = {
    "customer updated": 0.40,
    "order created": 0.30,
    "order state changed": 0.15,
    "product published": 0.10,
    "inventory updated": 0.05,
}
KINDS = tuple(SHARES)
"""The kinds of message in the mix."""

SIZES: Mapping[str, int] = {
    "order created": LINE_ITEMS,
    "order state changed": LINE_ITEMS,
    "product published": VARIANTS,
}
DISCOUNTED = "product discounted"
"""The kind that starts a sale; not in the mix."""

LOG_NAMES: Mapping[str, str] = {
    "customer updated": "customer/ResourceUpdated",
    "order created": "order/OrderCreated",
    "order state changed": "order/OrderStateChanged",
    "product published": "product/ProductPublished",
    "inventory updated": "inventory-entry/ResourceUpdated",
}
"""By kind: its name in the function's log."""


def composition(count: int, shares: Mapping[str, float] = SHARES) -> dict[str, int]:
    """Number of messages per kind: shares are rounded down, and the remainder goes to the kinds that lost most."""
    exact = {kind: count * share for kind, share in shares.items()}
    counts = {kind: int(amount + 1e-9) for kind, amount in exact.items()}
    by_loss = sorted(shares, key=lambda kind: counts[kind] - exact[kind])
    for kind in by_loss[: count - sum(counts.values())]:
        counts[kind] += 1
    return counts


def mix_messages(count: int, first: int = 0, seed: int = 0) -> list[Message]:
    """The mix in a random but repeatable order. Every message has its own resource, numbered from `first`."""
    kinds = [kind for kind, amount in composition(count).items() for _ in range(amount)]
    messages = [Message(kind, first + index, SIZES.get(kind, 0)) for index, kind in enumerate(kinds)]
    random.Random(seed).shuffle(messages)  # noqa: S311 - not for cryptography
    return messages


def implied_writes(messages: Iterable[Message]) -> Counter[str]:
    """The writes to Klaviyo that the messages must cause: fewer would lose data, more would waste calls."""
    writes: Counter[str] = Counter()
    for message in messages:
        match message.kind:
            case "customer updated":
                writes["create_or_update_profile"] += 1
            case "order created":
                writes["create_event"] += 1 + message.size
            case "order state changed":
                writes["create_event"] += 1
            case "product published":
                writes["update_catalog_variant"] += min(message.size, CHANGED_VARIANTS)
            case "inventory updated":
                writes["update_catalog_variant"] += 1
    return writes


def push_body(message: Message, message_id: str) -> bytes:
    """The body of a message's Pub/Sub push."""
    data = base64.b64encode(_delivery(message)).decode()
    envelope = {"message": {"data": data, "messageId": message_id, "attributes": {}}, "subscription": "projects/p/s/s"}
    return json.dumps(envelope).encode()


def from_json(rows: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages that `Message.as_json` converted."""
    return [Message(**row) for row in rows]


def _delivery(message: Message) -> bytes:
    return with_number(_template(message.kind, message.size, message.number % ORDER_GROUPS), message.number)


@cache
def _template(kind: str, size: int, group: int) -> bytes:
    own_id = resource_id(size, 10**12 - 1)
    match kind:
        case "customer updated":
            return encoded(_change("customer", own_id))
        case "inventory updated":
            identifiers = {"resourceUserProvidedIdentifiers": {"sku": sku(10**12 - 1, 0)}}
            return encoded(_change("inventory-entry", own_id) | identifiers)
        case "order created":
            fields = {"order": json.loads(order_template(size, group))}
            return encoded(_message("OrderCreated", "order", own_id, fields))
        case "order state changed":
            fields = {"orderState": "Confirmed", "oldOrderState": "Open"}
            return encoded(_message("OrderStateChanged", "order", own_id, fields))
        case "product published":
            fields = {"productProjection": projection(size, expanded=False), "removedImageUrls": [], "scope": "All"}
            return encoded(_message("ProductPublished", "product", own_id, fields))
        case "product discounted":
            fields = {"updatedPrices": [{"variantId": 1, "priceId": "price", "staged": False}]}
            return encoded(_message("ProductPriceDiscountsSet", "product", own_id, fields))
    raise ValueError(kind)


def _message(name: str, type_id: str, own_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "notificationType": "Message",
        "projectKey": PROJECT,
        "id": own_id,
        "version": 1,
        "sequenceNumber": 1,
        "resource": {"typeId": type_id, "id": own_id},
        "resourceVersion": VERSION,
        "type": name,
        "createdAt": "2026-11-18T08:00:00.000Z",
        "lastModifiedAt": "2026-11-18T08:00:00.000Z",
        **fields,
    }


def _change(type_id: str, own_id: str) -> dict[str, Any]:
    return {
        "notificationType": "ResourceUpdated",
        "projectKey": PROJECT,
        "resource": {"typeId": type_id, "id": own_id},
        "version": VERSION,
        "oldVersion": VERSION - 1,
        "modifiedAt": "2026-11-18T08:00:00.000Z",
    }
