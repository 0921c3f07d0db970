"""Read and write Klaviyo's catalog categories, which have no upsert, and whose reads may lag behind writes.

`own_id` is a category's id in commercetools, from which `mappers.ids` builds its compound id in Klaviyo.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls
from clients.recent_categories import RecentCategories
from core.errors import Refused, TryAgain
from core.settings import Settings
from mappers.catalog_documents import Category
from mappers.category import catalog_category, category_update
from mappers.ids import category_id, external_id, item_id
from mappers.mapped import JsonObject

_NOT_FOUND = 404
_CONFLICT = 409
_IDS_PER_FILTER = 50
"""Compound ids are long, and a filter is part of the URL, which has a maximum length."""
_NAME = ["name", "updated"]


class KlaviyoCategories:
    """Reads and writes of categories, and which items are in them. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        self._calls = calls
        self._settings = settings
        self._recent_categories = RecentCategories()

    def category_names(self, category_ids: Sequence[str]) -> dict[str, str]:
        """Names by id, of the categories that exist in Klaviyo."""
        listed = self._listed(category_ids)
        names = {
            # After a failed write the list may lag, so read the category by its id.
            own: self.category_name(own)
            if self._recent_categories.is_in_doubt(own)
            else self._recent_categories.name(own, listed.get(own))
            for own in category_ids
        }
        return {own: name for own, name in names.items() if name is not None}

    def missing_categories(self, category_ids: Sequence[str]) -> list[str]:
        """The categories that Klaviyo does not list."""
        listed = self._listed(category_ids)
        return sorted(set(category_ids) - listed.keys())

    def category_name(self, own_id: str) -> str | None:
        """Name of a category, read by its id; None if it does not exist."""
        answer = self._calls.find(
            "Catalogs", "get_catalog_category", category_id(own_id), fields_catalog_category=_NAME
        )
        return self._recent_categories.name(own_id, answer["data"]["attributes"]) if answer else None

    def categories_by_name(self) -> dict[str, set[str]]:
        """Ids of all categories by name."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for category in self._pages("get_catalog_categories", fields_catalog_category=_NAME):
            own = external_id(category["id"])
            found[self._recent_categories.name(own, category["attributes"]) or ""].add(own)
        return dict(found)

    def create_category(self, category: Category) -> bool:
        """Create a category, named by its path. False if it exists already; then it is not changed."""
        body = catalog_category(category, self._settings)
        try:
            answer = self._write(category["id"], "create_catalog_category", body)
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            return False
        self._recent_categories.wrote(category["id"], answer["data"]["attributes"])
        return True

    def rename_category(self, category: Category) -> bool:
        """Name a category by its path. False if it does not exist."""
        update = category_update(category, self._settings)
        try:
            answer = self._write(category["id"], "update_catalog_category", update["data"]["id"], update)
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            self._recent_categories.deleted(category["id"])
            return False
        self._recent_categories.wrote(category["id"], answer["data"]["attributes"])
        return True

    def delete_category(self, own_id: str) -> None:
        """Delete a category. Does nothing if it does not exist."""
        self._delete("delete_catalog_category", category_id(own_id))
        self._recent_categories.deleted(own_id)

    def products_in_category(self, own_id: str) -> frozenset[str]:
        """Ids of the products whose items are in a category; empty if the category does not exist."""
        return self._ids("get_item_ids_for_catalog_category", category_id(own_id)) or frozenset()

    def categories_of_item(self, product_id: str) -> frozenset[str] | None:
        """Ids of the categories that an item is in; None if the item does not exist."""
        return self._ids("get_category_ids_for_catalog_item", item_id(product_id))

    def _write(self, own_id: str, operation: str, *arguments: Any) -> JsonObject:
        try:
            return self._calls.send("Catalogs", operation, *arguments)
        except TryAgain:
            self._recent_categories.may_have_written(own_id)
            raise

    def _listed(self, category_ids: Sequence[str]) -> dict[str, JsonObject]:
        compound_ids = [category_id(own) for own in category_ids]
        return self._attributes("get_catalog_categories", compound_ids, fields_catalog_category=_NAME)

    def _attributes(self, operation: str, compound_ids: Sequence[str], **fields: Any) -> dict[str, JsonObject]:
        """Attributes by commercetools id, of the records that a list shows."""
        listed: dict[str, JsonObject] = {}
        for start in range(0, len(compound_ids), _IDS_PER_FILTER):
            wanted = json.dumps(compound_ids[start : start + _IDS_PER_FILTER])
            page = self._calls.send("Catalogs", operation, filter=f"any(ids,{wanted})", **fields)
            listed |= {external_id(record["id"]): record["attributes"] for record in page["data"]}
        return listed

    def _ids(self, operation: str, compound_id: str) -> frozenset[str] | None:
        try:
            return frozenset(external_id(reference["id"]) for reference in self._pages(operation, compound_id))
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return None

    def _pages(self, operation: str, *arguments: Any, **options: Any) -> Iterator[JsonObject]:
        """All results of a list, page by page."""
        return self._calls.pages("Catalogs", operation, *arguments, **options)

    def _delete(self, operation: str, compound_id: str) -> None:
        """Delete a record. A 404 means that it is deleted."""
        self._calls.find("Catalogs", operation, compound_id)
