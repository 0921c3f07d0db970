"""Damage done to Klaviyo behind the function's back, by chance, and what a comparison must say of it."""

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
    """What is wrong with one kind."""

    missing: set[str] = field(default_factory=set)
    differing: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    extra: set[str] = field(default_factory=set)
    foreign: int = 0


class Damage:
    """Each kind of damage is done once, to another product, category or profile."""

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
        """Every kind of damage, in a random order."""
        kinds = [
            self.delete_item, self.change_item, self.delete_variant, self.change_variant, self.move_variant,
            self.add_variant, self.add_item, self.rename_category, self.add_category, self.change_profile,
            self.move_item,
        ]  # fmt: skip
        self._rng.shuffle(kinds)
        for damage in kinds:
            damage()

    def delete_item(self) -> None:
        """An item goes, and its variants with it."""
        product = next(self._products)
        delete_from_catalog(self._sandbox, "catalog-items", product)
        self.expected["items"].missing.add(product)
        self.expected["variants"].missing.update(self._skus(product))

    def change_item(self) -> None:
        """Another title."""
        product = next(self._products)
        self._patch("catalog-item", "catalog-items", product, title="Somebody's")
        self.expected["items"].differing[product].add("title")

    def move_item(self) -> None:
        """Out of all categories, or into one."""
        product = next(self._products)
        into = [] if self._items[product]["categories"] else [next(iter(self._categories))]
        references = [{"type": "catalog-category", "id": PREFIX + own} for own in into]
        path = f"catalog-items/{quote(PREFIX + product, safe='')}/relationships/categories"
        klaviyo_call(self._sandbox, "PATCH", path, {"data": references})
        self.expected["items"].differing[product].add("categories")

    def delete_variant(self) -> None:
        """A variant goes."""
        sku = self._rng.choice(self._skus(next(self._products)))
        delete_from_catalog(self._sandbox, "catalog-variants", sku)
        self.expected["variants"].missing.add(sku)

    def change_variant(self) -> None:
        """Another price and quantity."""
        sku = self._rng.choice(self._skus(next(self._products)))
        self._patch("catalog-variant", "catalog-variants", sku, price=12345.0, inventory_quantity=777)
        self.expected["variants"].differing[sku] |= {"price", "inventory_quantity"}

    def move_variant(self) -> None:
        """A variant is under another item."""
        source, target = next(self._products), next(self._products)
        sku = self._rng.choice(self._skus(source))
        delete_from_catalog(self._sandbox, "catalog-variants", sku)
        create_variant(self._sandbox, sku, target)
        self.expected["variants"].differing[sku].add("item")

    def add_variant(self) -> None:
        """One that the shop does not have, under one of our items."""
        create_variant(self._sandbox, "surplus/ü", next(self._products))
        self.expected["variants"].extra.add("surplus/ü")

    def add_item(self) -> None:
        """An item that looks like one of a product that is gone, and one of somebody else, each with a variant."""
        gone = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        for product, sku in ((gone, "of one gone"), ("someone-s", "of someone")):
            create_item(self._sandbox, product)
            create_variant(self._sandbox, sku, product)
        self.expected["items"].extra.add(gone)
        self.expected["items"].foreign += 1
        self.expected["variants"].foreign += 1

    def rename_category(self) -> None:
        """Another name."""
        category = self._rng.choice(list(self._categories))
        self._patch("catalog-category", "catalog-categories", category, name="Somebody's")
        self.expected["categories"].differing[category].add("name")

    def add_category(self) -> None:
        """One that looks like ours, and one that does not."""
        gone = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        create_category(self._sandbox, gone)
        create_category(self._sandbox, "someone-s")
        self.expected["categories"].extra.add(gone)
        self.expected["categories"].foreign += 1

    def change_profile(self) -> None:
        """Another name; and a profile of somebody whom the shop does not know."""
        profile = self._rng.choice(self._profiles)
        data = {"type": "profile", "id": profile["id"], "attributes": {"first_name": "Somebody"}}
        klaviyo_call(self._sandbox, "PATCH", f"profiles/{profile['id']}", {"data": data})
        create_profile(self._sandbox, external_id="nobody", email="nobody@example.com")
        self.expected["profiles"].differing[profile["external_id"]].add("first_name")

    def problems(self, report: dict[str, Any]) -> Iterator[str]:
        """Where a report says something else."""
        for kind in ("categories", "items", "variants", "profiles"):
            told, wanted = report["kinds"][kind], self.expected[kind]
            ids = told["ids"]
            for name, of_kind in (
                ("missing", wanted.missing),
                ("extra", wanted.extra),
                ("differing", wanted.differing),
            ):
                if set(ids.get(name, ())) != set(of_kind):
                    yield f"{kind} {name}: {ids.get(name)}, not {sorted(of_kind)}"
            fields = {name for names in wanted.differing.values() for name in names}
            if set(told["differing"]) != fields:
                yield f"{kind} differ in {told['differing']}, not in {sorted(fields)}"
            if told["foreign"] != wanted.foreign:
                yield f"{told['foreign']} {kind} are foreign, not {wanted.foreign}"

    def _skus(self, product: str) -> list[str]:
        return [sku for sku, one in self._variants.items() if one["item"] == product]

    def _patch(self, kind: str, collection: str, own_id: str, **attributes: Any) -> None:
        data = {"type": kind, "id": PREFIX + own_id, "attributes": attributes}
        klaviyo_call(self._sandbox, "PATCH", f"{collection}/{quote(PREFIX + own_id, safe='')}", {"data": data})
