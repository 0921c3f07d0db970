"""What Klaviyo's lists said, packed small: a shop of 100,000 variants is held while its own side is read."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from clients.klaviyo_calls import Page
from core.wire import decoded, encoded
from jobs.drift.workers import WorkerPool
from mappers.ids import external_id
from mappers.mapped import JsonObject

_LEVEL = 1
"""Of compression: the fastest, which is nearly as small here."""


class PackedRecords:
    """Attributes of items or variants by our own id, and the product that each variant's item belongs to, if told."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self.owners: dict[str, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._packed)

    def __iter__(self) -> Iterator[str]:
        """Their ids."""
        return iter(self._packed)

    def __contains__(self, own_id: str) -> bool:
        """Whether there is one of this id."""
        return own_id in self._packed

    def put(self, record: JsonObject) -> None:
        """Keep a record of a list."""
        own_id = external_id(record["id"])
        self._packed[own_id] = zlib.compress(encoded(record["attributes"]), _LEVEL)
        item = ((record.get("relationships") or {}).get("item") or {}).get("data")
        if item:
            self.owners[own_id] = external_id(item["id"])

    def get(self, own_id: str) -> Mapping[str, Any] | None:
        """Attributes of one of them."""
        packed = self._packed.get(own_id)
        found: Mapping[str, Any] | None = None if packed is None else decoded(zlib.decompress(packed))
        return found


def read_list(pool: WorkerPool, what: str, page: Callable[[str], Page], take: Callable[[JsonObject], None]) -> None:
    """Give all records of a list to `take`, page by page."""
    cursor = ""
    while True:
        found = pool.read(f"Klaviyo's list of {what}", partial(page, cursor))
        for record in found.results:
            take(record)
        pool.step(len(found.results))
        if not found.cursor:
            return
        cursor = found.cursor
