"""Items that this instance wrote to Klaviyo in the last minute, as Klaviyo's reads may lag behind writes."""

import threading
from dataclasses import dataclass

from cachetools import TTLCache

from mappers.mapped import JsonObject

_SECONDS = 60.0
_ITEMS = 20_000


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item in Klaviyo. `categories` are the ids of its categories, None if unknown."""

    attributes: JsonObject
    categories: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    """An item after its last write. `put_into` are the categories of the last write that set them, None if none did."""

    item: KnownItem
    put_into: frozenset[str] | None


class RecentItems:
    """Remembers written items by product id for a minute. Klaviyo's `updated` shows if a read is older than a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: TTLCache[str, _Written | None] = TTLCache(_ITEMS, _SECONDS)

    def wrote(self, product_id: str, attributes: JsonObject, categories: frozenset[str] | None = None) -> None:
        """Klaviyo answered a write of the item with these attributes, and put it into these categories.

        A write without categories does not change them. They are then unknown, as another instance may have changed
        them since.
        """
        with self._lock:
            before = self._items.get(product_id)
            put_into = before.put_into if before and categories is None else categories
            self._items[product_id] = _Written(KnownItem(attributes, categories), put_into)

    def mark_unknown(self, product_id: str) -> None:
        """The item was deleted, or a write of it failed but may have taken effect. Reads can't be trusted for now."""
        with self._lock:
            self._items[product_id] = None

    def corrected(self, product_id: str, read: JsonObject | None) -> KnownItem | None:
        """The item as it was read (None if Klaviyo shows none), or as it was written if that is newer.

        None if it does not exist, or if its state is unknown. It is unknown after `mark_unknown`, and if the read
        differs from the write at the same `updated`: that may be in whole seconds, so either may be newer. A read does
        not include categories.
        """
        with self._lock:
            written = self._items.get(product_id)
            is_known = product_id in self._items
        if read is None or (is_known and written is None):
            return None
        if written is None:
            return KnownItem(read)
        ours = written.item.attributes
        read_at, written_at = str(read.get("updated") or ""), str(ours.get("updated") or "")
        if read_at > written_at:
            return KnownItem(read)
        is_ambiguous = read_at == written_at and any(ours.get(name) != value for name, value in read.items())
        return None if is_ambiguous else written.item

    def may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """False if the item was put into other categories than these, or if its state is unknown."""
        with self._lock:
            if product_id not in self._items:
                return True
            written = self._items[product_id]
        return written is not None and written.put_into in (None, category_ids)
