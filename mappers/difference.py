"""Whether what Klaviyo has of an item or a variant is what we would write."""

import json
from collections.abc import Collection, Mapping
from typing import Any


def differs(attributes: Mapping[str, Any], existing: Mapping[str, Any], own: Collection[str]) -> bool:
    """Whether Klaviyo's item or variant differs from ours in an attribute we send.

    Numbers are compared by value, `custom_metadata` key by key, tables as the JSON they hold, and null counts as
    absent. Of the `own` keys of `custom_metadata` one that is there and no longer sent is a difference.
    """
    return any(
        _metadata_differs(value or {}, existing.get(name), own)
        if name == "custom_metadata"
        else value != existing.get(name)
        for name, value in attributes.items()
    )


def _metadata_differs(ours: Mapping[str, Any], found: object, own: Collection[str]) -> bool:
    theirs = found if isinstance(found, dict) else {}
    if any(key not in ours and theirs.get(key) is not None for key in own):
        return True
    return any(value != theirs.get(key) and _parsed(value) != _parsed(theirs.get(key)) for key, value in ours.items())


def _parsed(table: object) -> object:
    if not isinstance(table, str):
        return table
    try:
        return json.loads(table)
    except ValueError:
        return table
