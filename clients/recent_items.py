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


@dataclass(frozen=True, slots=True)
class _Written:
    """What the last write of an item left, and the categories that the last write of those put it into."""

    item: KnownItem
    put_into: frozenset[str] | None


class RecentItems:
    """Items by product id, for a minute. Klaviyo's `updated` decides whether a read is older than a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: TTLCache[str, _Written | None] = TTLCache(_ITEMS, _SECONDS)

    def wrote(self, product_id: str, attributes: JsonObject, categories: frozenset[str] | None = None) -> None:
        """Klaviyo answered a write of the item with these attributes, and put it into these categories.

        A write without categories leaves them as they are, which may be as another instance has put them since.
        """
        with self._lock:
            before = self._items.get(product_id)
            put_into = before.put_into if before and categories is None else categories
            self._items[product_id] = _Written(KnownItem(attributes, categories), put_into)

    def may_be_gone(self, product_id: str) -> None:
        """The item was deleted, or a write of it failed and may have taken effect: no read tells for a while."""
        with self._lock:
            self._items[product_id] = None

    def corrected(self, product_id: str, read: JsonObject | None) -> KnownItem | None:
        """The item as Klaviyo has it: what was read (None: nothing), or what was written if that is newer.

        None where it is not there, or where nothing tells how it is: a read that shows something else at the time of
        the write is older or newer, as Klaviyo's `updated` may have whole seconds. A read does not show categories.
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
        ties = read_at == written_at and any(ours.get(name) != value for name, value in read.items())
        return None if ties else written.item

    def may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """False when the item was put into other categories than these, or when nothing tells where it is."""
        with self._lock:
            if product_id not in self._items:
                return True
            written = self._items[product_id]
        return written is not None and written.put_into in (None, category_ids)
