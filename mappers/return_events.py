"""What comes back of an order: Requested Return for a return that was announced, Returned Order for each item.

A return has no id, and `setReturnInfo` gives its items new ones each time. So an event's id is made from the return's
content: the tracking number or the date, and the lines with their quantities, or the items' own keys.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.settings import Settings
from mappers.localized import text
from mappers.mapped import JsonObject, mapper
from mappers.order_documents import Order, ReturnInfo, ReturnItem
from mappers.order_events import Fact
from mappers.order_parts import Part, order_lines, parts_of, total
from mappers.order_properties import Known
from mappers.properties import present

ADVISED = "Advised"
RETURNED = "Returned"
CAME_BACK = frozenset({RETURNED, "BackInStock", "Unusable"})
"""An item is Returned before it is one of the others. Source: commercetools API, ReturnShipmentState."""

_GONE = "the order no longer has its line"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Returned:
    """An item of a return, its return, and the id of the event that tells of it."""

    item: ReturnItem
    info: ReturnInfo
    unique_id: str

    def in_state(self, state: str) -> "Returned":
        """The item as it was in that state."""
        return replace(self, item={**self.item, "shipmentState": state})


@mapper
def makes_event(told: Iterable[ReturnInfo], settings: Settings) -> bool:
    """Whether any of these returns has an item in a state whose metric is on."""
    states = {item.get("shipmentState") for info in told for item in _items(info)}
    metrics = settings.sync.metrics
    return bool((metrics.requested_return and ADVISED in states) or (metrics.returned_order and states & CAME_BACK))


@mapper
def return_facts(
    order: Order, told: Sequence[ReturnInfo], occurred_at: str, settings: Settings, *, is_news: bool
) -> list[Fact]:
    """Requested Return for each of these returns with advised items, Returned Order for each item that came back.

    `is_news`: all of them are new with the message, whatever date they have. Else there are old ones among them, as in
    a list that was replaced.
    """
    return [
        *requested_returns(order, told, occurred_at, settings, is_news=is_news),
        *(
            returned_order(order, one, occurred_at, settings, is_news=is_news)
            for one in returned_items(order, told)
            if one.item.get("shipmentState") in CAME_BACK and settings.sync.metrics.returned_order
        ),
    ]


@mapper
def requested_returns(
    order: Order, told: Sequence[ReturnInfo], occurred_at: str, settings: Settings, *, is_news: bool = False
) -> list[Fact]:
    """Requested Return for each of these returns that has items in the state Advised.

    It is unique by all that is in the return, also by what has come back by now. The age of one that is news counts
    from `occurred_at` where that is after the return's date.
    """
    metric = settings.sync.metrics.requested_return
    if not metric:
        return []
    ids = dict(_numbered(order, ((_content(info, _items(info)), _ids(info)) for info in _returns(order))))
    own = _numbered(order, ((_content(info, _items(info)), _ids(info)) for info in told))
    facts = []
    for info, (item_ids, unique_id) in zip(told, own, strict=True):
        advised = [item for item in _items(info) if item.get("shipmentState") == ADVISED]
        if advised:
            fact = _requested(order, info, advised, ids.get(item_ids, unique_id), occurred_at, settings)
            facts.append(replace(fact, age_from=max(fact.occurred_at, occurred_at)) if is_news else fact)
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
        lambda known: present(
            {
                "ReturnItems": [
                    _item_fields(item, part, known, settings) for item, part in zip(advised, parts, strict=True) if part
                ],
                "ReturnTrackingId": text(info.get("returnTrackingId")),
                "ReturnDate": text(info.get("returnDate")),
            }
        ),
        cuts=(f"ReturnItems[]: {_GONE}",) if None in parts else (),
    )


@mapper
def returned_items(order: Order, told: Sequence[ReturnInfo] | None = None) -> list[Returned]:
    """The items of these returns, by default of all that the order has."""
    told = _returns(order) if told is None else told
    every = [(info, item) for info in told for item in _items(info)]
    ids = dict(_numbered(order, _each_item(_returns(order))))
    own = _numbered(order, _each_item(told))
    return [
        Returned(item, info, ids.get(item_ids, unique_id))
        for (info, item), (item_ids, unique_id) in zip(every, own, strict=True)
    ]


@mapper
def returned_order(
    order: Order,
    returned: Returned,
    occurred_at: str,
    settings: Settings,
    *,
    is_estimated: bool = False,
    is_news: bool = False,
) -> Fact:
    """One item came back: unique by its return and by what it is.

    Unless it is news its age counts from the return's date, where that is before `occurred_at`.
    """
    item, part = returned.item, _part(order, returned.item)
    return Fact(
        settings.sync.metrics.returned_order,
        returned.unique_id,
        occurred_at,
        total([part] if part else []),
        lambda known: (
            _item_fields(item, part, known, settings)
            | present({"ReturnTrackingId": text(returned.info.get("returnTrackingId"))})
        ),
        cuts=() if part else (f"the item that came back: {_GONE}",),
        is_estimated=is_estimated,
        age_from="" if is_news else min(text(returned.info.get("returnDate")) or occurred_at, occurred_at),
    )


def _returns(order: Order) -> list[ReturnInfo]:
    return order.get("returnInfo") or []


def _items(info: ReturnInfo) -> Sequence[ReturnItem]:
    return info.get("items") or []


def _ids(info: ReturnInfo) -> str:
    return " ".join(sorted(item["id"] for item in _items(info)))


def _part(order: Order, item: ReturnItem) -> Part | None:
    return parts_of(order_lines(order), [(_line_id(item), item["quantity"])])[0]


def _line_id(item: ReturnItem) -> str:
    return item.get("lineItemId") or item.get("customLineItemId") or ""


def _item_fields(item: ReturnItem, part: Part | None, known: Known, settings: Settings) -> JsonObject:
    return {
        **(part.brief(known, settings) if part else {"Quantity": item["quantity"]}),
        **present(
            {
                "Comment": text(item.get("comment")),
                "ShipmentState": item.get("shipmentState"),
                "PaymentState": item.get("paymentState"),
            }
        ),
    }


def _each_item(told: Iterable[ReturnInfo]) -> Iterator[tuple[str, str]]:
    return ((_content(info, [item]), item["id"]) for info in told for item in _items(info))


def _content(info: ReturnInfo, items: Iterable[ReturnItem]) -> str:
    """What a return, or an item of it, is known by, whatever ids its items have."""
    known_by = [item.get("key") or [_line_id(item), item["quantity"]] for item in items]
    return json.dumps(
        [
            text(info.get("returnTrackingId")) or text(info.get("returnDate")),
            sorted(known_by, key=json.dumps),
        ]
    )


def _numbered(order: Order, contents: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The items' ids and the event's id for each content.

    Of equal ones, such as one shirt on Monday and another on Friday, the second is another return than the first.
    """
    seen: Counter[str] = Counter()
    found = []
    for content, ids in contents:
        nth = [str(seen[content])] if seen[content] else []
        seen[content] += 1
        digest = hashlib.sha256("\n".join([order["id"], content, *nth]).encode()).hexdigest()
        found.append((ids, f"{order['id']}:{digest[:_DIGITS]}"))
    return found
