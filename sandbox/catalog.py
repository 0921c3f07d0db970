"""Klaviyo's catalog of items, variants and categories, whose lists can lag behind writes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sandbox.klaviyo_errors import Refused
from sandbox.lag import History, Lag
from sandbox.profiles import timestamp_now

PREFIX = "$custom:::$default:::"

_IMMUTABLE = ("integration_type", "catalog_type")
_SHOWN = {
    "catalog-item": (
        "external_id", "title", "description", "price", "url", "image_full_url", "image_thumbnail_url", "images",
        "custom_metadata", "published", "created", "updated",
    ),
    "catalog-variant": (
        "external_id", "title", "description", "sku", "inventory_policy", "inventory_quantity", "price", "url",
        "image_full_url", "image_thumbnail_url", "images", "custom_metadata", "published", "created", "updated",
    ),
    "catalog-category": ("external_id", "name", "updated"),
}  # fmt: skip
SPARSE_FIELDS = {kind: ("id", *names) for kind, names in _SHOWN.items()}
"""By type: the fields that `fields[<type>]` accepts."""


def external_id(compound: str) -> str | None:
    """`<id>` of `$custom:::$default:::<id>`; None for any other form."""
    return compound[len(PREFIX) :] if compound.startswith(PREFIX) else None


@dataclass(frozen=True, slots=True)
class Record:
    """An item, variant or category. Immutable: a change replaces it. `position` is the order of creation."""

    position: int
    external_id: str
    attributes: Mapping[str, Any]
    item: str = ""
    categories: tuple[str, ...] = ()

    def resource(self, kind: str, origin: str) -> dict[str, Any]:
        """The record as a JSON:API resource."""
        identity = PREFIX + self.external_id
        shown = {name: self.attributes.get(name) for name in _SHOWN[kind]}
        plural = "catalog-categories" if kind == "catalog-category" else f"{kind}s"
        result = {
            "type": kind,
            "id": identity,
            "attributes": {**shown, "external_id": self.external_id},
            "links": {"self": f"{origin}/api/{plural}/{quote(identity, safe='$:')}/"},
        }
        if kind == "catalog-variant":
            result["relationships"] = {"item": {"data": {"type": "catalog-item", "id": PREFIX + self.item}}}
        return result


@dataclass(slots=True)
class Tables:
    """The catalog's records at one moment, by external id. `variants_of` maps an item to its variants."""

    items: dict[str, Record]
    variants: dict[str, Record]
    categories: dict[str, Record]
    variants_of: dict[str, tuple[str, ...]]

    @classmethod
    def empty(cls) -> "Tables":
        """An empty catalog."""
        return cls({}, {}, {}, {})

    def of(self, kind: str) -> dict[str, Record]:
        """The records of a type."""
        return {
            "catalog-item": self.items,
            "catalog-variant": self.variants,
            "catalog-category": self.categories,
        }[kind]

    def copy(self) -> "Tables":
        """A copy that later changes don't affect."""
        return Tables(dict(self.items), dict(self.variants), dict(self.categories), dict(self.variants_of))


