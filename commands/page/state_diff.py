"""What a message changed in Klaviyo: a field-by-field diff of two snapshots of its state."""

from collections.abc import Iterator, Mapping
from typing import Any

FieldKey = tuple[str, str, str]
"""Kind of resource, id of the resource, name of the field. The name is empty if the resource itself is new."""
Changes = Mapping[FieldKey, str]
"""Changed fields with their previous value; the value is empty if there was none."""

NO_CHANGES: Changes = {}

_NEW = ""
_IGNORED_FIELDS = frozenset({"updated", "created", "events", "last_event_date", "custom_metadata"})
"""Timestamps and counters that Klaviyo keeps itself, and raw JSON that is not meant for readers."""


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Changed fields of profiles, items, variants and categories, new resources and new events. Not deletions."""
    return dict(_changes(before, after))


def merged(first: Changes, second: Changes) -> Changes:
    """Two consecutive diffs as one. A field that changed twice keeps the value from before the first change."""
    return {**second, **first}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[FieldKey, str]]:
    known = {(event["profile_id"], event["metric"], event["unique_id"]) for event in before["events"]}
    for event in after["events"]:
        if (event["profile_id"], event["metric"], event["unique_id"]) not in known:
            yield ("event", f"{event['metric']} {event['unique_id']}", _NEW), ""
    for kind, old, new in (
        ("profile", _by_id(before["profiles"]), _by_id(after["profiles"])),
        ("item", before["items"], after["items"]),
        ("variant", before["variants"], after["variants"]),
        ("category", before["categories"], after["categories"]),
    ):
        for own_id, resource in new.items():
            if own_id not in old:
                yield (kind, own_id, _NEW), ""
                continue
            was, now = dict(_fields(old[own_id])), dict(_fields(resource))
            for name in now.keys() | was.keys():
                if was.get(name) != now.get(name):
                    yield (kind, own_id, name), _previous(was.get(name))


def _by_id(profiles: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {profile["id"]: profile for profile in profiles}


def _fields(resource: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a resource, with nested objects flattened. A category is only its name."""
    if not isinstance(resource, Mapping):
        yield "name", resource
        return
    for name, value in resource.items():
        if name in _IGNORED_FIELDS:
            continue
        if isinstance(value, Mapping):
            yield from _fields(value)
        else:
            yield name, value


def _previous(value: Any) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value)
