"""Addresses with placeholders in double braces."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def filled(template: str, values: Mapping[str, str | None]) -> str:
    """The template with these placeholders filled in, URL-encoded; a missing value becomes an empty string.

    Other text in braces stays.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        return quote(values[found[1]] or "", safe="", errors="replace")

    return _PLACEHOLDER.sub(value, template)


@lru_cache(maxsize=64)
def placeholders(template: str) -> tuple[str, ...]:
    """The names in a template, without doubles."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(template)))


def has_other_braces(template: str, names: Collection[str]) -> bool:
    """Whether there are braces in a template which are not those of a placeholder with one of these names."""
    rest = _PLACEHOLDER.sub(lambda found: "" if found[1] in names else found[0], template)
    return "{" in rest or "}" in rest