class Catalog:
    """The catalog, with snapshots of its recent states while lists lag."""

    def __init__(self, lag: Lag) -> None:
        self.tables = Tables.empty()
        self._lag = lag
        self._last_number = 0
        self._history: History[Tables] = History()

    def listed(self) -> Tables:
        """The state that lists show, possibly an older one."""
        return self._history.as_of(self._lag.draw(), self.tables)

    def _save_snapshot(self) -> None:
        if self._lag.maximum:
            self._history.keep(self.tables.copy(), self._lag.maximum)

    def find(self, kind: str, compound: str) -> Record:
        """The record with this compound id; raises Refused (404)."""
        name = external_id(compound)
        record = self.tables.of(kind).get(name) if name is not None else None
        if record is None:
            raise Refused(404, f"A {kind} with id {compound} does not exist.")
        return record

    def create(self, kind: str, data: Mapping[str, Any]) -> Record:
        """Create a record.

        Raises Refused: 400 for a blank external id, 409 if it is taken, 404 for an unknown item or category.
        """
        attributes = {name: value for name, value in data["attributes"].items() if name not in _IMMUTABLE}
        name = attributes.pop("external_id")
        if not name:
            raise Refused(400, "external_id may not be blank.", pointer="/data/attributes/external_id")
        item, categories, members = "", self._categories(data), self._members(data)
        if kind == "catalog-variant":
            item = self._item(data["relationships"]["item"]["data"]["id"])
        if name in self.tables.of(kind):
            raise Refused(
                409, f"A {kind} with external_id {name} already exists.", pointer="/data/attributes/external_id"
            )
        self._save_snapshot()
        self._last_number += 1
        moment = timestamp_now()
        defaults: dict[str, Any] = {} if kind == "catalog-category" else {"published": True}
        if kind == "catalog-variant":
            defaults["inventory_policy"] = 0
            self.tables.variants_of[item] = (*self.tables.variants_of.get(item, ()), name)
        given = {**attributes, **{key: value for key, value in defaults.items() if attributes.get(key) is None}}
        record = Record(
            self._last_number, name, {**given, "created": moment, "updated": moment}, item, tuple(categories or ())
        )
        self.tables.of(kind)[name] = record
        self._set_members(name, members)
        return record

    def update(self, kind: str, compound: str, data: Mapping[str, Any]) -> Record:
        """Change the given attributes, and replace the categories if any are given. Raises Refused (404)."""
        record = self.find(kind, compound)
        categories, members = self._categories(data), self._members(data)
        self._save_snapshot()
        changed = replace(record, attributes={**record.attributes, **data["attributes"], "updated": timestamp_now()})
        if categories is not None:
            changed = replace(changed, categories=categories)
        self.tables.of(kind)[record.external_id] = changed
        self._set_members(record.external_id, members)
        return changed

    def change_item_categories(self, compound: str, data: list[Mapping[str, Any]], operation: str) -> None:
        """Add, replace or remove an item's categories, depending on the operation's name. Raises Refused (404)."""
        record = self.find("catalog-item", compound)
        given = self._known_categories(data, "/data")
        self._save_snapshot()
        if operation.startswith("add"):
            given = tuple(dict.fromkeys((*record.categories, *given)))
        elif operation.startswith("remove"):
            given = tuple(name for name in record.categories if name not in given)
        self.tables.items[record.external_id] = replace(record, categories=given)

    def delete(self, kind: str, compound: str) -> None:
        """Delete a record, and with an item its variants. A deleted category leaves its items. Raises Refused (404)."""
        record = self.find(kind, compound)
        self._save_snapshot()
        tables, name = self.tables, record.external_id
        del tables.of(kind)[name]
        if kind == "catalog-item":
            for variant in tables.variants_of.pop(name, ()):
                del tables.variants[variant]
        elif kind == "catalog-variant":
            tables.variants_of[record.item] = tuple(other for other in tables.variants_of[record.item] if other != name)
        else:
            self._set_members(name, frozenset())

    def _item(self, compound: str) -> str:
        name = external_id(compound)
        if name is None or name not in self.tables.items:
            raise Refused(
                404, f"A catalog-item with id {compound} does not exist.", pointer="/data/relationships/item/data/id"
            )
        return name

    def _categories(self, data: Mapping[str, Any]) -> tuple[str, ...] | None:
        """External ids of the categories that a body names; None if it has no `relationships.categories`."""
        given = _related(data, "categories")
        return None if given is None else self._known_categories(given, "/data/relationships/categories/data")

    def _known_categories(self, given: list[Mapping[str, Any]], at: str) -> tuple[str, ...]:
        names = []
        for index, reference in enumerate(given):
            name = external_id(reference["id"])
            if name is None or name not in self.tables.categories:
                detail = f"A catalog-category with id {reference['id']} does not exist."
                raise Refused(404, detail, pointer=f"{at}/{index}/id")
            names.append(name)
        return tuple(dict.fromkeys(names))

    def _members(self, data: Mapping[str, Any]) -> frozenset[str] | None:
        given = _related(data, "items")
        if given is None:
            return None
        return frozenset(self.find("catalog-item", reference["id"]).external_id for reference in given)

    def _set_members(self, category: str, members: frozenset[str] | None) -> None:
        """Make exactly these items the members of a category; None changes nothing."""
        if members is None:
            return
        for name, item in list(self.tables.items.items()):
            if (name in members) is not (category in item.categories):
                others = tuple(other for other in item.categories if other != category)
                categories = (*others, category) if name in members else others
                self.tables.items[name] = replace(item, categories=categories)

    def as_json(self) -> dict[str, Any]:
        """The whole catalog by external id."""
        tables = self.tables
        return {
            "items": {
                name: {**item.attributes, "categories": list(item.categories)} for name, item in tables.items.items()
            },
            "variants": {
                name: {**variant.attributes, "item": variant.item} for name, variant in tables.variants.items()
            },
            "categories": {name: category.attributes["name"] for name, category in tables.categories.items()},
        }


def _related(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]] | None:
    relation = (data.get("relationships") or {}).get(name) or {}
    related: list[Mapping[str, Any]] | None = relation.get("data")
    return related
