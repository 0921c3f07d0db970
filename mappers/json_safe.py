"""Values that JSON can represent and Klaviyo accepts: finite, encodable, not too deep and not too long.

The check and the copy both stop at `MAX_LEVELS` levels, so a deeply nested document can't exhaust the stack.
"""

import math
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from core.wire import encoded, strictly_encoded
from mappers.mapped import JsonObject
from mappers.money import number

MAX_LEVELS = 10
"""Nested objects and arrays; the object that holds the properties is the first level. Source: Klaviyo, Events API."""
MAX_ENTRIES = 4000
"""Entries of an array."""
MAX_TEXT_BYTES = 100_000
"""Bytes of a string in UTF-8."""

_MAX_CUTS = 50
_MAX_PATH = 200
_ALWAYS_FITS = MAX_TEXT_BYTES // 4
"""Characters that always fit into a string: UTF-8 takes at most four bytes per character."""
_CONTAINERS = frozenset({dict, list, tuple})
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Cuts:
    """A list of what was cut, in order and without duplicates: paths and reasons, never values."""

    __slots__ = ("_cuts",)

    def __init__(self) -> None:
        self._cuts: dict[str, None] = {}

    def add(self, path: str, reason: str) -> None:
        """Add a cut. After 50 different ones, only add a note that there were more."""
        if len(self._cuts) < _MAX_CUTS:
            shown = path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"
            self._cuts[f"{encodable(shown)}: {reason}"] = None
        else:
            self._cuts["further cuts: not listed"] = None

    def listed(self) -> tuple[str, ...]:
        """The cuts, each as `path: reason`."""
        return tuple(self._cuts)


def json_safe(fields: Mapping[str, Any], cuts: Cuts) -> JsonObject:
    """Copy that holds nothing but JSON, within Klaviyo's limits for levels, entries and strings.

    Decimals become numbers, dates become ISO text. NaN, infinity, values of other types and what is nested too deeply
    are dropped. Strings and arrays that are too long are shortened. If nothing has to change, the copy shares its
    values with the original.
    """
    return _safe_object(fields, 1, "", cuts) if size_if_json_safe(fields) is None else dict(fields)


def size_if_json_safe(fields: Mapping[str, Any]) -> int | None:
    """Bytes of an object that `json_safe` would leave unchanged; None if it may need changes.

    Nearly all objects need none, and copying them value by value would be the most expensive part of mapping.
    """
    text = strictly_encoded(fields)
    return None if text is None or not _is_within_limits(fields, 1) else len(text)


class SizeCache:
    """Sizes of objects that share values, such as the events of one order. Each shared value is measured once."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, int], tuple[object, int | None]] = {}
        """Value and size by name and `id`. Holding the value keeps its `id` from being reused."""

    def size_if_json_safe(self, fields: Mapping[str, Any]) -> int | None:
        """Same as the function `size_if_json_safe`."""
        size = 1
        for name, value in fields.items():
            member = self._member_size(name, value)
            if member is None:
                return None
            # Measured alone, a field has two braces around it. Among others it has one comma instead.
            size += member - 1
        return size if fields else len("{}")

    def _member_size(self, name: str, value: object) -> int | None:
        if type(value) not in _CONTAINERS:
            return size_if_json_safe({name: value})
        key = (name, id(value))
        if key not in self._members:
            self._members[key] = (value, size_if_json_safe({name: value}))
        return self._members[key][1]


def _is_within_limits(container: Any, level: int) -> bool:
    """True if an object or array that orjson could encode needs no change.

    A quick check that may say False too often: it counts a string's characters, not its bytes, and refuses every tuple.
    """
    if level > MAX_LEVELS:
        return False
    values = container
    if type(container) is dict:
        values = container.values()
    elif type(container) is tuple or len(container) > MAX_ENTRIES:
        return False
    for value in values:
        kind = type(value)
        if kind is str:
            if len(value) > _ALWAYS_FITS:
                return False
        elif kind is float:
            if not math.isfinite(value):  # orjson encodes these as null
                return False
        elif kind in _CONTAINERS and not _is_within_limits(value, level + 1):
            return False
    return True


def encodable(text: str) -> str:
    """Text that UTF-8 can encode: an unpaired surrogate becomes the replacement character."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def wire_size(value: object) -> int:
    """Bytes of a value as JSON, as it is sent."""
    return len(encoded(value))


def depth(value: object) -> int:
    """Levels of objects and arrays in a value that `json_safe` returned: 0 for a string or number."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def without_levels_below(value: Any, levels: int) -> Any:
    """Copy of a value that `json_safe` returned, with only its first `levels` levels of objects and arrays."""
    if isinstance(value, dict):
        return {
            name: without_levels_below(child, levels - 1)
            for name, child in value.items()
            if levels > 1 or not isinstance(child, dict | list)
        }
    if isinstance(value, list):
        return [
            without_levels_below(child, levels - 1)
            for child in value
            if levels > 1 or not isinstance(child, dict | list)
        ]
    return value


_DROPPED = object()


def _safe(value: Any, level: int, path: str, cuts: Cuts) -> Any:
    """Safe copy of a value, or `_DROPPED`."""
    if isinstance(value, str):
        return _safe_text(value, path, cuts)
    if isinstance(value, Mapping | list | tuple):
        if level > MAX_LEVELS:
            return _dropped(path, "too deep", cuts)
        return (
            _safe_object(value, level, path, cuts)
            if isinstance(value, Mapping)
            else _safe_array(value, level, path, cuts)
        )
    return _safe_scalar(value, path, cuts)


def _safe_scalar(value: Any, path: str, cuts: Cuts) -> Any:
    if isinstance(value, Decimal):
        value = number(value) if value.is_finite() else math.nan
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return value.isoformat() if isinstance(value, date) else _dropped(path, "not JSON", cuts)


def _safe_object(fields: Mapping[Any, Any], level: int, path: str, cuts: Cuts) -> JsonObject:
    safe: JsonObject = {}
    for key, value in fields.items():
        name = encodable(key if isinstance(key, str) else str(key))
        kept = _safe(value, level + 1, f"{path}.{name}" if path else name, cuts)
        if kept is not _DROPPED:
            safe[name] = kept
    return safe


def _safe_array(values: list[Any] | tuple[Any, ...], level: int, path: str, cuts: Cuts) -> list[Any]:
    if len(values) > MAX_ENTRIES:
        cuts.add(path, f"more than {MAX_ENTRIES} entries")
        values = values[:MAX_ENTRIES]
    entry = f"{path}[]"
    return [kept for value in values if (kept := _safe(value, level + 1, entry, cuts)) is not _DROPPED]


def _safe_text(text: str, path: str, cuts: Cuts) -> str:
    text = encodable(text)
    raw = text.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return text
    cuts.add(path, "too long")
    return raw[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _dropped(path: str, reason: str, cuts: Cuts) -> object:
    cuts.add(path, reason)
    return _DROPPED
