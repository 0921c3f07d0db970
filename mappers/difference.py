"""Whether what Klaviyo has of an item or a variant is what we would write."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mappers.mapped import JsonObject


def differs(attributes: Mapping[str, Any], existing: Mapping[str, Any], own: Collection[str]) -> bool:
    """Whether Klaviyo's item or variant differs from ours in an attribute we send: see `differing`."""
    return next(differing(attributes, existing, own), None) is not None


def differing(attributes: Mapping[str, Any], existing: Mapping[str, Any], own: Collection[str]) -> Iterator[str]:
    """Names of the attributes we send in which Klaviyo's item or variant differs; `custom_metadata.<key>` of a key.

    Numbers are compared by value, `custom_metadata` key by key, tables as the JSON they hold, and null counts as
    absent. Of the `own` keys of `custom_metadata` one that is there and no longer sent is a difference.
    """
    for name, value in attributes.items():
        if name == "custom_metadata":
            yield from (f"{name}.{key}" for key in _metadata_differing(value or {}, existing.get(name), own))
        elif value != existing.get(name):
            yield name


def clearing(attributes: JsonObject, existing: Mapping[str, Any], own: Collection[str]) -> JsonObject:
    """Attributes for an update of what exists, with null for each of the `own` keys of `custom_metadata` to go.

    Klaviyo does not say whether an update replaces the metadata or adds to it; null is right either way. Where it is
    not known what is there, all keys that are not sent are null.
    """
    if "custom_metadata" not in attributes:
        return attributes
    ours, theirs = attributes["custom_metadata"] or {}, existing.get("custom_metadata")
    known = theirs if isinstance(theirs, dict) else dict.fromkeys(() if "custom_metadata" in existing else own, "")
    gone = {key: None for key in sorted(own) if key not in ours and known.get(key) is not None}
    return {**attributes, "custom_metadata": {**ours, **gone}} if gone else attributes


def _metadata_differing(ours: Mapping[str, Any], found: object, own: Collection[str]) -> Iterator[str]:
    theirs = found if isinstance(found, dict) else {}
    yield from (key for key in sorted(own) if key not in ours and theirs.get(key) is not None)
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
