"""Compare an item or variant in Klaviyo with what we would write."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mappers.mapped import JsonObject


def has_differences(attributes: Mapping[str, Any], existing: Mapping[str, Any], own_keys: Collection[str]) -> bool:
    """True if Klaviyo's item or variant differs in an attribute that we send. See `differing_fields`."""
    return next(differing_fields(attributes, existing, own_keys), None) is not None


def differing_fields(
    attributes: Mapping[str, Any], existing: Mapping[str, Any], own_keys: Collection[str]
) -> Iterator[str]:
    """Names of the attributes that we send and in which Klaviyo's item or variant differs.

    Numbers are compared by value. `custom_metadata` is compared key by key, as `custom_metadata.<key>`. Its tables are
    compared as parsed JSON. Null counts as absent. A key of `own_keys`, the metadata keys that belong to us, also
    differs if Klaviyo has it and we no longer send it.
    """
    for name, value in attributes.items():
        if name == "custom_metadata":
            yield from (f"{name}.{key}" for key in _differing_keys(value or {}, existing.get(name), own_keys))
        elif value != existing.get(name):
            yield name


def with_stale_keys_cleared(
    attributes: JsonObject, existing: Mapping[str, Any], own_keys: Collection[str]
) -> JsonObject:
    """Attributes for an update, with null for each of our metadata keys that Klaviyo has and we no longer send.

    Klaviyo does not document whether an update replaces the metadata or merges it; null works either way. If it is
    unknown what Klaviyo has (`existing` has no `custom_metadata`), all of `own_keys` that we don't send become null.
    """
    if "custom_metadata" not in attributes:
        return attributes
    ours, theirs = attributes["custom_metadata"] or {}, existing.get("custom_metadata")
    known = theirs if isinstance(theirs, dict) else dict.fromkeys(() if "custom_metadata" in existing else own_keys, "")
    stale = {key: None for key in sorted(own_keys) if key not in ours and known.get(key) is not None}
    return {**attributes, "custom_metadata": {**ours, **stale}} if stale else attributes


def _differing_keys(ours: Mapping[str, Any], existing: object, own_keys: Collection[str]) -> Iterator[str]:
    theirs = existing if isinstance(existing, dict) else {}
    yield from (key for key in sorted(own_keys) if key not in ours and theirs.get(key) is not None)
    for key, value in ours.items():
        if value != theirs.get(key) and _parsed(value) != _parsed(theirs.get(key)):
            yield key


def _parsed(table: object) -> object:
    if not isinstance(table, str):
        return table
    try:
        return json.loads(table)
    except ValueError:
        return table
