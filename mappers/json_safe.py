"""Values as JSON can hold them and Klaviyo takes them: finite, encodable, not too deep, not too long.

Both steps go down at most `MAX_LEVELS` levels, so that no document is deep enough to exhaust the stack.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from core.wire import encoded, strictly_encoded
from mappers.mapped import JsonObject
from mappers.money import number

MAX_LEVELS = 10
"""Levels of objects and arrays, the properties themselves being the first. Source: Klaviyo, Events API."""
MAX_ENTRIES = 4000
"""Entries of an array."""
MAX_TEXT_BYTES = 100_000
"""Bytes of one string, in UTF-8."""

_MAX_CUTS = 50
_MAX_PATH = 200
_SURELY_FITS = MAX_TEXT_BYTES // 4
"""Characters: one takes four bytes at most."""
_CONTAINERS = frozenset({dict, list, tuple})
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Cuts:
    """What was cut, in order and without doubles; paths and reasons, never values."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, path: str, why: str) -> None:
        """Note a cut; after fifty different ones only that there were more."""
        if len(self._said) < _MAX_CUTS:
            shown = path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"
            self._said[f"{encodable(shown)}: {why}"] = None
        else:
            self._said["more: not listed"] = None

    def listed(self) -> tuple[str, ...]:
        """Everything that was noted."""
        return tuple(self._said)


def json_safe(fields: Mapping[str, Any], cuts: Cuts) -> JsonObject:
    """Copy that holds JSON only, within Klaviyo's limits for levels, entries and strings.

    Decimals become numbers; what is no JSON (NaN, infinity, other types) is left out, strings and arrays are shortened.
    The copy shares the objects and arrays that are fine as they are.
    """
    return _safe_object(fields, 1, "", cuts) if sound_size(fields) is None else dict(fields)


def sound_size(fields: Mapping[str, Any]) -> int | None:
    """Bytes of an object that surely is what `json_safe` would make of it; None where it takes a closer look.

    Nearly all are sound, and looking at each value would be most of the work.
    """
    text = strictly_encoded(fields)
    # What is short as a whole has no long strings, and few commas are between few entries. A null may have been NaN.
    if text is None or len(text) > MAX_TEXT_BYTES or text.count(b",") >= MAX_ENTRIES or b"null" in text:
        return None
    containers: list[Any] = [fields]
    for _ in range(MAX_LEVELS):
        containers = [
            child
            for container in containers
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
        if not containers:
            return len(text)
        if tuple in map(type, containers):
            return None
    return None


def encodable(text: str) -> str:
    """Text that can be encoded: half of a surrogate pair becomes the replacement character."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def wire_size(value: object) -> int:
    """Bytes of a value as it is sent."""
    return len(encoded(value))


def depth(value: object) -> int:
    """Levels of objects and arrays in a value that has passed `json_safe`: 0 for a string or number."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def without_levels_below(value: Any, levels: int) -> Any:
    """Copy of a value that has passed `json_safe`, without the objects and arrays below so many levels."""
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


def _is_safe(value: dict[Any, Any] | list[Any], level: int) -> bool:
    """Whether an object or array can stay as it is. Nearly all can, and copying them would be most of the work."""
    if level > MAX_LEVELS or (len(value) > MAX_ENTRIES and isinstance(value, list)):
        return False
    children: Iterable[Any] = value
    if isinstance(value, dict):
        if not _are_plain(value):
            return False
        children = value.values()
    for child in children:
        kind = type(child)
        if kind is str:
            if len(child) > _SURELY_FITS or not (child.isascii() or _SURROGATE.search(child) is None):
                return False
        elif kind is dict or kind is list:
            if not _is_safe(child, level + 1):
                return False
        elif not (kind is int or kind is bool or child is None or (kind is float and math.isfinite(child))):
            return False
    return True


def _are_plain(names: Iterable[Any]) -> bool:
    """Whether all names are ASCII text, as one look at all of them together tells."""
    try:
        return "".join(names).isascii()
    except TypeError:
        return False


_NOTHING = object()


def _safe(value: Any, level: int, path: str, cuts: Cuts) -> Any:
    """Safe copy of a value, or `_NOTHING` where it has to be left out."""
    if isinstance(value, str):
        return _safe_text(value, path, cuts)
    if isinstance(value, Mapping | list | tuple):
        if level > MAX_LEVELS:
            return _left_out(path, "too deep", cuts)
        if isinstance(value, dict | list) and _is_safe(value, level):
            return value
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
    return value.isoformat() if isinstance(value, date) else _left_out(path, "not JSON", cuts)


def _safe_object(fields: Mapping[Any, Any], level: int, path: str, cuts: Cuts) -> JsonObject:
    safe: JsonObject = {}
    for key, value in fields.items():
        name = encodable(key if isinstance(key, str) else str(key))
        if type(value) is int or value is None:
            safe[name] = value
            continue
        kept = _safe(value, level + 1, f"{path}.{name}" if path else name, cuts)
        if kept is not _NOTHING:
            safe[name] = kept
    return safe


def _safe_array(values: list[Any] | tuple[Any, ...], level: int, path: str, cuts: Cuts) -> list[Any]:
    if len(values) > MAX_ENTRIES:
        cuts.add(path, f"more than {MAX_ENTRIES} entries")
        values = values[:MAX_ENTRIES]
    entry = f"{path}[]"
    return [kept for value in values if (kept := _safe(value, level + 1, entry, cuts)) is not _NOTHING]


def _safe_text(text: str, path: str, cuts: Cuts) -> str:
    text = encodable(text)
    if len(text) <= _SURELY_FITS:
        return text
    raw = text.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return text
    cuts.add(path, "too long")
    return raw[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _left_out(path: str, why: str, cuts: Cuts) -> object:
    cuts.add(path, why)
    return _NOTHING
