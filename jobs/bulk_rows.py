"""Filling Klaviyo's bulk jobs with rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.wire import encoded
from mappers.catalog_jobs import MOST_BYTES, MOST_RECORDS
from mappers.mapped import JsonObject

_MAX_JOB_BYTES = int(MOST_BYTES * 0.9)
"""Klaviyo counts the whole request, and may write some characters longer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A body that creates a record, the product that it is of, and its bytes as JSON."""

    product_id: str
    body: JsonObject
    size: int

    @classmethod
    def of(cls, product_id: str, body: JsonObject) -> "Row":
        """A row with its size."""
        return cls(product_id, body, len(encoded(body)))


def split_into_jobs(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows, parted as they fit into jobs. One that is too large for any is alone, for Klaviyo to refuse."""
    part: list[Row] = []
    size = 0
    for row in rows:
        if part and (len(part) == MOST_RECORDS or size + row.size > _MAX_JOB_BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += row.size
    if part:
        yield part
