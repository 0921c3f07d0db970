"""Random changes in a category tree, and their consequences for products.

Two cases that docs/how-it-works.md leaves to a later message are avoided. Category names are unique, so a move always
changes the path's text. And a category does not move while a message about it, an ancestor or a descendant is pending.
"""

import random
from collections.abc import Callable

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, reference
from tests.functional.random_documents import RandomDocuments

_MAX_ANCESTORS = 3
"""No category has more ancestors."""


class RandomCategories(RandomDocuments):
    """Changes of categories. Each is applied to the sandbox and returns its notifications."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        super().__init__(rng, commercetools)
        self._last_category_move: tuple[str, str] | None = None
        """A category and its previous parent; empty if it had none."""
        self.is_pending: Callable[[Json], bool] = lambda _resource: False
        """True if a message about a resource is not acknowledged yet."""

    def add_category(self) -> list[Json]:
        """Add a category, often below another one."""
        number = next(self._numbers)
        parent = self._pick("categories") if self._documents["categories"] and self._rng.random() < 0.7 else None
        ancestors = [*_ancestors(parent), parent["id"]] if parent and len(_ancestors(parent)) < _MAX_ANCESTORS else []
        category = make.category(f"category-{number}", f"Category {number}", ancestors=ancestors)
        return [self._message("CategoryCreated", "category", self._store("categories", category))]

    def rename_category(self) -> list[Json]:
        """Rename a category. Its name is also part of its descendants' names in Klaviyo."""
        category = self._pick("categories")
        name = {"en-US": f"{category['id']} {self._rng.randrange(3)}"}
        category = self._edit("categories", category, name=name)
        return [self._change("ResourceUpdated", "category", category)]

    def move_category(self) -> list[Json]:
        """Move a category to another parent, often back to its previous one.

        Like commercetools, this sends a notification only for the category itself, not for descendants or products, and
        does not change its descendants' versions.
        """
        categories = self._documents["categories"]
        if self._last_category_move and self._rng.random() < 0.4:
            category_id, parent_id = self._last_category_move
        else:
            category_id = self._pick("categories")["id"]
            parent_id = self._pick("categories")["id"] if self._rng.random() < 0.8 else ""
        if category_id not in categories or (parent_id and parent_id not in categories):
            return []
        category, branch = categories[category_id], self._branch(category_id)
        former = _ancestors(category)
        if parent_id in branch or any(self.is_pending(reference("category", own)) for own in (*branch, *former)):
            return []
        above = [*_ancestors(categories[parent_id]), parent_id] if parent_id else []
        deepest = max(len(_ancestors(categories[own])) for own in branch) - len(former)
        if len(above) + deepest > _MAX_ANCESTORS or above == former:
            return []
        self._last_category_move = (category_id, former[-1] if former else "")
        self._move(category, branch, above)
        return [self._change("ResourceUpdated", "category", categories[category_id])]

    def _move(self, category: Json, branch: set[str], above: list[str]) -> None:
        """Move a branch below other ancestors in one step."""
        moved = {}
        for own in branch - {category["id"]}:
            document = self._documents["categories"][own]
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
        self._last_changed["categories"] = category["id"]
        self._documents["categories"] |= moved
        self._commercetools.put_all({"categories": list(moved.values())})

    def delete_category(self) -> list[Json]:
        """Delete a category without descendants, and take it out of its products."""
        category = self._pick_spare("categories")
        if not category or len(self._branch(category["id"])) > 1:
            return []
        deliveries = []
        for product in self._in_category(category["id"]):
            current = product["masterData"]["current"]
            left = [kept for kept in current["categories"] if kept["id"] != category["id"]]
            deliveries += self._save(product, {**current, "categories": left})
        self._delete("categories", category)
        return [self._change("ResourceDeleted", "category", category), *deliveries]

    # shared parts

    def _publish(self, product: Json, current: Json) -> list[Json]:
        master = {**product["masterData"], "published": True, "current": current}
        return [self._message("ProductPublished", "product", self._edit("products", product, masterData=master))]

    def _save(self, product: Json, current: Json) -> list[Json]:
        """Change a product's data. Only a published product is published again and sends a notification."""
        if product["masterData"]["published"]:
            return self._publish(product, current)
        self._edit("products", product, masterData={**product["masterData"], "current": current})
        return []

    def _branch(self, category_id: str) -> set[str]:
        return {category_id} | {
            own for own, category in self._documents["categories"].items() if category_id in _ancestors(category)
        }

    def _in_category(self, category_id: str) -> list[Json]:
        return [
            product
            for product in self._documents["products"].values()
            if category_id in {found["id"] for found in product["masterData"]["current"]["categories"]}
        ]


def _references(category_ids: list[str]) -> list[Json]:
    return [reference("category", category_id) for category_id in category_ids]


def _ancestors(category: Json | None) -> list[str]:
    return [ancestor["id"] for ancestor in category["ancestors"]] if category else []
