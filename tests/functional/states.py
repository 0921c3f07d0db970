"""Klaviyo's state, so that two of them can be compared."""

import json
from collections.abc import Mapping
from typing import Any

_OWN = {"id", "created", "updated", "profile_id"}


def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo's state without its own times and ids, and without the order in which things came."""
    return {
        name: sorted(json.dumps(_without_own(thing), sort_keys=True) for thing in things)
        if isinstance(things, list)
        else {key: _without_own(thing) for key, thing in things.items()}
        for name, things in state.items()
    }


def _without_own(thing: Any) -> Any:
    return {name: value for name, value in thing.items() if name not in _OWN} if isinstance(thing, dict) else thing
