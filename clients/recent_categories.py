"""What this instance wrote of Klaviyo's categories in the last minute: Klaviyo's reads may lag."""

import threading
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache

_SECONDS = 60.0
_ENTRIES = 20_000


class RecentCategories:
    """Names of categories, and the categories of items, for a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: TTLCache[str, tuple[str, str]] = TTLCache(_ENTRIES, _SECONDS)
        self._items: TTLCache[str, frozenset[str]] = TTLCache(_ENTRIES, _SECONDS)

    def wrote(self, category_id: str, attributes: Mapping[str, Any]) -> None:
        """Klaviyo answered a write of the category with these attributes."""
        with self._lock:
            self._names[category_id] = (attributes["name"], str(attributes.get("updated") or ""))

    def deleted(self, category_id: str) -> None:
        """The category was deleted, or turned out not to exist."""
        with self._lock:
            self._names.pop(category_id, None)

    def name(self, category_id: str, read: Mapping[str, Any] | None) -> str | None:
        """The category's name: what was read (None: nothing), or what was written if Klaviyo's `updated` is newer."""
        with self._lock:
            written = self._names.get(category_id)
        if written and (not read or str(read.get("updated") or "") < written[1]):
            return written[0]
        return read["name"] if read else None

    def put_item(self, product_id: str, category_ids: frozenset[str]) -> None:
        """The item was put into these categories, and taken out of all others."""
        with self._lock:
            self._items[product_id] = category_ids

    def item_may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """False when the item was put into other categories than these."""
        with self._lock:
            return self._items.get(product_id, category_ids) == category_ids
