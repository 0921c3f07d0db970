"""Bodies of Klaviyo's bulk jobs that create items and variants.

Source: Klaviyo, Catalogs API, Bulk Create Catalog Items and Bulk Create Catalog Variants.
"""

from collections.abc import Sequence

from mappers.mapped import JsonObject

MAX_RECORDS = 100
"""Items or variants per job."""
MAX_BYTES = 5_000_000
"""Bytes of a job as JSON."""


def items_job(bodies: Sequence[JsonObject]) -> JsonObject:
    """Body of `POST /api/catalog-item-bulk-create-jobs`, from bodies that each create one item."""
    return _job("catalog-item-bulk-create-job", "items", bodies)


def variants_job(bodies: Sequence[JsonObject]) -> JsonObject:
    """Body of `POST /api/catalog-variant-bulk-create-jobs`, from bodies that each create one variant."""
    return _job("catalog-variant-bulk-create-job", "variants", bodies)


def _job(kind: str, name: str, bodies: Sequence[JsonObject]) -> JsonObject:
    return {"data": {"type": kind, "attributes": {name: {"data": [body["data"] for body in bodies]}}}}
