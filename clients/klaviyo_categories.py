"""Klaviyo's catalog categories, and which items are in them. There is no upsert, and reads may lag."""

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
_PAGE = 100
_IDS_PER_FILTER = 50
"""Compound ids are long, and a filter is part of the URL."""
_NAME = ["name", "updated"]


class KlaviyoCategories:
    """Reads and writes of categories. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        self._calls = calls
        self._settings = settings
        self._recently = RecentCategories()

    def category_names(self, category_ids: Sequence[str]) -> dict[str, str]:
        """Name by id of those categories that Klaviyo has."""
        read = self._shown(category_ids)
        names = {
            # The list may lag behind a write that failed and took effect.
            own: self.category_name(own) if self._recently.is_unsure(own) else self._recently.name(own, read.get(own))
            for own in category_ids
        }
        return {own: name for own, name in names.items() if name is not None}

    def missing_categories(self, category_ids: Sequence[str]) -> list[str]:
        """Those of the categories that Klaviyo does not show."""
        read = self._shown(category_ids)
        return sorted(set(category_ids) - read.keys())

    def category_name(self, own_id: str) -> str | None:
        """Name of one category, from a read by its id; None when Klaviyo does not have it."""
        answer = self._calls.find(
            "Catalogs", "get_catalog_category", category_id(own_id), fields_catalog_category=_NAME
        )
        return self._recently.name(own_id, answer["data"]["attributes"]) if answer else None

    def categories_by_name(self) -> dict[str, set[str]]:
        """Ids by name of all categories."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for category in self._pages("get_catalog_categories", fields_catalog_category=_NAME):
            own = external_id(category["id"])
            found[self._recently.name(own, category["attributes"]) or ""].add(own)
        return dict(found)

    def create_category(self, category: Category) -> bool:
        """Create a category, named by its path; False when there is one already, which is left as it is."""
        body = catalog_category(category, self._settings)
        try:
            answer = self._write(category["id"], "create_catalog_category", body)
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            return False
        self._recently.wrote(category["id"], answer["data"]["attributes"])
        return True

    def rename_category(self, category: Category) -> bool:
        """Name a category by its path; False when Klaviyo does not have it."""
        update = category_update(category, self._settings)
        try:
            answer = self._write(category["id"], "update_catalog_category", update["data"]["id"], update)
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            self._recently.deleted(category["id"])
            return False
        self._recently.wrote(category["id"], answer["data"]["attributes"])
        return True

    def delete_category(self, own_id: str) -> None:
        """Delete a category; one that is not there is deleted."""
        self._delete("delete_catalog_category", category_id(own_id))
        self._recently.deleted(own_id)

    def products_in_category(self, own_id: str) -> frozenset[str]:
        """Ids of the products whose items are in a category; none when Klaviyo does not have it."""
        return self._ids("get_item_ids_for_catalog_category", category_id(own_id)) or frozenset()

    def categories_of_item(self, product_id: str) -> frozenset[str] | None:
        """Ids of the categories that an item is in; None when Klaviyo does not have the item."""
        return self._ids("get_category_ids_for_catalog_item", item_id(product_id))

    def _write(self, own_id: str, operation: str, *arguments: Any) -> JsonObject:
        try:
            return self._calls.send("Catalogs", operation, *arguments)
        except TryAgain:
            self._recently.may_have_written(own_id)
            raise

    def _shown(self, category_ids: Sequence[str]) -> dict[str, JsonObject]:
        read: dict[str, JsonObject] = {}
        for start in range(0, len(category_ids), _IDS_PER_FILTER):
            ids = [category_id(own) for own in category_ids[start : start + _IDS_PER_FILTER]]
            page = self._calls.send(
                "Catalogs",
                "get_catalog_categories",
                filter=f"any(ids,{json.dumps(ids)})",
                fields_catalog_category=_NAME,
            )
            read |= {external_id(category["id"]): category["attributes"] for category in page["data"]}
        return read

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
        """Delete something; what is not there is deleted."""
        self._calls.find("Catalogs", operation, compound_id)
