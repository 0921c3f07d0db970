"""Select the fields of a document that become properties, by the rules in sync.toml."""

from collections.abc import Mapping
from typing import Any

from core.rules import PropertyRules
from mappers.mapped import JsonObject

NO_RULES = PropertyRules()
"""Rules that select every field with a value, under its own name."""


def selected(fields: Mapping[str, Any] | None, rules: PropertyRules) -> JsonObject:
    """Fields in `include` (all if it is empty) but not in `exclude`, under their names in `rename`.

    Empty values (`None`, `""` and `[]`) are left out; `0` and `False` stay. If two fields end up with the same name,
    the renamed one wins.
    """
    properties: JsonObject = {}
    renamed: JsonObject = {}
    for name, value in (fields or {}).items():
        if (rules.include and name not in rules.include) or name in rules.exclude or is_empty(value):
            continue
        if name in rules.rename:
            renamed[rules.rename[name]] = value
        else:
            properties[name] = value
    return properties | renamed


def is_empty(value: object) -> bool:
    """True for a value that is left out of properties: `None`, `""` or `[]`."""
    return not value and (value is None or isinstance(value, (str, list, tuple)))


def present(fields: JsonObject) -> JsonObject:
    """Fields without the empty ones. See `is_empty`."""
    return {name: value for name, value in fields.items() if value or not is_empty(value)}
