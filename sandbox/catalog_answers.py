"""Klaviyo's catalog calls, for single records and for lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.catalog import PREFIX, SPARSE_FIELDS, Catalog, Record
from sandbox.klaviyo_content import check_catalog
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.pages import Row, Rows, filters, matches, page, sparse_fields

KINDS = {
    "items": "catalog-item", "item": "catalog-item",
    "variants": "catalog-variant", "variant": "catalog-variant",
    "categories": "catalog-category", "category": "catalog-category",
}  # fmt: skip
CATALOG_PAGE = 100

_FILTERS = {
    "catalog-item": {
        "ids": ("any",), "category.id": ("equals",), "title": ("contains",), "published": ("equals",),
    },
    "catalog-variant": {
        "ids": ("any",), "item.id": ("equals",), "sku": ("equals",), "title": ("contains",), "published": ("equals",),
    },
    "catalog-category": {"ids": ("any",), "item.id": ("equals",), "name": ("contains",)},
}  # fmt: skip


LINKAGES = ("filled", "included", "links")
"""Which lists name the related records: all (`filled`), only those that include them, or none (`links`).

Klaviyo's schema allows each, because `data` in `relationships` is optional. `Control.linkage` has the details.
"""


class CatalogAnswers:
    """Answers one account's catalog calls. Rejected requests raise Refused. `linkage` is one of LINKAGES."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.linkage = LINKAGES[0]

    def answer(self, operation: str, request: Request, identity: str, data: Any) -> Answer:
        """Carry out a call whose body has already passed the schema check."""
        verb, _, what = operation.partition("_")
        related = {
            "get_variants_for_catalog_item": self._variants_of_item,
            "get_item_ids_for_catalog_category": self._items_of_category,
            "get_category_ids_for_catalog_item": self._categories_of_item,
        }.get(operation)
        if related:
            return related(request, identity)
        if operation.endswith(("to_catalog_item", "for_catalog_item", "from_catalog_item")):
            self._catalog.change_item_categories(identity, data, operation)
            return Answer(204)
        kind = KINDS[what.removeprefix("catalog_")]
        if verb == "get" and not identity:
            return self._list(request, kind, list(self._catalog.listed().of(kind).values()))
        if verb == "delete":
            self._catalog.delete(kind, identity)
            return Answer(204)
        select = sparse_fields(request, kind, SPARSE_FIELDS[kind])
        if verb == "get":
            record = self._catalog.find(kind, identity)
        else:
            check_catalog(data["attributes"])
            record = (
                self._catalog.create(kind, data) if verb == "create" else self._catalog.update(kind, identity, data)
            )
        return Answer(201 if verb == "create" else 200, {"data": select(record.resource(kind, request.origin))})

    def _variants_of_item(self, request: Request, identity: str) -> Answer:
        tables = self._catalog.listed()
        item = identity.removeprefix(PREFIX)
        if not identity.startswith(PREFIX) or item not in tables.items:
            raise Refused(404, f"A catalog-item with id {identity} does not exist.")
        variants = [tables.variants[name] for name in tables.variants_of.get(item, ())]
        return self._list(request, "catalog-variant", variants)

    def _categories_of_item(self, request: Request, identity: str) -> Answer:
        categories = self._catalog.find("catalog-item", identity).categories
        references = [{"type": "catalog-category", "id": PREFIX + name} for name in categories]
        return Answer(200, {"data": references, "links": {"self": request.origin + request.target, "next": None}})

    def _items_of_category(self, request: Request, identity: str) -> Answer:
        tables = self._catalog.listed()
        category = identity.removeprefix(PREFIX)
        if not identity.startswith(PREFIX) or category not in tables.categories:
            raise Refused(404, f"A catalog-category with id {identity} does not exist.")
        rows = [
            Row(item.position, lambda item=item: {"type": "catalog-item", "id": PREFIX + item.external_id})  # type: ignore[misc]
            for item in tables.items.values()
            if category in item.categories
        ]
        return Answer(200, page(request, rows, default=CATALOG_PAGE, largest=CATALOG_PAGE))

    def _list(self, request: Request, kind: str, records: Sequence[Record]) -> Answer:
        included = _includes_variants(request, kind)
        select = sparse_fields(request, kind, SPARSE_FIELDS[kind])
        conditions = filters(request, _FILTERS[kind])
        found = records
        for condition in conditions:
            found = [record for record in found if matches(condition, self._value(record, condition.field))]
        sort = request.query.get("sort", ["created"])[-1]
        if sort not in ("created", "-created"):
            raise Refused(400, f"'{sort}' is not a valid sort.", parameter="sort")
        descending = sort == "-created"
        rows = Rows(
            found[::-1] if descending else found,
            lambda record: Row(record.position, lambda: select(self._list_entry(record, kind, request.origin))),
        )
        answer = page(request, rows, default=CATALOG_PAGE, largest=CATALOG_PAGE, descending=descending)
        if included:
            self._include_variants(request, answer)
        return Answer(200, answer)

    def _list_entry(self, record: Record, kind: str, origin: str) -> dict[str, Any]:
        """A record as it appears in a list."""
        shown = record.resource(kind, origin)
        if kind == "catalog-variant" and self.linkage != "filled":
            shown["relationships"] = {"item": _relationship_links(shown, "item")}
        return shown

    def _include_variants(self, request: Request, answer: dict[str, Any]) -> None:
        """Add the variants of the items on a page to `included`, and link each item to its own."""
        kind = "catalog-variant"
        select = sparse_fields(request, kind, SPARSE_FIELDS[kind])
        tables = self._catalog.listed()
        for shown in answer["data"]:
            shown["relationships"] = {"variants": _relationship_links(shown, "variants")}
            if self.linkage == "links":
                continue
            names = tables.variants_of.get(shown["id"].removeprefix(PREFIX), ())
            shown["relationships"]["variants"]["data"] = [{"type": kind, "id": PREFIX + name} for name in names]
            answer.setdefault("included", []).extend(
                select(self._list_entry(tables.variants[name], kind, request.origin)) for name in names
            )

    @staticmethod
    def _value(record: Record, field: str) -> Any:
        match field:
            case "ids":
                return PREFIX + record.external_id
            case "item.id":
                return PREFIX + record.item
            case "category.id":
                return [PREFIX + name for name in record.categories]
        return record.attributes.get(field)


def _includes_variants(request: Request, kind: str) -> bool:
    """True if the request includes variants. Only the list of items supports it; anything else raises Refused."""
    include = request.query.get("include", [])
    if include and (kind, include) != ("catalog-item", ["variants"]):
        raise Refused(400, f"'{include[-1]}' can't be included in a list of '{kind}'.", parameter="include")
    return bool(include)


def _relationship_links(shown: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A relationship with links only, without `data`."""
    own = shown["links"]["self"]
    return {"links": {"self": f"{own}relationships/{name}/", "related": f"{own}{name}/"}}
