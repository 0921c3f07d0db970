"""Cut events, profiles and custom metadata down to Klaviyo's size limits.

A body within its limits is returned as it is. Otherwise `json_safe` first enforces the limits on each single value, at
any depth: it drops what is not JSON and what is nested more than 10 levels deep, and shortens arrays to 4,000 entries
and strings to 100 KB. If the body as a whole still exceeds a limit, it is cut further, step by step until it fits:

Event properties: at most 400, and at most 4.5 MB together
    1. More than 400: drop raw properties, the most deeply nested first.
    2. More than 4.5 MB: strip the deepest level of nesting from the largest raw property. Repeat. Drop a raw property
       that has no level left to strip.
    3. Still more than 4.5 MB: by now only protected properties are left. Shorten the largest one. Repeat. Drop it once
       nothing of it is left.

    Raw properties are the order's own commercetools fields. Protected ones are Klaviyo's schema fields (`OrderId`,
    `Items` and so on), which templates and segments rely on, so they are cut last. There are far fewer than 400 of
    them: step 1 never drops one.

Profile attributes: at most 99 KB
    1. Drop custom properties, the largest first.
    2. No custom property is left: shorten the largest of the other attributes. Repeat.

    The identifiers (external id, e-mail, phone number) are never cut in these steps.

Custom metadata: at most 100 KB
    1. Turn nested values into JSON text, whatever their size: Klaviyo takes a flat object here.
    2. More than 100 KB: drop the largest entries.

The result depends on nothing but the input, so a redelivered message yields the same body. Every cut is reported as
"path: reason", never with the value. Sizes are bytes of UTF-8 JSON, which is what is sent. Nothing here raises: Klaviyo
refuses a body that is still too large, such as identifiers of more than 99 KB.

Sources: Klaviyo, Events API, Profiles API and Catalogs API.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from mappers.json_safe import Cuts, SizeCache, depth, json_safe, size_if_json_safe, wire_size, without_levels_below
from mappers.mapped import JsonObject

MAX_PROPERTIES = 400
"""Properties per event."""
MAX_EVENT_BYTES = 4_500_000
"""Bytes of an event's properties: Klaviyo's 5 MB, minus a margin for profile (up to 100 KB) and other attributes."""
MAX_PROFILE_BYTES = 99_000
"""Bytes of a profile's attributes: 100 KB, minus room for the JSON around them."""
MAX_METADATA_BYTES = 100_000
"""Bytes of `custom_metadata`."""

_IDENTIFIERS = ("external_id", "email", "phone_number")


def fit_event_properties(
    properties: Mapping[str, Any], protected: Collection[str], size_cache: SizeCache | None = None
) -> tuple[JsonObject, tuple[str, ...]]:
    """Event properties within Klaviyo's limits, and a list of what was cut.

    `protected` names the properties to cut last; all others are raw. Pass a `size_cache` when several events share
    values, so that each value is measured only once.
    """
    size = size_cache.size_if_json_safe(properties) if size_cache else size_if_json_safe(properties)
    if size is not None and size <= MAX_EVENT_BYTES and len(properties) <= MAX_PROPERTIES:
        return dict(properties), ()
    cuts = Cuts()
    safe = json_safe(properties, cuts)
    _limit_count(safe, protected, cuts)
    if wire_size(safe) > MAX_EVENT_BYTES:
        sizes = {name: wire_size({name: value}) for name, value in safe.items()}
        _strip_levels(safe, sizes, protected, cuts)
        _shorten_largest(safe, sizes, MAX_EVENT_BYTES, cuts)
    return safe, cuts.listed()


def fit_profile(attributes: Mapping[str, Any]) -> tuple[JsonObject, tuple[str, ...]]:
    """Profile attributes within Klaviyo's limit, and a list of what was cut."""
    size = size_if_json_safe(attributes)
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
        allowed = max(sum(sizes.values()) - excess, 0)  # for all attributes but the identifiers
        _shorten_largest(safe, sizes, allowed, cuts)
    return safe, cuts.listed()


