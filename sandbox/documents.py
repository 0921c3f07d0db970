"""commercetools documents by collection, and the views derived from them: projections, availability, expansion."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.lag import Lag, Past

Document = dict[str, Any]
_Stock = dict[str, list[Document]]

COLLECTIONS = (
    "customers", "customer-groups", "orders", "payments", "discount-codes", "categories", "products", "inventory",
    "standalone-prices", "states", "channels", "stores", "subscriptions", "messages",
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

_ALWAYS_SET: Mapping[str, Document] = {"standalone-prices": {"active": True}}
"""By collection: what a document has, beside its version, also where whoever made it left it out."""


def now() -> str:
    """Now as commercetools writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Documents:
    """All documents; what is handed out is never changed afterwards, a change puts a new document in its place."""

    def __init__(self, queries: Lag | None = None, availability: Lag | None = None) -> None:
        self.collections: dict[str, dict[str, Document]] = {name: {} for name in COLLECTIONS}
        self._queries = queries or Lag()
        self._availability = availability or Lag()
        self._past: dict[str, Past[dict[str, Document]]] = {name: Past() for name in COLLECTIONS}
        self._stock: _Stock | None = None
        self._views: dict[tuple[str, bool], Document] = {}

    def put(self, collection: str, document: Document) -> Document:
        """Store a document as it is; what commercetools always sets and it lacks is added."""
        stored = {"version": 1, **_ALWAYS_SET.get(collection, {}), **document}
        self._about_to_change(collection)
        self.collections[collection][stored["id"]] = stored
        self._forget_views(collection)
        return stored

    def patch(self, collection: str, document_id: str, changes: Document) -> Document:
        """Replace top-level fields, as a change in commercetools would: with a new version and time."""
        document = self.collections[collection][document_id]
        return self.put(
            collection, {**document, "version": document["version"] + 1, "lastModifiedAt": now(), **changes}
        )

    def delete(self, collection: str, document_id: str) -> Document:
        """Take a document out; KeyError when there is none."""
        self._about_to_change(collection)
        self._forget_views(collection)
        return self.collections[collection].pop(document_id)

    def listed(self, collection: str) -> Iterable[Document]:
        """The documents that a query sees, old ones while queries lag."""
        return self._past[collection].ago(self._queries.seconds(), self.collections[collection]).values()

    def load(self, folder: Path) -> int:
        """Put every `folder/<collection>/*.json`, one document or a list of them a file; returns how many."""
        count = 0
        for collection in COLLECTIONS:
            for file in sorted((folder / collection).glob("*.json")):
                content = json.loads(file.read_text(encoding="utf-8"))
                for document in content if isinstance(content, list) else [content]:
                    self.put(collection, document)
                    count += 1
        return count

    def projection(self, product: Document, *, staged: bool, stock: _Stock | None = None) -> Document | None:
        """One side of a product, flat; None for the published side of an unpublished product.

        Its availability is that of `stock`, by default of the inventory entries, old ones while it lags.
        """
        lags = bool(self._queries.most or self._availability.most)
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
        """One side of every product that has it, as a query sees them."""
        stock = self._current_stock()
        for product in self.listed("products"):
            view = self.projection(product, staged=staged, stock=stock)
            if view is not None:
                yield view

    def _forget_views(self, collection: str) -> None:
        if collection == "inventory":
            self._stock = None
        if collection in ("inventory", "products"):
            self._views.clear()

    def _about_to_change(self, collection: str) -> None:
        longest = max(self._queries.most, self._availability.most)
        if longest:
            self._past[collection].keep(dict(self.collections[collection]), longest)

    def _current_stock(self) -> _Stock:
        """The inventory entries by SKU that availability is made of."""
        if self._availability.most:
            entries = self._past["inventory"].ago(self._availability.seconds(), self.collections["inventory"])
            return _by_sku(entries.values())
        if self._stock is None:
            self._stock = _by_sku(self.collections["inventory"].values())
        return self._stock

    def expanded(self, document: Document, paths: Sequence[str], *, hidden: Collection[str] = frozenset()) -> Document:
        """A copy in which the references on these paths (`categories[*].ancestors[*]`) carry an `obj`.

        Those into `hidden` collections, which the client may not read, stay as they are.
        """
        tree: dict[str, Any] = {}
        for path in paths:
            node = tree
            for name in path.split("."):
                node = node.setdefault(name.split("[")[0], {})
        return self._walk(document, tree, hidden)

    def _walk(self, document: Document, tree: Mapping[str, Any], hidden: Collection[str]) -> Document:
        found = {name: self._expand(document[name], below, hidden) for name, below in tree.items() if name in document}
        return {**document, **found}

    def _expand(self, value: Any, tree: Mapping[str, Any], hidden: Collection[str]) -> Any:
        if isinstance(value, list):
            return [self._expand(element, tree, hidden) for element in value]
        if not isinstance(value, dict):
            return value
        if "typeId" in value:
            name = _COLLECTION_OF_TYPE.get(value["typeId"], "")
            target = None if name in hidden else self.collections.get(name, {}).get(value.get("id", ""))
            return value if target is None else {**value, "obj": self._walk(target, tree, hidden)}
        return self._walk(value, tree, hidden)


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
