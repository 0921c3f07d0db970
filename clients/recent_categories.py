"""What this instance wrote of Klaviyo's categories in the last minute: Klaviyo's reads may lag."""

import threading
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache

_SECONDS = 60.0
_ENTRIES = 20_000


class RecentCategories:
    """Names of categories, for a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: TTLCache[str, tuple[str, str]] = TTLCache(_ENTRIES, _SECONDS)
        self._unsure: TTLCache[str, None] = TTLCache(_ENTRIES, _SECONDS)

    def wrote(self, category_id: str, attributes: Mapping[str, Any]) -> None:
        """Klaviyo answered a write of the category with these attributes."""
        with self._lock:
            self._unsure.pop(category_id, None)
            self._names[category_id] = (attributes["name"], str(attributes.get("updated") or ""))

    def deleted(self, category_id: str) -> None:
        """The category was deleted, or turned out not to exist."""
        with self._lock:
            self._unsure.pop(category_id, None)
            self._names.pop(category_id, None)

    def may_have_written(self, category_id: str) -> None:
        """A write of the category failed, and may have taken effect: no list tells for a while."""
        with self._lock:
            self._unsure[category_id] = None

    def is_unsure(self, category_id: str) -> bool:
        """Whether the last write of the category may have taken effect although it failed."""
        with self._lock:
            return category_id in self._unsure

    def name(self, category_id: str, read: Mapping[str, Any] | None) -> str | None:
        """The category's name: what was read (None: nothing), or what was written if Klaviyo's `updated` is newer."""
        with self._lock:
            written = self._names.get(category_id)
        if written and (not read or str(read.get("updated") or "") < written[1]):
            return written[0]
        return read["name"] if read else None
