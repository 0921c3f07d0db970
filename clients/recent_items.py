"""What this instance wrote of Klaviyo's items in the last minute, in case Klaviyo's reads lag behind its writes."""

import threading
from dataclasses import dataclass

from cachetools import TTLCache

from mappers.mapped import JsonObject

_SECONDS = 60.0
_ITEMS = 20_000


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item as Klaviyo has it; `categories` are the ids of those it is in, None where that is not known."""

    attributes: JsonObject
    categories: frozenset[str] | None = None


class RecentItems:
    """Items by product id, for a minute. Klaviyo's `updated` decides whether a read is older than a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: TTLCache[str, KnownItem | None] = TTLCache(_ITEMS, _SECONDS)

    def wrote(self, product_id: str, attributes: JsonObject, categories: frozenset[str] | None = None) -> None:
        """Klaviyo answered a write of the item with these attributes; its categories stayed, or are these now."""
        with self._lock:
            before = self._items.get(product_id)
            kept = before.categories if before and categories is None else categories
            self._items[product_id] = KnownItem(attributes, kept)

    def may_be_gone(self, product_id: str) -> None:
        """The item was deleted, or a write of it failed and may have taken effect: no read tells for a while."""
        with self._lock:
            self._items[product_id] = None

    def corrected(self, product_id: str, read: JsonObject | None) -> KnownItem | None:
        """The item as Klaviyo has it: what was read (None: nothing), or what was written if that is newer.

        None where it is not there, or where nothing tells how it is. A read does not show categories. One that ties
        with the write counts, as Klaviyo's `updated` may have whole seconds, in which others write, too.
        """
        with self._lock:
            written = self._items.get(product_id)
            is_known = product_id in self._items
        if read is None or (is_known and written is None):
            return None
        if written is None:
            return KnownItem(read)
        read_at, written_at = str(read.get("updated") or ""), str(written.attributes.get("updated") or "")
        is_as_written = all(written.attributes.get(name) == value for name, value in read.items())
        return (
            KnownItem(read) if read_at > written_at or (read_at == written_at != "" and not is_as_written) else written
        )

    def may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """False when the item was put into other categories than these, or when nothing tells where it is."""
        with self._lock:
            if product_id not in self._items:
                return True
            written = self._items[product_id]
        return written is not None and written.categories in (None, category_ids)
