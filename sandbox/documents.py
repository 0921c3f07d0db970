"""commercetools documents by collection, and what is derived from them: projections, availability, expansion."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.lag import History, Lag

Document = dict[str, Any]
_Stock = dict[str, list[Document]]

COLLECTIONS = (
    "customers", "customer-groups", "orders", "payments", "discount-codes", "categories", "products", "inventory",
    "standalone-prices", "states", "channels", "stores", "subscriptions", "messages", "types",
)  # fmt: skip
_COLLECTION_OF_TYPE = {
    "customer": "customers",
    "customer-group": "customer-groups",
    "discount-code": "discount-codes",
    "order": "orders",
    "payment": "payments",
    "category": "categories",
    "product": "products",
    "inventory-entry": "inventory",
    "standalone-price": "standalone-prices",
    "state": "states",
    "channel": "channels",
}

_DEFAULT_FIELDS: Mapping[str, Document] = {"standalone-prices": {"active": True}}
"""By collection: fields that commercetools always sets, besides the version."""


def now() -> str:
    """The current time in commercetools' format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Documents:
    """All documents. A document is never modified after it was returned; a change replaces it."""

    def __init__(self, queries: Lag | None = None, availability: Lag | None = None) -> None:
        self.collections: dict[str, dict[str, Document]] = {name: {} for name in COLLECTIONS}
        self._queries = queries or Lag()
        self._availability = availability or Lag()
        self._history: dict[str, History[dict[str, Document]]] = {name: History() for name in COLLECTIONS}
        self._stock: _Stock | None = None
        self._views: dict[tuple[str, bool], Document] = {}

    def put(self, collection: str, document: Document) -> Document:
        """Store a document unchanged, except that missing fields that commercetools always sets are added."""
        stored = {"version": 1, **_DEFAULT_FIELDS.get(collection, {}), **document}
        self._save_snapshot(collection)
        self.collections[collection][stored["id"]] = stored
        self._drop_cached_views(collection)
        return stored

    def patch(self, collection: str, document_id: str, changes: Document) -> Document:
        """Replace top-level fields and, as commercetools does on a change, set a new version and lastModifiedAt."""
        document = self.collections[collection][document_id]
        return self.put(
            collection, {**document, "version": document["version"] + 1, "lastModifiedAt": now(), **changes}
        )

    def delete(self, collection: str, document_id: str) -> Document:
        """Delete a document; raises KeyError if there is none."""
        self._save_snapshot(collection)
        self._drop_cached_views(collection)
        return self.collections[collection].pop(document_id)

    def listed(self, collection: str) -> Iterable[Document]:
        """The documents that a query sees; older ones while queries lag."""
        return self._history[collection].as_of(self._queries.draw(), self.collections[collection]).values()

    def load(self, folder: Path) -> int:
        """Store every `folder/<collection>/*.json` (a document or a list of them). Returns the number of documents."""
        count = 0
        for collection in COLLECTIONS:
            for file in sorted((folder / collection).glob("*.json")):
                content = json.loads(file.read_text(encoding="utf-8"))
                for document in content if isinstance(content, list) else [content]:
                    self.put(collection, document)
                    count += 1
        return count

    def projection(self, product: Document, *, staged: bool, stock: _Stock | None = None) -> Document | None:
        """The current or staged projection of a product; None for the current one of an unpublished product.

        Availability comes from `stock`, by default from the inventory entries, or older ones while availability lags.
        """
        lags = bool(self._queries.maximum or self._availability.maximum)
        known = None if lags else self._views.get((product["id"], staged))
        if known is not None:
            return known
        master = product.get("masterData") or {}
        published = bool(master.get("published", False))
        if not staged and not published:
            return None
        current = master.get("current") or {}
        data = (master.get("staged") or current) if staged else current
        view = {name: value for name, value in product.items() if name != "masterData"}
        view |= {"published": published, "hasStagedChanges": bool(master.get("hasStagedChanges", False)), **data}
        stock = self._current_stock() if stock is None else stock
        if "masterVariant" in view:
            view["masterVariant"] = _with_availability(view["masterVariant"], stock)
        view["variants"] = [_with_availability(variant, stock) for variant in view.get("variants", [])]
        if not lags:
            self._views[product["id"], staged] = view
        return view

    def projections(self, *, staged: bool) -> Iterable[Document]:
        """The current or staged projections of all products, as a query sees them."""
        stock = self._current_stock()
        for product in self.listed("products"):
            view = self.projection(product, staged=staged, stock=stock)
            if view is not None:
                yield view

    def _drop_cached_views(self, collection: str) -> None:
        if collection == "inventory":
            self._stock = None
        if collection in ("inventory", "products"):
            self._views.clear()

    def _save_snapshot(self, collection: str) -> None:
        longest = max(self._queries.maximum, self._availability.maximum)
        if longest:
            self._history[collection].keep(dict(self.collections[collection]), longest)

    def _current_stock(self) -> _Stock:
        """The inventory entries by SKU that availability is computed from."""
        if self._availability.maximum:
            entries = self._history["inventory"].as_of(self._availability.draw(), self.collections["inventory"])
            return _by_sku(entries.values())
        if self._stock is None:
            self._stock = _by_sku(self.collections["inventory"].values())
        return self._stock

    def expanded(
        self, document: Document, paths: Sequence[str], *, unreadable: Collection[str] = frozenset()
    ) -> Document:
        """A copy of the document with the references on these paths (`categories[*].ancestors[*]`) expanded to `obj`.

        References into `unreadable` collections, which the client's scopes don't cover, stay unexpanded.
        """
        tree: dict[str, Any] = {}
        for path in paths:
            node = tree
            for name in path.split("."):
                node = node.setdefault(name.split("[")[0], {})
        return self._walk(document, tree, unreadable)

    def _walk(self, document: Document, tree: Mapping[str, Any], unreadable: Collection[str]) -> Document:
        found = {
            name: self._expand(document[name], below, unreadable) for name, below in tree.items() if name in document
        }
        return {**document, **found}

    def _expand(self, value: Any, tree: Mapping[str, Any], unreadable: Collection[str]) -> Any:
        if isinstance(value, list):
            return [self._expand(element, tree, unreadable) for element in value]
        if not isinstance(value, dict):
            return value
        if "typeId" in value:
            name = _COLLECTION_OF_TYPE.get(value["typeId"], "")
            target = None if name in unreadable else self.collections.get(name, {}).get(value.get("id", ""))
            return value if target is None else {**value, "obj": self._walk(target, tree, unreadable)}
        return self._walk(value, tree, unreadable)


def _by_sku(entries: Iterable[Document]) -> _Stock:
    stock: _Stock = {}
    for entry in entries:
        stock.setdefault(str(entry.get("sku")), []).append(entry)
    return stock


def _with_availability(variant: Document, stock: _Stock) -> Document:
    if "availability" in variant or not variant.get("sku"):
        return variant
    entries = stock.get(variant["sku"])
    return {**variant, "availability": _availability(entries)} if entries else variant


def _availability(entries: Sequence[Document]) -> Document:
    availability: Document = {}
    for entry in entries:
        quantity = entry["availableQuantity"] if "availableQuantity" in entry else entry.get("quantityOnStock", 0)
        stock: Document = {
            "isOnStock": quantity > 0,
            "availableQuantity": quantity,
            "id": entry["id"],
            "version": entry["version"],
        }
        if "restockableInDays" in entry:
            stock["restockableInDays"] = entry["restockableInDays"]
        channel = entry.get("supplyChannel")
        if channel:
            availability.setdefault("channels", {})[channel["id"]] = stock
        else:
            availability |= stock
    return availability
