"""Random damage to Klaviyo's copy of the shop, and what `reconcile` must report about it."""

import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from commands.processes import Sandbox
from sandbox.catalog import PREFIX
from tests.functional.races import (
    create_category,
    create_item,
    create_profile,
    create_variant,
    delete_from_catalog,
    klaviyo_call,
)


@dataclass(slots=True)
class Expected:
    """The drift that a report must show for one kind of record."""

    missing: set[str] = field(default_factory=set)
    differing: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    extra: set[str] = field(default_factory=set)
    foreign: int = 0


class Damage:
    """Damages Klaviyo's copy as another client, each time in a different product."""

    def __init__(self, rng: random.Random, sandbox: Sandbox) -> None:
        self._rng = rng
        self._sandbox = sandbox
        self.expected: dict[str, Expected] = defaultdict(Expected)
        state = sandbox.klaviyo.state()
        self._items: dict[str, Any] = state["items"]
        self._variants: dict[str, Any] = state["variants"]
        self._categories: dict[str, str] = state["categories"]
        self._profiles = [one for one in state["profiles"] if one.get("external_id")]
        products = list(self._items)
        rng.shuffle(products)
        self._products = iter(products)

    def do_all(self) -> None:
        """Do every kind of damage once, in random order."""
        kinds = [
            self.delete_item, self.change_item, self.delete_variant, self.change_variant, self.move_variant,
            self.add_variant, self.add_item, self.rename_category, self.add_category, self.change_profile,
            self.move_item,
        ]  # fmt: skip
        self._rng.shuffle(kinds)
        for damage in kinds:
            damage()

    def delete_item(self) -> None:
        """Delete an item, and with it its variants."""
        product = next(self._products)
        delete_from_catalog(self._sandbox, "catalog-items", product)
        self.expected["items"].missing.add(product)
        self.expected["variants"].missing.update(self._skus(product))

    def change_item(self) -> None:
        """Change an item's title."""
        product = next(self._products)
        self._patch("catalog-item", "catalog-items", product, title="Somebody's")
        self.expected["items"].differing[product].add("title")

    def move_item(self) -> None:
        """Remove an item from all its categories, or put it into one if it has none."""
        product = next(self._products)
        into = [] if self._items[product]["categories"] else [next(iter(self._categories))]
        references = [{"type": "catalog-category", "id": PREFIX + own} for own in into]
        path = f"catalog-items/{quote(PREFIX + product, safe='')}/relationships/categories"
        klaviyo_call(self._sandbox, "PATCH", path, {"data": references})
        self.expected["items"].differing[product].add("categories")

    def delete_variant(self) -> None:
        """Delete a variant."""
        sku = self._rng.choice(self._skus(next(self._products)))
        delete_from_catalog(self._sandbox, "catalog-variants", sku)
        self.expected["variants"].missing.add(sku)

    def change_variant(self) -> None:
        """Change a variant's price and quantity."""
        sku = self._rng.choice(self._skus(next(self._products)))
        self._patch("catalog-variant", "catalog-variants", sku, price=12345.0, inventory_quantity=777)
        self.expected["variants"].differing[sku] |= {"price", "inventory_quantity"}

    def move_variant(self) -> None:
        """Re-create a variant under another item."""
        source, target = next(self._products), next(self._products)
        sku = self._rng.choice(self._skus(source))
        delete_from_catalog(self._sandbox, "catalog-variants", sku)
        create_variant(self._sandbox, sku, target)
        self.expected["variants"].differing[sku].add("item")

    def add_variant(self) -> None:
        """Create a variant that the shop does not have, under an item of the shop."""
        create_variant(self._sandbox, "surplus/ü", next(self._products))
        self.expected["variants"].extra.add("surplus/ü")

    def add_item(self) -> None:
        """Create two items, each with a variant.

        One item has a UUID, like a deleted product: it is extra, and its variant is not reported separately. The other
        has none, so it can't come from commercetools: item and variant are foreign.
        """
        deleted = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        for product, sku in ((deleted, "of one deleted"), ("someone-s", "of someone")):
            create_item(self._sandbox, product)
            create_variant(self._sandbox, sku, product)
        self.expected["items"].extra.add(deleted)
        self.expected["items"].foreign += 1
        self.expected["variants"].foreign += 1

    def rename_category(self) -> None:
        """Change a category's name."""
        category = self._rng.choice(list(self._categories))
        self._patch("catalog-category", "catalog-categories", category, name="Somebody's")
        self.expected["categories"].differing[category].add("name")

    def add_category(self) -> None:
        """Create a category with a UUID, like a deleted one, and a foreign one without."""
        deleted = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        create_category(self._sandbox, deleted)
        create_category(self._sandbox, "someone-s")
        self.expected["categories"].extra.add(deleted)
        self.expected["categories"].foreign += 1

    def change_profile(self) -> None:
        """Change a profile's first name, and create a profile that is no customer's. Only the first is drift."""
        profile = self._rng.choice(self._profiles)
        data = {"type": "profile", "id": profile["id"], "attributes": {"first_name": "Somebody"}}
        klaviyo_call(self._sandbox, "PATCH", f"profiles/{profile['id']}", {"data": data})
        create_profile(self._sandbox, external_id="nobody", email="nobody@example.com")
        self.expected["profiles"].differing[profile["external_id"]].add("first_name")

    def problems(self, report: dict[str, Any]) -> Iterator[str]:
        """Mismatches between a report and the expected drift."""
        for kind in ("categories", "items", "variants", "profiles"):
            reported, wanted = report["kinds"][kind], self.expected[kind]
            ids = reported["ids"]
            for name, expected_ids in (
                ("missing", wanted.missing),
                ("extra", wanted.extra),
                ("differing", wanted.differing),
            ):
                if set(ids.get(name, ())) != set(expected_ids):
                    yield f"{kind} {name}: {ids.get(name)}, not {sorted(expected_ids)}"
            fields = {name for names in wanted.differing.values() for name in names}
            if set(reported["differing"]) != fields:
                yield f"{kind} differ in {reported['differing']}, not in {sorted(fields)}"
            if reported["foreign"] != wanted.foreign:
                yield f"{reported['foreign']} {kind} are foreign, not {wanted.foreign}"

    def _skus(self, product: str) -> list[str]:
        return [sku for sku, variant in self._variants.items() if variant["item"] == product]

    def _patch(self, kind: str, collection: str, own_id: str, **attributes: Any) -> None:
        data = {"type": kind, "id": PREFIX + own_id, "attributes": attributes}
        klaviyo_call(self._sandbox, "PATCH", f"{collection}/{quote(PREFIX + own_id, safe='')}", {"data": data})
