"""Klaviyo's lists: filters, cursors, sparse fields."""

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload
from urllib.parse import urlencode

from sandbox.klaviyo_errors import Refused
from sandbox.messages import Request

_CALL = re.compile(r"\s*([a-z-]+)\(\s*([A-Za-z_.]+)\s*,\s*")
_decoder = json.JSONDecoder()

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter condition such as `any(ids,["a","b"])`."""

    operator: str
    field: str
    value: Any


def filters(request: Request, allowed: Mapping[str, tuple[str, ...]]) -> list[Filter]:
    """The conditions in `filter`. `allowed` holds the operators by field; any other raises Refused."""
    text = request.query.get("filter", [""])[-1].strip()
    found: list[Filter] = []
    while text:
        call = _CALL.match(text)
        if not call:
            raise _bad_filter(f"'{text}' is not a filter.")
        try:
            value, end = _decoder.raw_decode(text, call.end())
        except ValueError as error:
            raise _bad_filter(f"'{text[call.end() :]}' is not a value.") from error
        rest = text[end:].lstrip()
        if not rest.startswith(")"):
            raise _bad_filter("A closing parenthesis is missing.")
        text = rest[1:].lstrip()
        if text:
            if not text.startswith(","):
                raise _bad_filter("Filters must be joined by a comma.")
            text = text[1:]
        condition = Filter(call[1], call[2], value)
        if condition.operator not in allowed.get(condition.field, ()):
            raise _bad_filter(f"'{condition.operator}' is not allowed for '{condition.field}'.")
        if (condition.operator == "any") is not isinstance(value, list):
            raise _bad_filter(f"'{condition.operator}' does not take this value.")
        found.append(condition)
    return found


def _bad_filter(detail: str) -> Refused:
    return Refused(400, f"Invalid filter provided: {detail}", parameter="filter")


@dataclass(frozen=True, slots=True)
class Row:
    """A list entry: its position, which never changes, and how to render it."""

    position: int
    show: Callable[[], dict[str, Any]]


class Rows(Sequence[Row], Generic[Record]):
    """Rows built lazily from records, so that a page of a long list builds only a few."""

    def __init__(self, records: Sequence[Record], row: Callable[[Record], Row]) -> None:
        self._records = records
        self._row = row

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        return (
            [self._row(record) for record in self._records[at]]
            if isinstance(at, slice)
            else self._row(self._records[at])
        )


def page(
    request: Request, rows: Sequence[Row], *, default: int, largest: int, descending: bool = False
) -> dict[str, Any]:
    """One page of `rows`, which are sorted by position (`descending`: in reverse). Raises Refused."""
    size = _size(request, default, largest)
    cursor = request.query.get("page[cursor]", [""])[-1]
    start = 0
    if cursor:
        after = _cursor_position(cursor)
        sign = -1 if descending else 1
        start = bisect_right(rows, sign * after, key=lambda row: sign * row.position)
    shown = rows[start : start + size]
    more = start + size < len(rows)
    query = [(name, value) for name, values in request.query.items() if name != "page[cursor]" for value in values]
    address = request.origin + request.target.partition("?")[0]

    def link(extra: list[tuple[str, str]]) -> str:
        parameters = urlencode(query + extra)
        return f"{address}?{parameters}" if parameters else address

    following = link([("page[cursor]", _cursor(shown[-1].position))]) if more else None
    current = link([("page[cursor]", cursor)] if cursor else [])
    return {
        "data": [row.show() for row in shown],
        "links": {"self": current, "next": following, "prev": None},
    }


def _size(request: Request, default: int, largest: int) -> int:
    text = request.query.get("page[size]", [str(default)])[-1]
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise Refused(400, f"Page size must be an integer between 1 and {largest}.", parameter="page[size]")
    return int(text)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"next::place::{position}".encode()).decode()


def _cursor_position(cursor: str) -> int:
    try:
        head, _, position = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().rpartition("::")
        if head == "next::place":
            return int(position)
    except ValueError:
        pass
    raise Refused(400, "Invalid cursor.", parameter="page[cursor]")


def sparse_fields(request: Request, kind: str, known: Sequence[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that reduces a resource to `fields[<kind>]`. Raises Refused for unknown fields."""
    parameter = f"fields[{kind}]"
    if parameter not in request.query:
        return lambda resource: resource
    wanted = request.query[parameter][-1].split(",")
    unknown = [name for name in wanted if name.split(".")[0] not in known]
    if unknown:
        raise Refused(400, f"'{unknown[0]}' is not a field of '{kind}'.", parameter=parameter)

    def select(resource: dict[str, Any]) -> dict[str, Any]:
        attributes = resource["attributes"]
        return {**resource, "attributes": {name: attributes[name] for name in wanted if name in attributes}}

    return select


def matches(condition: Filter, value: Any) -> bool:
    """True if a value meets a condition."""
    match condition.operator:
        case "any":
            return value in condition.value
        case "equals":
            wanted = condition.value
            if isinstance(value, list):
                return wanted in value
            return bool(value == wanted) and isinstance(value, bool) is isinstance(wanted, bool)
        case "contains":
            return isinstance(value, str) and str(condition.value) in value
    return False
