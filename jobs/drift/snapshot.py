"""Klaviyo's lists, compressed in memory: 100,000 variants are kept while the shop's side is read."""

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
"""The fastest compression level; higher ones save little here."""


class PackedRecords:
    """Attributes of items or variants by our own id; `owners` holds each variant's product, if Klaviyo lists it."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self.owners: dict[str, str] = {}

    def __len__(self) -> int:
        """The number of records."""
        return len(self._packed)

    def __iter__(self) -> Iterator[str]:
        """The ids of the records."""
        return iter(self._packed)

    def __contains__(self, own_id: str) -> bool:
        """True if there is a record with this id."""
        return own_id in self._packed

    def put(self, record: JsonObject) -> None:
        """Add a record of a list."""
        own_id = external_id(record["id"])
        self._packed[own_id] = zlib.compress(encoded(record["attributes"]), _LEVEL)
        item = ((record.get("relationships") or {}).get("item") or {}).get("data")
        if item:
            self.owners[own_id] = external_id(item["id"])

    def get(self, own_id: str) -> Mapping[str, Any] | None:
        """The attributes of a record; None if there is none with this id."""
        packed = self._packed.get(own_id)
        found: Mapping[str, Any] | None = None if packed is None else decoded(zlib.decompress(packed))
        return found


def read_list(pool: WorkerPool, what: str, page: Callable[[str], Page], take: Callable[[JsonObject], None]) -> None:
    """Read a whole list page by page and pass each record to `take`. Raises StoppedError."""
    cursor = ""
    while True:
        found = pool.read(f"Klaviyo's list of {what}", partial(page, cursor))
        for record in found.results:
            take(record)
        pool.step(len(found.results))
        if not found.cursor:
            return
        cursor = found.cursor
