"""Splitting rows into Klaviyo's bulk jobs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.wire import encoded
from mappers.catalog_jobs import MAX_BYTES, MAX_RECORDS
from mappers.mapped import JsonObject

_MAX_JOB_BYTES = int(MAX_BYTES * 0.9)
"""A tenth less than Klaviyo allows: it counts the whole request, and may encode some characters longer."""


@dataclass(frozen=True, slots=True)
class Row:
    """The body that creates a record, the product it belongs to, and the body's size as JSON in bytes."""

    product_id: str
    body: JsonObject
    size: int

    @classmethod
    def of(cls, product_id: str, body: JsonObject) -> "Row":
        """Build a row and compute its size."""
        return cls(product_id, body, len(encoded(body)))


def split_into_jobs(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Split rows into lists that each fit into a job. A row too large for any job gets its own; Klaviyo refuses it."""
    part: list[Row] = []
    size = 0
    for row in rows:
        if part and (len(part) == MAX_RECORDS or size + row.size > _MAX_JOB_BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += row.size
    if part:
        yield part