def fit_metadata(metadata: Mapping[str, Any]) -> tuple[JsonObject, tuple[str, ...]]:
    """`custom_metadata` within Klaviyo's limit, and a list of what was cut. Nested values become JSON text."""
    if _certainly_fits(metadata):
        return dict(metadata), ()
    cuts = Cuts()
    flat = {
        name: json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in json_safe(metadata, cuts).items()
    }
    if not _certainly_fits(flat):
        _drop_largest(flat, wire_size(flat) - MAX_METADATA_BYTES, "custom_metadata.", cuts)
    return flat, cuts.listed()


def _certainly_fits(metadata: Mapping[str, Any]) -> bool:
    """True if all values are ASCII text, and fit even at six bytes per character, the most that JSON needs."""
    return all(isinstance(value, str) and value.isascii() for value in metadata.values()) and (
        sum(len(name) + len(value) + 2 for name, value in metadata.items()) < MAX_METADATA_BYTES // 6
    )


def _limit_count(properties: JsonObject, protected: Collection[str], cuts: Cuts) -> None:
    """Drop raw properties until 400 properties are left: the most nested first, and of equally nested ones the last."""
    excess = len(properties) - MAX_PROPERTIES
    if excess <= 0:
        return
    raw = [name for name in properties if name not in protected]
    raw.sort(key=lambda name: depth(properties[name]))
    for name in raw[-excess:]:
        del properties[name]
        cuts.add(name, f"more than {MAX_PROPERTIES} properties")


def _strip_levels(properties: JsonObject, sizes: dict[str, int], protected: Collection[str], cuts: Cuts) -> None:
    """Strip the deepest level off the largest raw property, until all properties fit or no raw one is left.

    A text, a number, or a list or object without nesting is dropped. `sizes` is kept up to date. Each step processes
    one property, and a property has at most ten levels, so the cost stays linear in the size of the event.
    """
    total = sum(sizes.values())
    raw = {name: sizes[name] for name in properties if name not in protected}
    while raw and total > MAX_EVENT_BYTES:
        name = max(raw, key=lambda name: (raw[name], name))
        levels = depth(properties[name]) - 1
        if levels > 0:
            properties[name] = without_levels_below(properties[name], levels)
            size = wire_size({name: properties[name]})
            total -= raw[name] - size
            raw[name] = sizes[name] = size
            cuts.add(name, f"cut to {levels} levels, the event is too large")
        else:
            del properties[name], sizes[name]
            total -= raw.pop(name)
            cuts.add(name, "left out, the event is too large")


def _shorten_largest(fields: JsonObject, sizes: dict[str, int], limit: int, cuts: Cuts) -> None:
    """Shorten the largest field named in `sizes`, until their total is within `limit` bytes.

    A field of which nothing is left, or which can't be shortened (a number), is dropped.
    """
    total = sum(sizes.values())
    while total > limit and sizes:
        name = max(sizes, key=lambda name: (sizes[name], name))
        fields[name] = _shortened(fields[name], sizes[name], max(sizes[name] - (total - limit), 0))
        cuts.add(name, "shortened, over the size limit")
        if fields[name]:
            size = wire_size({name: fields[name]})
            total -= sizes[name] - size
            sizes[name] = size
        else:
            del fields[name]
            total -= sizes.pop(name)


def _shortened(value: Any, size: int, target_size: int) -> Any:
    """Text or list cut at the end to about `target_size` bytes, or object without its largest member.

    Always shorter than before. None if the value can't be shortened.
    """
    if isinstance(value, str | list):
        return value[: min(len(value) - 1, len(value) * target_size // size)] if value else None
    if isinstance(value, dict) and value:
        largest = max(value, key=lambda name: (wire_size(value[name]), name))
        return {name: member for name, member in value.items() if name != largest}
    return None


def _drop_largest(fields: JsonObject, excess: int, path_prefix: str, cuts: Cuts) -> int:
    """Drop the largest fields until at least `excess` bytes are saved. Return the number of bytes saved."""
    saved = 0
    if excess <= 0:
        return saved
    for size, name in sorted(((wire_size({name: value}), name) for name, value in fields.items()), reverse=True):
        if saved >= excess:
            break
        del fields[name]
        # Measured alone, a field has two braces around it. Among others it has one comma instead.
        saved += size - 1
        cuts.add(f"{path_prefix}{name}", "left out, over the size limit")
    return saved
