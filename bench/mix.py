"""The mix of messages, and what it has to write."""

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
    identity,
    numbered,
    order_template,
    projection,
    sku,
)

LINE_ITEMS = 5
VARIANTS = 10


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery: its kind, the number of its resource, and how many line items or variants that has."""

    kind: str
    number: int
    size: int

    def as_json(self) -> dict[str, Any]:
        """For the process that sends it."""
        return asdict(self)


SHARES: Mapping[str, float] = {
    "customer updated": 0.40,
    "order created": 0.30,
    "order state changed": 0.15,
    "product published": 0.10,
    "inventory updated": 0.05,
}
KINDS = tuple(SHARES)
"""Message kinds of the mix."""

SIZES: Mapping[str, int] = {
    "order created": LINE_ITEMS,
    "order state changed": LINE_ITEMS,
    "product published": VARIANTS,
}
DISCOUNTED = "product discounted"
"""A kind that is not in the mix: a sale starts."""

LOG_NAMES: Mapping[str, str] = {
    "customer updated": "customer/ResourceUpdated",
    "order created": "order/OrderCreated",
    "order state changed": "order/OrderStateChanged",
    "product published": "product/ProductPublished",
    "inventory updated": "inventory-entry/ResourceUpdated",
}
"""How the function's log names the kinds."""


def composition(count: int, shares: Mapping[str, float] = SHARES) -> dict[str, int]:
    """How many of `count` messages are of each kind: shares rounded down, the rest to those that lost most."""
    exact = {kind: count * share for kind, share in shares.items()}
    counts = {kind: int(amount + 1e-9) for kind, amount in exact.items()}
    by_loss = sorted(shares, key=lambda kind: counts[kind] - exact[kind])
    for kind in by_loss[: count - sum(counts.values())]:
        counts[kind] += 1
    return counts


def mixed(count: int, first: int = 0, seed: int = 0) -> list[Message]:
    """The mix in random but repeatable order. Every message is about a resource of its own, numbered from `first`."""
    kinds = [kind for kind, amount in composition(count).items() for _ in range(amount)]
    messages = [Message(kind, first + index, SIZES.get(kind, 0)) for index, kind in enumerate(kinds)]
    random.Random(seed).shuffle(messages)  # noqa: S311 - an order, not a secret
    return messages


def implied_writes(messages: Iterable[Message]) -> Counter[str]:
    """Klaviyo calls that the messages have to make: fewer would be a loss, more a waste."""
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
    """The Pub/Sub push of a message."""
    data = base64.b64encode(_delivery(message)).decode()
    envelope = {"message": {"data": data, "messageId": message_id, "attributes": {}}, "subscription": "projects/p/s/s"}
    return json.dumps(envelope).encode()


def from_json(told: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Messages as `Message.as_json` told them."""
    return [Message(**one) for one in told]


def _delivery(message: Message) -> bytes:
    return numbered(_template(message.kind, message.size, message.number % ORDER_GROUPS), message.number)


@cache
def _template(kind: str, size: int, group: int) -> bytes:
    own_id = identity(size, 10**12 - 1)
    match kind:
        case "customer updated":
            return encoded(_change("customer", own_id))
        case "inventory updated":
            identifiers = {"resourceUserProvidedIdentifiers": {"sku": sku(10**12 - 1, 0)}}
            return encoded(_change("inventory-entry", own_id) | identifiers)
        case "order created":
            told = {"order": json.loads(order_template(size, group))}
            return encoded(_message("OrderCreated", "order", own_id, told))
        case "order state changed":
            told = {"orderState": "Confirmed", "oldOrderState": "Open"}
            return encoded(_message("OrderStateChanged", "order", own_id, told))
        case "product published":
            told = {"productProjection": projection(size, expanded=False), "removedImageUrls": [], "scope": "All"}
            return encoded(_message("ProductPublished", "product", own_id, told))
        case "product discounted":
            told = {"updatedPrices": [{"variantId": 1, "priceId": "price", "staged": False}]}
            return encoded(_message("ProductPriceDiscountsSet", "product", own_id, told))
    raise ValueError(kind)


def _message(name: str, type_id: str, own_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
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
        **told,
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
