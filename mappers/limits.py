"""Klaviyo's limits for events, profiles and custom metadata; what exceeds them is cut the same way every time.

Sources: Klaviyo, Events API, Profiles API and Catalogs API. Sizes are counted as they are sent.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from mappers.json_safe import Cuts, SharedSizes, depth, json_safe, sound_size, wire_size, without_levels_below
from mappers.mapped import JsonObject

MAX_PROPERTIES = 400
"""Properties of one event."""
MAX_EVENT_BYTES = 4_500_000
"""Bytes for the properties of an event: 5 MB less what its profile (100 KB at most) and frame may take."""
MAX_PROFILE_BYTES = 99_000
"""Bytes for the attributes of a profile: 100 KB less the frame around them."""
MAX_METADATA_BYTES = 100_000
"""Bytes of `custom_metadata`."""

_IDENTIFIERS = ("external_id", "email", "phone_number")


def fit_event_properties(
    properties: Mapping[str, Any], protected: Collection[str], shared: SharedSizes | None = None
) -> tuple[JsonObject, tuple[str, ...]]:
    """Properties that Klaviyo takes, and what was cut of them.

    Levels, entries and strings are held to their limits everywhere. When there are too many properties, or too many
    bytes, the raw ones are cut, the deepest first; the protected ones are shortened only when nothing else is left.
    `shared` holds the sizes of values that other events have too.
    """
    size = shared.of(properties) if shared else sound_size(properties)
    if size is not None and size <= MAX_EVENT_BYTES and len(properties) <= MAX_PROPERTIES:
        return dict(properties), ()
    cuts = Cuts()
    safe = json_safe(properties, cuts)
    _cut_count(safe, protected, cuts)
    if wire_size(safe) > MAX_EVENT_BYTES:
        sizes = {name: wire_size({name: value}) for name, value in safe.items()}
        _cut_levels(safe, sizes, protected, cuts)
        _shorten(safe, sizes, MAX_EVENT_BYTES, cuts)
    return safe, cuts.listed()


def fit_profile(attributes: Mapping[str, Any]) -> tuple[JsonObject, tuple[str, ...]]:
    """Profile attributes that Klaviyo takes, and what was cut: the largest properties first, identifiers never."""
    size = sound_size(attributes)
    if size is not None and size <= MAX_PROFILE_BYTES:
        return dict(attributes), ()
    cuts = Cuts()
    safe = json_safe(attributes, cuts)
    excess = wire_size(safe) - MAX_PROFILE_BYTES
    if excess > 0:
        properties = safe["properties"] = dict(safe.get("properties") or {})
        excess -= _drop_largest(properties, excess, "properties.", cuts)
        if not properties:
            safe.pop("properties", None)
    if excess > 0:
        sizes = {name: wire_size({name: value}) for name, value in safe.items() if name not in _IDENTIFIERS}
        _shorten(safe, sizes, max(sum(sizes.values()) - excess, 0), cuts)
    return safe, cuts.listed()


def fit_metadata(metadata: Mapping[str, Any]) -> tuple[JsonObject, tuple[str, ...]]:
    """`custom_metadata` that Klaviyo takes, and what was cut: nested values become JSON text, the largest go first."""
    if _surely_fits(metadata):
        return dict(metadata), ()
    cuts = Cuts()
    flat = {
        name: json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in json_safe(metadata, cuts).items()
    }
    if not _surely_fits(flat):
        _drop_largest(flat, wire_size(flat) - MAX_METADATA_BYTES, "custom_metadata.", cuts)
    return flat, cuts.listed()


def _surely_fits(flat: Mapping[str, Any]) -> bool:
    """Whether texts are so short that their size need not be counted: a character takes six bytes at most."""
    return all(isinstance(value, str) and value.isascii() for value in flat.values()) and (
        sum(len(name) + len(value) + 2 for name, value in flat.items()) < MAX_METADATA_BYTES // 6
    )


def _cut_count(properties: JsonObject, protected: Collection[str], cuts: Cuts) -> None:
    """Hold the number of properties to its limit: the deepest go first, of equal ones the last."""
    excess = len(properties) - MAX_PROPERTIES
    if excess <= 0:
        return
    raw = [name for name in properties if name not in protected]
    for name in sorted(raw, key=lambda name: depth(properties[name]))[-excess:]:
        del properties[name]
        cuts.add(name, f"more than {MAX_PROPERTIES} properties")


def _cut_levels(properties: JsonObject, sizes: dict[str, int], protected: Collection[str], cuts: Cuts) -> None:
    """Take the deepest level off the largest raw property, again and again, until all of them fit or none is left.

    Every step is worth one pass over one property, and a property has at most ten: the whole stays linear.
    """
    total = sum(sizes.values())
    raw = {name: sizes[name] for name in properties if name not in protected}
    while raw and total > MAX_EVENT_BYTES:
        name = max(raw, key=lambda name: (raw[name], name))
        levels = depth(properties[name]) - 1
        if levels > 0:
            properties[name] = without_levels_below(properties[name], levels)
            size = wire_size({name: properties[name]})
            cuts.add(name, f"cut to {levels} levels, the event is too large")
        else:
            del properties[name], sizes[name]
            size = 0
            cuts.add(name, "left out, the event is too large")
        total -= raw[name] - size
        if size:
            raw[name] = sizes[name] = size
        else:
            del raw[name]


def _shorten(fields: JsonObject, sizes: dict[str, int], limit: int, cuts: Cuts) -> None:
    """Shorten the largest of these fields until they fit: lists and texts at the end, objects by a member."""
    total = sum(sizes.values())
    while total > limit and sizes:
        name = max(sizes, key=lambda name: (sizes[name], name))
        fields[name] = _shorter(fields[name], sizes[name], max(sizes[name] - (total - limit), 0))
        cuts.add(name, "shortened, there is not enough room")
        if fields[name]:
            size = wire_size({name: fields[name]})
            total -= sizes[name] - size
            sizes[name] = size
        else:
            del fields[name]
            total -= sizes.pop(name)


def _shorter(value: Any, size: int, wanted: int) -> Any:
    """List, text or object shorter by at least one entry, to about the wanted bytes; nothing of any other value."""
    if isinstance(value, str | list):
        return value[: min(len(value) - 1, len(value) * wanted // size)] if value else None
    if isinstance(value, dict) and value:
        largest = max(value, key=lambda name: (wire_size(value[name]), name))
        return {name: member for name, member in value.items() if name != largest}
    return None


def _drop_largest(fields: JsonObject, excess: int, prefix: str, cuts: Cuts) -> int:
    """Take the largest fields away until that many bytes are gone; how many were."""
    dropped = 0
    if excess <= 0:
        return dropped
    for size, name in sorted(((wire_size({name: value}), name) for name, value in fields.items()), reverse=True):
        if dropped >= excess:
            break
        del fields[name]
        # An object of one field has braces around it; within the others it has a comma after it.
        dropped += size - 1
        cuts.add(f"{prefix}{name}", "left out, there is not enough room")
    return dropped
