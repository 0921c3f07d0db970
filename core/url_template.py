"""URL templates with placeholders in double braces."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def filled(template: str, values: Mapping[str, str | None]) -> str:
    """The template with these placeholders replaced by URL-encoded values, None by an empty string.

    Other placeholders and braces stay as they are.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        return quote(values[found[1]] or "", safe="", errors="replace")

    return _PLACEHOLDER.sub(value, template)


@lru_cache(maxsize=64)
def placeholders(template: str) -> tuple[str, ...]:
    """The placeholder names in a template, without duplicates."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(template)))


def has_other_braces(template: str, names: Collection[str]) -> bool:
    """True if the template has braces other than those of the placeholders with these names."""
    rest = _PLACEHOLDER.sub(lambda found: "" if found[1] in names else found[0], template)
    return "{" in rest or "}" in rest
