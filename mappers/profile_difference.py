"""Compare a profile in Klaviyo with what we would write."""

from collections.abc import Iterator, Mapping
from typing import Any

from mappers.mapped import JsonObject

_MERGED = ("location", "properties")
"""Attributes that Klaviyo merges key by key. Keys that others have added are ignored."""


def differing_profile_fields(attributes: JsonObject, existing: Mapping[str, Any]) -> Iterator[str]:
    """Names of the attributes that we send and in which a profile differs.

    `location` and `properties` are compared key by key, as `location.<key>`. E-mails are compared case-insensitively,
    texts without surrounding whitespace. Null counts as absent. `external_id` is not compared, because the profile was
    found by it.
    """
    for name, value in attributes.items():
        theirs = existing.get(name)
        if name in _MERGED and isinstance(value, dict):
            existing_members = theirs if isinstance(theirs, dict) else {}
            yield from (f"{name}.{key}" for key, part in value.items() if not _is_same(part, existing_members.get(key)))
        elif name == "email":
            if str(value).lower().strip() != str(theirs or "").lower():
                yield name
        elif name != "external_id" and not _is_same(value, theirs):
            yield name


def _is_same(ours: object, theirs: object) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours.strip() == theirs.strip()
    return ours == theirs
