"""Predicates of commercetools' queries."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from core.rules import PriceRules

IDS_PER_QUERY = 100
PREDICATE_CHARACTERS = 6_000
"""Of one `in (...)` list: an over-long URL is refused with 414."""


def literal(value: Any) -> str:
    """A text literal of a predicate; its escapes are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def any_of(values: Iterable[str]) -> str:
    """A list of texts in a predicate, for `in`."""
    return f"({','.join(map(literal, values))})"


def chunks(values: Iterable[str], characters: int = PREDICATE_CHARACTERS) -> Iterator[list[str]]:
    """Lists that fit into one predicate."""
    chunk: list[str] = []
    size = 0
    for value in dict.fromkeys(values):
        length = len(quote(literal(value))) + 3
        if chunk and (len(chunk) == IDS_PER_QUERY or size + length > characters):
            yield chunk
            chunk, size = [], 0
        chunk.append(value)
        size += length
    if chunk:
        yield chunk


def shown_prices(rules: PriceRules, now: datetime) -> str:
    """The standalone prices that `mappers.price.may_be_shown` may let through.

    In any currency and country, as the price tables hold them all.
    """
    moment = literal(now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    return " and ".join(
        (
            "not(active=false)",
            _for_all_or("channel", rules.channel),
            _for_all_or("customerGroup", rules.customer_group),
            f"(validFrom is not defined or validFrom <= {moment})",
            f"(validUntil is not defined or validUntil > {moment})",
        )
    )


def _for_all_or(field: str, own_id: str) -> str:
    """Prices that name none of this kind, or the one with this id, if it is given."""
    missing = f"{field} is not defined"
    return f"({missing} or {field}(id={literal(own_id)}))" if own_id else missing
