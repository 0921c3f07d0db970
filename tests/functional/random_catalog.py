"""Random changes of products and stock. They choose from few values, so that earlier values often return."""

import random
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, money, reference
from tests.functional.random_categories import RandomCategories

CHANNELS = (None, "north", "south")
"""Supply channels of inventory entries. As in commercetools, a SKU has at most one entry per channel."""


class RandomCatalog(RandomCategories):
    """Changes of the catalog. Each is applied to the sandbox and returns its notifications; none if impossible."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        super().__init__(rng, commercetools)
        self._free_skus: list[str] = []
        self._last_sku_move: tuple[str, str, str] | None = None
        """A SKU, the product it was moved from, and the product it was moved to."""

    # products

    def add_product(self) -> list[Json]:
        """Add a published product with one to three variants, in up to two categories."""
        product_id = f"product-{next(self._numbers)}"
        skus = [f"{product_id} {number}/ü" for number in range(1, self._rng.randint(1, 3) + 1)]
        variants = [make.variant(sku, number) for number, sku in enumerate(skus, 1)]
        product = self._store("products", make.product(product_id, variants, categories=self._some_categories()))
        return [self._message("ProductPublished", "product", product)]

    def edit_product(self) -> list[Json]:
        """Change a product's price, name or categories, and publish it."""
        product = self._pick("products")
        current = product["masterData"]["current"]
        kind = self._rng.randrange(3)
        if kind == 0:
            prices = [{"id": "price-1", "value": money(self._rng.choice([1000, 2000, 3000]))}]
            current = {**current, "masterVariant": {**current["masterVariant"], "prices": prices}}
        elif kind == 1:
            number = self._rng.randrange(3)
            current = {**current, "name": {"en-US": f"Product {number}", "de-DE": f"Produkt {number}"}}
        else:
            categories = [reference("category", category_id) for category_id in self._some_categories()]
            current = {**current, "categories": categories}
        return self._publish(product, current)

    def change_variants(self) -> list[Json]:
        """Remove a variant, or add one, perhaps with a SKU that another product no longer has."""
        product = self._pick("products")
        current = product["masterData"]["current"]
        others = current["variants"]
        if others and self._rng.random() < 0.5:
            self._free_skus.append(others[0]["sku"])
            return self._publish(product, {**current, "variants": others[1:]})
        if self._free_skus and self._rng.random() < 0.5:
            sku = self._free_skus.pop(self._rng.randrange(len(self._free_skus)))
        else:
            sku = f"{product['id']} {next(self._numbers)}/ü"
        return self._publish(product, _with_variant(current, sku))

    def move_sku(self) -> list[Json]:
        """Move a variant to another product; often move the last one back.

        SKUs are unique in commercetools: the first product is published without it before the second has it.
        """
        products = self._documents["products"]
        if self._last_sku_move and self._rng.random() < 0.4:
            sku, target, source = self._last_sku_move
        else:
            sku, source, target = "", self._pick("products")["id"], self._pick("products")["id"]
        if source == target or not {source, target} <= products.keys():
            return []
        current = products[source]["masterData"]["current"]
        others = current["variants"]
        sku = sku or (others[0]["sku"] if others else "")
        left = [variant for variant in others if variant["sku"] != sku]
        if len(left) == len(others):
            return []
        self._last_sku_move = (sku, source, target)
        return [
            *self._save(products[source], {**current, "variants": left}),
            *self._save(products[target], _with_variant(products[target]["masterData"]["current"], sku)),
        ]

    def publish_product(self) -> list[Json]:
        """Publish an unpublished product again."""
        product = self._pick("products")
        if product["masterData"]["published"]:
            return []
        return self._publish(product, product["masterData"]["current"])

    def unpublish_product(self) -> list[Json]:
        """Unpublish a product."""
        product = self._pick("products")
        if not product["masterData"]["published"]:
            return []
        hidden = self._edit("products", product, masterData={**product["masterData"], "published": False})
        return [self._message("ProductUnpublished", "product", hidden)]

    def delete_product(self) -> list[Json]:
        """Delete an unpublished product: commercetools refuses to delete a published one."""
        product = self._pick_spare("products")
        if not product or product["masterData"]["published"]:
            return []
        self._free_skus += _skus(product)
        self._delete("products", product)
        return [self._message("ProductDeleted", "product", product)]

    # stock

    def set_stock(self) -> list[Json]:
        """Change an inventory entry's quantity."""
        quantity = self._rng.choice([0, 1, 250])
        entry = self._edit("inventory", self._pick("inventory"), quantityOnStock=quantity, availableQuantity=quantity)
        return [self._stock_change("ResourceUpdated", entry)]

    def move_stock(self) -> list[Json]:
        """Change an entry's supply channel."""
        entry = self._pick("inventory")
        channel = self._free_channel(entry["sku"])
        if not channel:
            return []
        moved = self._edit("inventory", entry, **channel)
        return [self._stock_change("ResourceUpdated", moved)]

    def delete_stock(self) -> list[Json]:
        """Delete an entry. If it is the SKU's last one, its stock is no longer tracked."""
        entry = self._pick_spare("inventory")
        if not entry:
            return []
        self._delete("inventory", entry)
        return [self._stock_change("ResourceDeleted", entry)]

    def add_stock(self) -> list[Json]:
        """Add an entry of a SKU in a channel where it has none."""
        sku = self._rng.choice(_skus(self._pick("products")))
        channel = self._free_channel(sku)
        return self._new_stock(sku, **channel) if channel else []

    # shared parts

    def _free_channel(self, sku: str) -> dict[str, Any]:
        """The `supplyChannel` field of a new entry of a SKU; empty if the SKU has an entry in every channel."""
        taken = {
            entry.get("supplyChannel", {}).get("id")
            for entry in self._documents["inventory"].values()
            if entry["sku"] == sku
        }
        free = [channel for channel in CHANNELS if channel not in taken]
        if not free:
            return {}
        channel = self._rng.choice(free)
        return {"supplyChannel": reference("channel", channel) if channel else None}

    def _new_stock(self, sku: str, **fields: Any) -> list[Json]:
        given = {name: value for name, value in fields.items() if value is not None}
        entry = make.entry(f"entry-{next(self._numbers)}", sku, self._rng.choice([0, 3, 99]), **given)
        return [self._stock_change("ResourceCreated", self._store("inventory", entry))]

    def _stock_change(self, kind: str, entry: Json) -> Json:
        """A change of an entry, with its SKU: after the entry is deleted, nothing else says whose stock it was."""
        return self._change(kind, "inventory-entry", entry, resourceUserProvidedIdentifiers={"sku": entry["sku"]})

    def _some_categories(self) -> list[str]:
        known = list(self._documents["categories"])
        return self._rng.sample(known, min(len(known), self._rng.randint(0, 2)))


def _with_variant(current: Json, sku: str) -> Json:
    """A product's data with another variant."""
    number = 1 + max(variant["id"] for variant in (current["masterVariant"], *current["variants"]))
    return {**current, "variants": [*current["variants"], make.variant(sku, number)]}


def _skus(product: Json) -> list[str]:
    current = product["masterData"]["current"]
    return [variant["sku"] for variant in (current["masterVariant"], *current["variants"])]
