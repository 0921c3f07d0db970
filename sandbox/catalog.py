"""Klaviyo's catalog: items, their variants, and categories; with reads that may lag behind the writes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sandbox.klaviyo_errors import Refused
from sandbox.lag import Lag, Past
from sandbox.profiles import moment_now

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
SPARSE = {kind: ("id", *names) for kind, names in _SHOWN.items()}
"""By type: what `fields[<type>]` may name."""


def external_id(compound: str) -> str | None:
    """The shop's own id in `$custom:::$default:::<id>`."""
    return compound[len(PREFIX) :] if compound.startswith(PREFIX) else None


@dataclass(frozen=True, slots=True)
class Record:
    """An item, a variant or a category; a change makes a new one. `place` is the order of creation."""

    place: int
    external_id: str
    attributes: Mapping[str, Any]
    item: str = ""
    categories: tuple[str, ...] = ()

    def resource(self, kind: str, origin: str) -> dict[str, Any]:
        """As JSON:API shows it."""
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
    """What the catalog holds at one time."""

    items: dict[str, Record]
    variants: dict[str, Record]
    categories: dict[str, Record]
    variants_of: dict[str, tuple[str, ...]]

    @classmethod
    def empty(cls) -> "Tables":
        """A catalog with nothing in it."""
        return cls({}, {}, {}, {})

    def of(self, kind: str) -> dict[str, Record]:
        """The table of a type."""
        return {
            "catalog-item": self.items,
            "catalog-variant": self.variants,
            "catalog-category": self.categories,
        }[kind]

    def copy(self) -> "Tables":
        """The same records; later changes don't show in it."""
        return Tables(dict(self.items), dict(self.variants), dict(self.categories), dict(self.variants_of))


class Catalog:
    """The catalog, and its recent past while reads lag."""

    def __init__(self, lag: Lag) -> None:
        self.tables = Tables.empty()
        self._lag = lag
        self._made = 0
        self._past: Past[Tables] = Past()

    def listed(self) -> Tables:
        """The tables that list reads show."""
        return self._past.ago(self._lag.seconds(), self.tables)

    def _about_to_change(self) -> None:
        if self._lag.most:
            self._past.keep(self.tables.copy(), self._lag.most)

    def find(self, kind: str, compound: str) -> Record:
        """A record by its compound id; raises Refused (404)."""
        name = external_id(compound)
        record = self.tables.of(kind).get(name) if name is not None else None
        if record is None:
            raise Refused(404, f"A {kind} with id {compound} does not exist.")
        return record

    def create(self, kind: str, data: Mapping[str, Any]) -> Record:
        """A new record; raises Refused: 409 when its external id is taken, 404 for unknown relations."""
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
        self._about_to_change()
        self._made += 1
        moment = moment_now()
        defaults: dict[str, Any] = {} if kind == "catalog-category" else {"published": True}
        if kind == "catalog-variant":
            defaults["inventory_policy"] = 0
            self.tables.variants_of[item] = (*self.tables.variants_of.get(item, ()), name)
        given = {**attributes, **{key: value for key, value in defaults.items() if attributes.get(key) is None}}
        record = Record(
            self._made, name, {**given, "created": moment, "updated": moment}, item, tuple(categories or ())
        )
        self.tables.of(kind)[name] = record
        self._set_members(name, members)
        return record

    def update(self, kind: str, compound: str, data: Mapping[str, Any]) -> Record:
        """Change what is given; categories, when given, are replaced. Raises Refused."""
        record = self.find(kind, compound)
        categories, members = self._categories(data), self._members(data)
        self._about_to_change()
        changed = replace(record, attributes={**record.attributes, **data["attributes"], "updated": moment_now()})
        if categories is not None:
            changed = replace(changed, categories=categories)
        self.tables.of(kind)[record.external_id] = changed
        self._set_members(record.external_id, members)
        return changed

    def relate(self, compound: str, data: list[Mapping[str, Any]], operation: str) -> None:
        """Add, replace or remove an item's categories, as the operation's name says; raises Refused."""
        record = self.find("catalog-item", compound)
        given = self._known_categories(data, "/data")
        self._about_to_change()
        if operation.startswith("add"):
            given = tuple(dict.fromkeys((*record.categories, *given)))
        elif operation.startswith("remove"):
            given = tuple(name for name in record.categories if name not in given)
        self.tables.items[record.external_id] = replace(record, categories=given)

    def delete(self, kind: str, compound: str) -> None:
        """Take a record out, an item with its variants, a category also from its items; raises Refused (404)."""
        record = self.find(kind, compound)
        self._about_to_change()
        tables, name = self.tables, record.external_id
        del tables.of(kind)[name]
        if kind == "catalog-item":
            for variant in tables.variants_of.pop(name, ()):
                del tables.variants[variant]
        elif kind == "catalog-variant":
            tables.variants_of[record.item] = tuple(left for left in tables.variants_of[record.item] if left != name)
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
        """The external ids of the categories that a body names; None when it does not speak of them."""
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
        """Make these items the ones that are in a category."""
        if members is None:
            return
        for name, item in list(self.tables.items.items()):
            if (name in members) is not (category in item.categories):
                others = tuple(other for other in item.categories if other != category)
                categories = (*others, category) if name in members else others
                self.tables.items[name] = replace(item, categories=categories)

    def as_json(self) -> dict[str, Any]:
        """Everything, by external id."""
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
