"""Events of an order's returns: Requested Return for an announced return, Returned Order for each item that came back.

A return has no id, and `setReturnInfo` gives its items new ids each time. So the id of an event is a hash of the
return's content: its tracking number or date, and for each item its key, or else its line and quantity.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.settings import Settings
from mappers.event_time import earlier, later
from mappers.localized import text
from mappers.mapped import JsonObject, mapper
from mappers.order_documents import Order, ReturnInfo, ReturnItem
from mappers.order_events import Fact
from mappers.order_parts import Part, order_lines, parts_of, total
from mappers.order_properties import OrderDetails
from mappers.properties import present

ADVISED = "Advised"
RETURNED = "Returned"
RETURNED_STATES = frozenset({RETURNED, "BackInStock", "Unusable"})
"""States of an item that came back. It is Returned first. Source: commercetools API, ReturnShipmentState."""

_LINE_MISSING = "the order no longer has its line"
_DIGITS = 32
"""Hexadecimal digits of the hash in an event id."""


@dataclass(frozen=True, slots=True)
class ReturnedItem:
    """An item of a return, the return itself, and the id of the item's event."""

    item: ReturnItem
    info: ReturnInfo
    unique_id: str

    def in_state(self, state: str) -> "ReturnedItem":
        """The item as it was in this state."""
        return replace(self, item={**self.item, "shipmentState": state})


@mapper
def has_return_events(returns: Iterable[ReturnInfo], settings: Settings) -> bool:
    """True if one of the returns has an item in a state whose metric is on."""
    states = {item.get("shipmentState") for info in returns for item in _items(info)}
    metrics = settings.sync.metrics
    return bool(
        (metrics.requested_return and ADVISED in states) or (metrics.returned_order and states & RETURNED_STATES)
    )


@mapper
def return_facts(
    order: Order, returns: Sequence[ReturnInfo], occurred_at: str, settings: Settings, *, is_new: bool
) -> list[Fact]:
    """Requested Return for each return with advised items, Returned Order for each item that came back.

    `is_new` is True if the message added these returns just now, whatever their date. If it replaced the whole list of
    returns, some of them are old.
    """
    return [
        *requested_returns(order, returns, occurred_at, settings, is_new=is_new),
        *(
            returned_order(order, returned, occurred_at, settings, is_new=is_new)
            for returned in returned_items(order, returns)
            if returned.item.get("shipmentState") in RETURNED_STATES and settings.sync.metrics.returned_order
        ),
    ]


@mapper
def requested_returns(
    order: Order, returns: Sequence[ReturnInfo], occurred_at: str, settings: Settings, *, is_new: bool = False
) -> list[Fact]:
    """Requested Return for each return that has items in the state Advised.

    The event's id covers all items of the return, including those that have come back by now. The age of a new return
    (`is_new`) counts from `occurred_at`, if that is after the return's date.
    """
    metric = settings.sync.metrics.requested_return
    if not metric:
        return []
    # If the order has returns of equal content, only the order as a whole tells their numbers. See `_event_ids`.
    ids_in_order = dict(
        _event_ids(order, ((_content(info, _items(info)), _item_ids(info)) for info in _returns(order)))
    )
    event_ids = _event_ids(order, ((_content(info, _items(info)), _item_ids(info)) for info in returns))
    facts = []
    for info, (item_ids, unique_id) in zip(returns, event_ids, strict=True):
        advised = [item for item in _items(info) if item.get("shipmentState") == ADVISED]
        if advised:
            fact = _requested(order, info, advised, ids_in_order.get(item_ids, unique_id), occurred_at, settings)
            facts.append(replace(fact, age_from=later(fact.occurred_at, occurred_at)) if is_new else fact)
    return facts


def _requested(
    order: Order,
    info: ReturnInfo,
    advised: Sequence[ReturnItem],
    unique_id: str,
    occurred_at: str,
    settings: Settings,
) -> Fact:
    parts = [_part(order, item) for item in advised]
    return Fact(
        settings.sync.metrics.requested_return,
        unique_id,
        text(info.get("returnDate")) or occurred_at,
        total([part for part in parts if part]),
        lambda details: present(
            {
                "ReturnItems": [
                    _item_fields(item, part, details, settings)
                    for item, part in zip(advised, parts, strict=True)
                    if part
                ],
                "ReturnTrackingId": text(info.get("returnTrackingId")),
                "ReturnDate": text(info.get("returnDate")),
            }
        ),
        cuts=(f"ReturnItems[]: {_LINE_MISSING}",) if None in parts else (),
    )


