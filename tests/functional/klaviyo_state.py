"""Klaviyo's state, so that two of them can be compared."""

import json
from collections.abc import Mapping
from typing import Any

_OWN = {"id", "created", "updated", "profile_id"}


def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo's state without its own times and ids, without the order in which things came, and without null metadata.

    A key of `custom_metadata` that is to go is sent as null.
    """
    return {
        name: sorted(json.dumps(_without_own(thing), sort_keys=True) for thing in things)
        if isinstance(things, list)
        else {key: _without_own(thing) for key, thing in things.items()}
        for name, things in state.items()
    }


def without_nulls(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `custom_metadata` that say something: null counts as absent."""
    return {name: value for name, value in metadata.items() if value is not None}


def _without_own(thing: Any) -> Any:
    if not isinstance(thing, dict):
        return thing
    kept = {name: value for name, value in thing.items() if name not in _OWN}
    return kept | {"custom_metadata": without_nulls(kept["custom_metadata"])} if kept.get("custom_metadata") else kept
