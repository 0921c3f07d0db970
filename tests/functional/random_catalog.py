"""Products, stock and categories where a lot happens, by chance."""

import itertools
import random
from collections.abc import Iterable
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, change, message, money, reference

_DEEPEST = 3
"""Ancestors that a category may have."""
_AGAIN = 0.4


class RandomDocuments:
    """Documents as they are in the sandbox now."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        self._rng = rng
        self._commercetools = commercetools
        self._numbers = itertools.count(1)
        self._all: dict[str, dict[str, Json]] = {
            name: {} for name in ("customers", "categories", "products", "inventory", "orders", "payments")
        }
        self._latest: dict[str, str] = {}

    def _one(self, collection: str) -> Json:
        """Any document; often the one that was changed last, so that deliveries of one resource meet."""
        latest = self._all[collection].get(self._latest.get(collection, ""))
        if latest and self._rng.random() < _AGAIN:
            return latest
        return self._rng.choice(list(self._all[collection].values()))

    def _put(self, collection: str, document: Json) -> None:
        self._latest[collection] = document["id"]
        self._all[collection][document["id"]] = document
        self._commercetools.put(collection, document)

    def _put_all(self, collection: str, documents: Iterable[Json]) -> None:
        changed = list(documents)
        self._all[collection] |= {document["id"]: document for document in changed}
        self._commercetools.put_all({collection: changed})

    def _edit(self, collection: str, document: Json, **fields: Any) -> None:
        self._put(collection, {**document, "version": document["version"] + 1, **fields})

    def _delete(self, collection: str, document_id: str) -> None:
        del self._all[collection][document_id]
        self._commercetools.delete(collection, document_id)


class RandomCatalog(RandomDocuments):
    """The catalog's changes: each is made in the sandbox and gives back its deliveries, none where it can't be made."""

    # products

    def add_product(self) -> list[Json]:
        """A published product of one to three variants, in up to two categories."""
        product_id = f"product-{next(self._numbers)}"
        variants = [self._variant(product_id, number) for number in range(1, self._rng.randint(1, 3) + 1)]
        self._put("products", make.product(product_id, variants, categories=self._some_categories()))
        return [message("ProductPublished", "product", product_id)]

    def edit_product(self) -> list[Json]:
        """Another price, name or category of a published product."""
        product = self._one("products")
        number = next(self._numbers)
        current = product["masterData"]["current"]
        kind = self._rng.randrange(3)
        if kind == 0:
            prices = [{"id": "price-1", "value": money(self._rng.randint(1, 99_999))}]
            current = {**current, "masterVariant": {**current["masterVariant"], "prices": prices}}
        elif kind == 1:
            current = {**current, "name": {"en-US": f"Product {number}", "de-DE": f"Produkt {number}"}}
        else:
            categories = [reference("category", category_id) for category_id in self._some_categories()]
            current = {**current, "categories": categories}
        return self._publish(product, current)

    def change_variants(self) -> list[Json]:
        """A variant more, or one less."""
        product = self._one("products")
        current = product["masterData"]["current"]
        others = current["variants"]
        if others and self._rng.random() < 0.5:
            others = others[1:]
        else:
            others = [*others, self._variant(product["id"], next(self._numbers))]
        return self._publish(product, {**current, "variants": others})

    def publish_product(self) -> list[Json]:
        """An unpublished product is published again."""
        product = self._one("products")
        if product["masterData"]["published"]:
            return []
        return self._publish(product, product["masterData"]["current"])

    def unpublish_product(self) -> list[Json]:
        """A published product is taken out of the shop."""
        product = self._one("products")
        if not product["masterData"]["published"]:
            return []
        self._edit("products", product, masterData={**product["masterData"], "published": False})
        return [message("ProductUnpublished", "product", product["id"])]

    def delete_product(self) -> list[Json]:
        """An unpublished product is deleted: commercetools deletes no other."""
        product = self._one("products")
        if product["masterData"]["published"]:
            return []
        self._delete("products", product["id"])
        return [message("ProductDeleted", "product", product["id"])]

    # stock

    def set_stock(self) -> list[Json]:
        """Another quantity."""
        entry = self._one("inventory")
        quantity = self._rng.choice([0, self._rng.randint(1, 500)])
        self._edit("inventory", entry, quantityOnStock=quantity, availableQuantity=quantity)
        return [change("ResourceUpdated", "inventory-entry", entry["id"])]

    def delete_stock(self) -> list[Json]:
        """A SKU is not tracked any more."""
        entry = self._one("inventory")
        self._delete("inventory", entry["id"])
        sku = {"sku": entry["sku"]}
        return [change("ResourceDeleted", "inventory-entry", entry["id"], resourceUserProvidedIdentifiers=sku)]

    def add_stock(self) -> list[Json]:
        """A SKU that is not tracked gets stock."""
        current = self._one("products")["masterData"]["current"]
        sku = self._rng.choice([current["masterVariant"], *current["variants"]])["sku"]
        if any(entry["sku"] == sku for entry in self._all["inventory"].values()):
            return []
        return self._new_stock(sku)

    # categories

    def add_category(self) -> list[Json]:
        """A category, often below another one."""
        number = next(self._numbers)
        parent = self._one("categories") if self._all["categories"] and self._rng.random() < 0.7 else None
        ancestors = [*_ancestors(parent), parent["id"]] if parent and len(_ancestors(parent)) < _DEEPEST else []
        category_id = f"category-{number}"
        self._put("categories", make.category(category_id, f"Category {number}", ancestors=ancestors))
        return [message("CategoryCreated", "category", category_id)]

    def rename_category(self) -> list[Json]:
        """Another name, which is part of its descendants' names."""
        category = self._one("categories")
        self._edit("categories", category, name={"en-US": f"Renamed {next(self._numbers)}"})
        return [change("ResourceUpdated", "category", category["id"])]

    def move_category(self) -> list[Json]:
        """Another parent. Only the category itself is told; the products of the branch are published again.

        A descendant's version stays: what it inherits is no change of its own.
        """
        category = self._one("categories")
        branch = self._branch(category["id"])
        parent = self._one("categories") if self._rng.random() < 0.8 else None
        if parent and parent["id"] in branch:
            return []
        above = [*_ancestors(parent), parent["id"]] if parent else []
        deepest = max(len(_ancestors(self._all["categories"][own])) for own in branch) - len(_ancestors(category))
        if len(above) + deepest > _DEEPEST or above == _ancestors(category):
            return []
        moved = []
        for own in branch:
            document = self._all["categories"][own]
            ancestors = _ancestors(document)
            below = ancestors[ancestors.index(category["id"]) :] if own != category["id"] else []
            path = [reference("category", ancestor) for ancestor in (*above, *below)]
            parent_of = {"parent": path[-1]} if path else {}
            kept = {name: value for name, value in document.items() if name != "parent"}
            version = document["version"] + (own == category["id"])
            moved.append({**kept, **parent_of, "ancestors": path, "version": version})
        self._put_all("categories", moved)
        return [change("ResourceUpdated", "category", category["id"]), *self._publish_again(branch)]

    def delete_category(self) -> list[Json]:
        """A category without descendants; the products that were in it are published again without it."""
        category = self._one("categories")
        if len(self._branch(category["id"])) > 1:
            return []
        deliveries = self._publish_again({category["id"]}, without=category["id"])
        self._delete("categories", category["id"])
        return [change("ResourceDeleted", "category", category["id"]), *deliveries]

    # what they are made of

    def _publish(self, product: Json, current: Json) -> list[Json]:
        self._edit("products", product, masterData={**product["masterData"], "published": True, "current": current})
        return [message("ProductPublished", "product", product["id"])]

    def _publish_again(self, category_ids: set[str], *, without: str = "") -> list[Json]:
        """Publish the products of some categories, for an item's categories follow its product's messages."""
        deliveries = []
        for product in self._in_categories(category_ids):
            master = product["masterData"]
            left = [kept for kept in master["current"]["categories"] if kept["id"] != without]
            current = {**master["current"], "categories": left}
            if master["published"]:
                deliveries += self._publish(product, current)
            else:
                self._edit("products", product, masterData={**master, "current": current})
        return deliveries

    def _variant(self, product_id: str, number: int) -> Json:
        return make.variant(f"{product_id} {number}/ü", number)

    def _new_stock(self, sku: str) -> list[Json]:
        entry_id = f"entry-{next(self._numbers)}"
        self._put("inventory", make.entry(entry_id, sku, self._rng.randint(0, 500)))
        return [change("ResourceCreated", "inventory-entry", entry_id)]

    def _some_categories(self) -> list[str]:
        return self._rng.sample(list(self._all["categories"]), self._rng.randint(0, 2))

    def _branch(self, category_id: str) -> set[str]:
        return {category_id} | {
            own for own, category in self._all["categories"].items() if category_id in _ancestors(category)
        }

    def _in_categories(self, category_ids: set[str]) -> list[Json]:
        return [
            product
            for product in self._all["products"].values()
            if category_ids & {found["id"] for found in product["masterData"]["current"]["categories"]}
        ]


def _ancestors(category: Json | None) -> list[str]:
    return [ancestor["id"] for ancestor in category["ancestors"]] if category else []
