"""Values as JSON can hold them and Klaviyo takes them: finite, encodable, not too deep, not too long.

Both steps go down at most `MAX_LEVELS` levels, so that no document is deep enough to exhaust the stack.
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
    The copy of a sound object shares its values.
    """
    return _safe_object(fields, 1, "", cuts) if sound_size(fields) is None else dict(fields)


def sound_size(fields: Mapping[str, Any]) -> int | None:
    """Bytes of an object that `json_safe` would not change; None if it has to look at each value.

    Nearly all objects are sound, and copying them value by value would be most of the work.
    """
    text = strictly_encoded(fields)
    return None if text is None or not _is_sound(fields, 1) else len(text)


class SharedSizes:
    """`sound_size` of objects that share values, such as the events of one order: each shared value is counted once."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, int], tuple[object, int | None]] = {}
        """By name and identity; the value is kept, so that no other can get its identity."""

    def of(self, fields: Mapping[str, Any]) -> int | None:
        """The same as `sound_size`."""
        size = 1
        for name, value in fields.items():
            member = self._member(name, value)
            if member is None:
                return None
            # An object of one field has braces around it; within the others it has a comma after it.
            size += member - 1
        return size if fields else len("{}")

    def _member(self, name: str, value: object) -> int | None:
        if type(value) not in _CONTAINERS:
            return sound_size({name: value})
        key = (name, id(value))
        if key not in self._members:
            self._members[key] = (value, sound_size({name: value}))
        return self._members[key][1]


def _is_sound(container: Any, level: int) -> bool:
    """Whether an object or array that was encoded without complaint is within the limits, and as JSON has it."""
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
            if len(value) > _SURELY_FITS:
                return False
        elif kind is float:
            if not math.isfinite(value):  # it was encoded as null
                return False
        elif kind in _CONTAINERS and not _is_sound(value, level + 1):
            return False
    return True


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


_NOTHING = object()


def _safe(value: Any, level: int, path: str, cuts: Cuts) -> Any:
    """Safe copy of a value, or `_NOTHING` where it has to be left out."""
    if isinstance(value, str):
        return _safe_text(value, path, cuts)
    if isinstance(value, Mapping | list | tuple):
        if level > MAX_LEVELS:
            return _left_out(path, "too deep", cuts)
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
    raw = text.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return text
    cuts.add(path, "too long")
    return raw[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _left_out(path: str, why: str, cuts: Cuts) -> object:
    cuts.add(path, why)
    return _NOTHING
