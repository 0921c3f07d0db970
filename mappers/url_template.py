"""Addresses with placeholders in double braces."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def filled(template: str, values: Mapping[str, str | None]) -> str:
    """The template with these placeholders filled in, URL-encoded; one without value is filled with nothing.

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
