"""Products and stock where a lot happens, by chance. Few values, so that what was there before often comes back."""

import random
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, money, reference
from tests.functional.random_categories import RandomCategories

CHANNELS = (None, "north", "south")
"""Supply channels of inventory entries; of each SKU one entry a channel, as in commercetools."""


class RandomCatalog(RandomCategories):
    """The catalog's changes: each is made in the sandbox and gives back its deliveries, none where it can't be made."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        super().__init__(rng, commercetools)
        self._free_skus: list[str] = []
        self._last_sku_move: tuple[str, str, str] | None = None
        """A SKU, the product that it came from and the one that has it now."""

    # products

    def add_product(self) -> list[Json]:
        """A published product of one to three variants, in up to two categories."""
        product_id = f"product-{next(self._numbers)}"
        skus = [f"{product_id} {number}/ü" for number in range(1, self._rng.randint(1, 3) + 1)]
        variants = [make.variant(sku, number) for number, sku in enumerate(skus, 1)]
        product = self._put("products", make.product(product_id, variants, categories=self._some_categories()))
        return [self._message("ProductPublished", "product", product)]

    def edit_product(self) -> list[Json]:
        """Another price, name or category; the product is published."""
        product = self._one("products")
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
        """A variant more, perhaps with a SKU that another product gave up, or one less."""
        product = self._one("products")
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
        """A variant goes from one product to another, often the one that moved last and back to where it was.

        commercetools knows a SKU once: the first product is published without it before the second has it.
        """
        products = self._all["products"]
        if self._last_sku_move and self._rng.random() < 0.4:
            sku, target, source = self._last_sku_move
        else:
            sku, source, target = "", self._one("products")["id"], self._one("products")["id"]
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
        hidden = self._edit("products", product, masterData={**product["masterData"], "published": False})
        return [self._message("ProductUnpublished", "product", hidden)]

    def delete_product(self) -> list[Json]:
        """An unpublished product is deleted: commercetools deletes no other."""
        product = self._any_to_spare("products")
        if not product or product["masterData"]["published"]:
            return []
        self._free_skus += _skus(product)
        self._delete("products", product)
        return [self._message("ProductDeleted", "product", product)]

    # stock

    def set_stock(self) -> list[Json]:
        """Another quantity."""
        quantity = self._rng.choice([0, 1, 250])
        entry = self._edit("inventory", self._one("inventory"), quantityOnStock=quantity, availableQuantity=quantity)
        return [self._stock_change("ResourceUpdated", entry)]

    def move_stock(self) -> list[Json]:
        """An entry changes its supply channel."""
        entry = self._one("inventory")
        channel = self._free_channel(entry["sku"])
        if not channel:
            return []
        moved = self._edit("inventory", entry, **channel)
        return [self._stock_change("ResourceUpdated", moved)]

    def delete_stock(self) -> list[Json]:
        """An entry is deleted; the SKU's last one: it is not tracked any more."""
        entry = self._any_to_spare("inventory")
        if not entry:
            return []
        self._delete("inventory", entry)
        return [self._stock_change("ResourceDeleted", entry)]

    def add_stock(self) -> list[Json]:
        """A SKU gets an entry, in a channel where it has none."""
        sku = self._rng.choice(_skus(self._one("products")))
        channel = self._free_channel(sku)
        return self._new_stock(sku, **channel) if channel else []

    # what they are made of

    def _free_channel(self, sku: str) -> dict[str, Any]:
        """The `supplyChannel` of an entry in a channel where the SKU has none; empty if it has entries in all."""
        taken = {
            entry.get("supplyChannel", {}).get("id") for entry in self._all["inventory"].values() if entry["sku"] == sku
        }
        free = [channel for channel in CHANNELS if channel not in taken]
        if not free:
            return {}
        channel = self._rng.choice(free)
        return {"supplyChannel": reference("channel", channel) if channel else None}

    def _new_stock(self, sku: str, **fields: Any) -> list[Json]:
        given = {name: value for name, value in fields.items() if value is not None}
        entry = make.entry(f"entry-{next(self._numbers)}", sku, self._rng.choice([0, 3, 99]), **given)
        return [self._stock_change("ResourceCreated", self._put("inventory", entry))]

    def _stock_change(self, kind: str, entry: Json) -> Json:
        """It names the SKU: without it a message can't say whose stock it wrote, once its entry is gone."""
        return self._change(kind, "inventory-entry", entry, resourceUserProvidedIdentifiers={"sku": entry["sku"]})

    def _some_categories(self) -> list[str]:
        known = list(self._all["categories"])
        return self._rng.sample(known, min(len(known), self._rng.randint(0, 2)))


def _with_variant(current: Json, sku: str) -> Json:
    """A product's data with one more variant."""
    number = 1 + max(variant["id"] for variant in (current["masterVariant"], *current["variants"]))
    return {**current, "variants": [*current["variants"], make.variant(sku, number)]}


def _skus(product: Json) -> list[str]:
    current = product["masterData"]["current"]
    return [variant["sku"] for variant in (current["masterVariant"], *current["variants"])]
