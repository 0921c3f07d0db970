"""What a message changed in Klaviyo: two states of it, compared field by field."""

from collections.abc import Iterator, Mapping
from typing import Any

Place = tuple[str, str, str]
"""A kind of resource, its id, and the name of a field; no name: the resource is new."""
Changes = Mapping[Place, str]
"""The value that each changed field had before; empty if it had none."""

NOTHING: Changes = {}

_SELF = ""
_UNTOLD = frozenset({"updated", "created", "events", "last_event_date", "custom_metadata"})
"""Times and counts of the account itself, and JSON that nobody reads."""


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """The fields of profiles, items, variants and categories that differ, and resources and events that are new."""
    return dict(_changed(before, after))


def later(first: Changes, second: Changes) -> Changes:
    """Both, one after the other: the value before the first."""
    return {**second, **first}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    known = {(event["profile_id"], event["metric"], event["unique_id"]) for event in before["events"]}
    for event in after["events"]:
        if (event["profile_id"], event["metric"], event["unique_id"]) not in known:
            yield ("event", f"{event['metric']} {event['unique_id']}", _SELF), ""
    for kind, old, new in (
        ("profile", _by_id(before["profiles"]), _by_id(after["profiles"])),
        ("item", before["items"], after["items"]),
        ("variant", before["variants"], after["variants"]),
        ("category", before["categories"], after["categories"]),
    ):
        for own_id, resource in new.items():
            if own_id not in old:
                yield (kind, own_id, _SELF), ""
                continue
            was, now = dict(_fields(old[own_id])), dict(_fields(resource))
            for name in now.keys() | was.keys():
                if was.get(name) != now.get(name):
                    yield (kind, own_id, name), _shown(was.get(name))


def _by_id(profiles: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {profile["id"]: profile for profile in profiles}


def _fields(resource: Any) -> Iterator[tuple[str, Any]]:
    """The fields, those of nested objects by their own names."""
    if not isinstance(resource, Mapping):
        yield "name", resource
        return
    for name, value in resource.items():
        if name in _UNTOLD:
            continue
        if isinstance(value, Mapping):
            yield from _fields(value)
        else:
            yield name, value


def _shown(value: Any) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value)
