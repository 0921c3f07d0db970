"""Categories that this instance wrote to Klaviyo in the last minute, as Klaviyo's reads may lag behind writes."""

import threading
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache

_SECONDS = 60.0
_ENTRIES = 20_000


class RecentCategories:
    """Remembers names of written categories for a minute. Klaviyo's `updated` shows if a read is older than a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: TTLCache[str, tuple[str, str]] = TTLCache(_ENTRIES, _SECONDS)
        self._in_doubt: TTLCache[str, None] = TTLCache(_ENTRIES, _SECONDS)

    def wrote(self, category_id: str, attributes: Mapping[str, Any]) -> None:
        """Klaviyo answered a write of the category with these attributes."""
        with self._lock:
            self._in_doubt.pop(category_id, None)
            self._names[category_id] = (attributes["name"], str(attributes.get("updated") or ""))

    def deleted(self, category_id: str) -> None:
        """The category was deleted, or turned out not to exist."""
        with self._lock:
            self._in_doubt.pop(category_id, None)
            self._names.pop(category_id, None)

    def may_have_written(self, category_id: str) -> None:
        """A write of the category failed, but may have taken effect, so lists can't be trusted for a while."""
        with self._lock:
            self._in_doubt[category_id] = None

    def is_in_doubt(self, category_id: str) -> bool:
        """True if the last write of the category failed, but may have taken effect."""
        with self._lock:
            return category_id in self._in_doubt

    def name(self, category_id: str, read: Mapping[str, Any] | None) -> str | None:
        """The name in a read (None if Klaviyo shows no category), or the written name if that is newer."""
        with self._lock:
            written = self._names.get(category_id)
        if written and (not read or str(read.get("updated") or "") < written[1]):
            return written[0]
        return read["name"] if read else None
