"""Build predicates for commercetools' queries."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from core.rules import PriceRules

IDS_PER_QUERY = 100
PREDICATE_CHARACTERS = 6_000
"""Maximum length of one `in (...)` list, as commercetools answers 414 to a URL that is too long."""


def literal(value: Any) -> str:
    """A string literal of a predicate. It is escaped as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def any_of(values: Iterable[str]) -> str:
    """A list of string literals, for `in`."""
    return f"({','.join(map(literal, values))})"


def chunks(values: Iterable[str], characters: int = PREDICATE_CHARACTERS) -> Iterator[list[str]]:
    """Split values into lists that fit into one predicate each. Duplicates are dropped."""
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
    """Predicate for the standalone prices that `mappers.price.may_be_shown` may accept.

    They may have any currency and country, as the price tables contain all of them.
    """
    moment = literal(now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    return " and ".join(
        (
            "not(active=false)",
            _is_unset_or("channel", rules.channel),
            _is_unset_or("customerGroup", rules.customer_group),
            f"(validFrom is not defined or validFrom <= {moment})",
            f"(validUntil is not defined or validUntil > {moment})",
        )
    )


def _is_unset_or(field: str, own_id: str) -> str:
    """Predicate for prices without this field, or also with this id in it if one is given."""
    missing = f"{field} is not defined"
    return f"({missing} or {field}(id={literal(own_id)}))" if own_id else missing