@mapper
def returned_items(order: Order, returns: Sequence[ReturnInfo] | None = None) -> list[ReturnedItem]:
    """The items of these returns, by default of all returns of the order."""
    returns = _returns(order) if returns is None else returns
    items = [(info, item) for info in returns for item in _items(info)]
    ids_in_order = dict(_event_ids(order, _item_contents(_returns(order))))  # as in `requested_returns`
    event_ids = _event_ids(order, _item_contents(returns))
    return [
        ReturnedItem(item, info, ids_in_order.get(item_id, unique_id))
        for (info, item), (item_id, unique_id) in zip(items, event_ids, strict=True)
    ]


@mapper
def returned_order(
    order: Order,
    returned: ReturnedItem,
    occurred_at: str,
    settings: Settings,
    *,
    is_estimated: bool = False,
    is_new: bool = False,
) -> Fact:
    """Returned Order for an item that came back, unique by the content of its return and of the item.

    Unless the return is new, the event's age counts from the return's date, if that is before `occurred_at`.
    """
    item, part = returned.item, _part(order, returned.item)
    return Fact(
        settings.sync.metrics.returned_order,
        returned.unique_id,
        occurred_at,
        total([part] if part else []),
        lambda details: (
            _item_fields(item, part, details, settings)
            | present({"ReturnTrackingId": text(returned.info.get("returnTrackingId"))})
        ),
        cuts=() if part else (f"the item that came back: {_LINE_MISSING}",),
        is_estimated=is_estimated,
        age_from="" if is_new else earlier(occurred_at, text(returned.info.get("returnDate")) or occurred_at),
    )


def _returns(order: Order) -> list[ReturnInfo]:
    return order.get("returnInfo") or []


def _items(info: ReturnInfo) -> Sequence[ReturnItem]:
    return info.get("items") or []


def _item_ids(info: ReturnInfo) -> str:
    return " ".join(sorted(item["id"] for item in _items(info)))


def _part(order: Order, item: ReturnItem) -> Part | None:
    return parts_of(order_lines(order), [(_line_id(item), item["quantity"])])[0]


def _line_id(item: ReturnItem) -> str:
    return item.get("lineItemId") or item.get("customLineItemId") or ""


def _item_fields(item: ReturnItem, part: Part | None, details: OrderDetails, settings: Settings) -> JsonObject:
    return {
        **(part.brief(details, settings) if part else {"Quantity": item["quantity"]}),
        **present(
            {
                "Comment": text(item.get("comment")),
                "ShipmentState": item.get("shipmentState"),
                "PaymentState": item.get("paymentState"),
            }
        ),
    }


def _item_contents(returns: Iterable[ReturnInfo]) -> Iterator[tuple[str, str]]:
    return ((_content(info, [item]), item["id"]) for info in returns for item in _items(info))


def _content(info: ReturnInfo, items: Iterable[ReturnItem]) -> str:
    """Content that identifies a return or one of its items, independent of the items' ids."""
    identities = [item.get("key") or [_line_id(item), item["quantity"]] for item in items]
    return json.dumps(
        [
            text(info.get("returnTrackingId")) or text(info.get("returnDate")),
            sorted(identities, key=json.dumps),
        ]
    )


def _event_ids(order: Order, contents: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of item ids and event id, for pairs of content and item ids.

    Equal contents are numbered, to get different event ids. Otherwise two returns of one shirt each, both without a
    tracking number or date, would count as one.
    """
    seen: Counter[str] = Counter()
    event_ids = []
    for content, item_ids in contents:
        number = [str(seen[content])] if seen[content] else []
        seen[content] += 1
        digest = hashlib.sha256("\n".join([order["id"], content, *number]).encode()).hexdigest()
        event_ids.append((item_ids, f"{order['id']}:{digest[:_DIGITS]}"))
    return event_ids
