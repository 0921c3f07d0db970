"""Put the effect of a message into words, from the function's log line and its requests to Klaviyo."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from commands.reason_words import with_words

Request = Mapping[str, Any]

HEADINGS = {
    "category": "Categories",
    "customer": "Customers",
    "inventory-entry": "Stock",
    "order": "Orders",
    "payment": "Payments",
    "product": "Products",
    "standalone-price": "Prices",
}
"""By commercetools resource type; OTHERS for any other type."""
OTHERS = "Notifications"

_PLURALS = {"category": "categories"}
_CREATED = 201
_ERRORS = 400
_NO_DECIMALS = {"JPY", "KRW"}
_OPERATIONS = {
    "create_catalog_category": ("category", "created"),
    "update_catalog_category": ("category", "changed"),
    "delete_catalog_category": ("category", "deleted"),
    "create_catalog_item": ("item", "created"),
    "update_catalog_item": ("item", "changed"),
    "delete_catalog_item": ("item", "deleted"),
    "create_catalog_variant": ("variant", "created"),
    "update_catalog_variant": ("variant", "changed"),
    "delete_catalog_variant": ("variant", "deleted"),
    "request_profile_deletion": ("profile", "erased"),
}
"""Noun and verb of Klaviyo's write operations, except events and profile upserts."""


def heading(line: Mapping[str, Any]) -> str:
    """The heading that a message is listed under."""
    return HEADINGS.get(str(line.get("resource", "")).split("/")[0], OTHERS)


def effect(line: Mapping[str, Any], requests: Iterable[Request]) -> str:
    """What a message did: `1 item changed, 2 variants created`, `Placed Order, Ordered Product x2`.

    For an outcome other than synced: the outcome, its reason with words, and what was written anyway.
    """
    done = "" if line["outcome"] == "ignored" else ", ".join(_effects(requests))
    if line["outcome"] == "synced":
        return done or "nothing to change"
    outcome = ": ".join(filter(None, (line["outcome"], line.get("reason"))))
    return "; ".join(filter(None, (with_words(outcome), done)))


def _effects(requests: Iterable[Request]) -> list[str]:
    things: Counter[tuple[str, str]] = Counter()
    metrics: Counter[str] = Counter()
    for request in requests:
        if not 0 < request["status"] < _ERRORS:
            continue
        if request["operation"] == "create_event":
            metrics[_metric(request["body"])] += 1
        elif request["operation"] == "create_or_update_profile":
            things["profile", "created" if request["status"] == _CREATED else "changed"] += 1
        elif request["operation"] in _OPERATIONS:
            things[_OPERATIONS[request["operation"]]] += 1
    return [
        *(name if count == 1 else f"{name} x{count}" for name, count in metrics.items()),
        *(f"{counted(count, noun)} {verb}" for (noun, verb), count in things.items()),
    ]


def counted(count: int, noun: str) -> str:
    """`1 item`, `3 categories`."""
    return f"{count} {noun if count == 1 else _PLURALS.get(noun, noun + 's')}"


def money(amount: float | None, currency: str | None = None) -> str:
    """An amount with the decimals that shops print: none for yen and won, three for fractions of a cent, else two."""
    if amount is None:
        return "no price"
    decimals = 0 if currency in _NO_DECIMALS else 2 if round(amount, 2) == amount else 3
    return f"{amount:,.{decimals}f} {currency or ''}".rstrip()


def event_summary(properties: Mapping[str, Any]) -> str:
    """What an event is about: order number, items ordered, shipped or returned, and the parcel's carrier and number."""
    listed = properties.get("ShippedItems") or properties.get("ReturnItems")
    if listed:
        names = [f"{one['Quantity']} x {one.get('ProductName', '')}".rstrip() for one in listed]
    else:
        name = properties.get("ProductName")
        names = [name] if name else properties.get("ItemNames") or []
    parcel = " ".join(str(properties[name]) for name in ("Carrier", "TrackingNumber") if name in properties)
    parts = (properties.get("OrderNumber"), ", ".join(map(str, names)), parcel)
    return " · ".join(str(part) for part in parts if part)


def _metric(body: Mapping[str, Any]) -> str:
    return str(body["data"]["attributes"]["metric"]["data"]["attributes"]["name"])
