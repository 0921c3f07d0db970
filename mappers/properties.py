"""Which fields of a document become properties, by the rules of sync.toml."""

from collections.abc import Mapping
from typing import Any

from core.rules import PropertyRules
from mappers.mapped import JsonObject

NO_RULES = PropertyRules()
"""Every field that has a value, under its own name."""


def selected(fields: Mapping[str, Any] | None, rules: PropertyRules) -> JsonObject:
    """Fields that `include` (empty: all) and `exclude` leave over, under the names that `rename` gives them.

    `None`, `""` and `[]` are left out, `0` and `False` stay. When two fields end up with one name, the renamed wins.
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
    """Whether a value is left out of properties: `None`, `""` or `[]`."""
    return not value and (value is None or isinstance(value, (str, list, tuple)))


def present(fields: JsonObject) -> JsonObject:
    """Fields without those that are left out."""
    return {name: value for name, value in fields.items() if value or not is_empty(value)}
