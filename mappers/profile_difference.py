"""Whether what Klaviyo has of a person is what we would write."""

from collections.abc import Iterator, Mapping
from typing import Any

from mappers.mapped import JsonObject

_MERGED = ("location", "properties")
"""Attributes that Klaviyo merges key by key: what others put beside ours is theirs."""


def differing_in_profile(attributes: JsonObject, existing: Mapping[str, Any]) -> Iterator[str]:
    """Names of the attributes we send in which a profile differs; `location.<key>`, `properties.<key>` of a key.

    E-mails are compared without regard to case, texts without blanks around them, and null counts as absent.
    """
    for name, value in attributes.items():
        found = existing.get(name)
        if name in _MERGED and isinstance(value, dict):
            theirs = found if isinstance(found, dict) else {}
            yield from (f"{name}.{key}" for key, part in value.items() if not _is_same(part, theirs.get(key)))
        elif name == "email":
            if str(value).lower().strip() != str(found or "").lower():
                yield name
        elif name != "external_id" and not _is_same(value, found):
            yield name


def _is_same(ours: object, theirs: object) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours.strip() == theirs.strip()
    return ours == theirs
