"""A tree of categories where a lot happens, by chance, and what its changes do to products.

What docs/how-it-works.md leaves to a later message does not happen here: no two categories share a name, so that a move
always changes the text of a path, and none moves while a message about it, or about one above or below it, is pending.
"""

import random
from collections.abc import Callable

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, reference
from tests.functional.random_documents import RandomDocuments

_DEEPEST = 3
"""Ancestors that a category may have."""


class RandomCategories(RandomDocuments):
    """The changes of categories: each is made in the sandbox and gives back its deliveries."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        super().__init__(rng, commercetools)
        self._last_category_move: tuple[str, str] | None = None
        """A category, and the parent that it had before, if any."""
        self.is_pending: Callable[[Json], bool] = lambda _resource: False
        """Whether a message about a resource is not acknowledged yet."""

    def add_category(self) -> list[Json]:
        """A category, often below another one."""
        number = next(self._numbers)
        parent = self._one("categories") if self._all["categories"] and self._rng.random() < 0.7 else None
        ancestors = [*_ancestors(parent), parent["id"]] if parent and len(_ancestors(parent)) < _DEEPEST else []
        category = make.category(f"category-{number}", f"Category {number}", ancestors=ancestors)
        return [self._message("CategoryCreated", "category", self._put("categories", category))]

    def rename_category(self) -> list[Json]:
        """Another name, which is part of its descendants' names."""
        category = self._one("categories")
        name = {"en-US": f"{category['id']} {self._rng.randrange(3)}"}
        category = self._edit("categories", category, name=name)
        return [self._change("ResourceUpdated", "category", category)]

    def move_category(self) -> list[Json]:
        """Another parent, often the one before. Only the category itself is told: no descendant, no product.

        A descendant's version stays: what it inherits is no change of its own.
        """
        categories = self._all["categories"]
        if self._last_category_move and self._rng.random() < 0.4:
            category_id, parent_id = self._last_category_move
        else:
            category_id = self._one("categories")["id"]
            parent_id = self._one("categories")["id"] if self._rng.random() < 0.8 else ""
        if category_id not in categories or (parent_id and parent_id not in categories):
            return []
        category, branch = categories[category_id], self._branch(category_id)
        former = _ancestors(category)
        if parent_id in branch or any(self.is_pending(reference("category", own)) for own in (*branch, *former)):
            return []
        above = [*_ancestors(categories[parent_id]), parent_id] if parent_id else []
        deepest = max(len(_ancestors(categories[own])) for own in branch) - len(former)
        if len(above) + deepest > _DEEPEST or above == former:
            return []
        self._last_category_move = (category_id, former[-1] if former else "")
        self._move(category, branch, above)
        return [self._change("ResourceUpdated", "category", categories[category_id])]

    def _move(self, category: Json, branch: set[str], above: list[str]) -> None:
        """Put a branch below other ancestors, all of it at once."""
        moved = {}
        for own in branch - {category["id"]}:
            document = self._all["categories"][own]
            ancestors = _ancestors(document)
            below = ancestors[ancestors.index(category["id"]) :]
            moved[own] = {**document, "ancestors": _references([*above, *below])}
        root = {
            **category,
            "version": category["version"] + 1,
            "lastModifiedAt": self._now(),
            "ancestors": _references(above),
            "parent": reference("category", above[-1]) if above else None,
        }
        moved[category["id"]] = {name: value for name, value in root.items() if value is not None}
        self._latest["categories"] = category["id"]
        self._all["categories"] |= moved
        self._commercetools.put_all({"categories": list(moved.values())})

    def delete_category(self) -> list[Json]:
        """A category without descendants; the products that were in it are published again without it."""
        category = self._any_to_spare("categories")
        if not category or len(self._branch(category["id"])) > 1:
            return []
        deliveries = []
        for product in self._in_category(category["id"]):
            current = product["masterData"]["current"]
            left = [kept for kept in current["categories"] if kept["id"] != category["id"]]
            deliveries += self._save(product, {**current, "categories": left})
        self._delete("categories", category)
        return [self._change("ResourceDeleted", "category", category), *deliveries]

    # what they are made of

    def _publish(self, product: Json, current: Json) -> list[Json]:
        master = {**product["masterData"], "published": True, "current": current}
        return [self._message("ProductPublished", "product", self._edit("products", product, masterData=master))]

    def _save(self, product: Json, current: Json) -> list[Json]:
        """Publish a product that is published; change another one without a word."""
        if product["masterData"]["published"]:
            return self._publish(product, current)
        self._edit("products", product, masterData={**product["masterData"], "current": current})
        return []

    def _branch(self, category_id: str) -> set[str]:
        return {category_id} | {
            own for own, category in self._all["categories"].items() if category_id in _ancestors(category)
        }

    def _in_category(self, category_id: str) -> list[Json]:
        return [
            product
            for product in self._all["products"].values()
            if category_id in {found["id"] for found in product["masterData"]["current"]["categories"]}
        ]


def _references(category_ids: list[str]) -> list[Json]:
    return [reference("category", category_id) for category_id in category_ids]


def _ancestors(category: Json | None) -> list[str]:
    return [ancestor["id"] for ancestor in category["ancestors"]] if category else []
