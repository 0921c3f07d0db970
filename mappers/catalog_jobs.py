"""Bodies of Klaviyo's bulk jobs that create items and variants.

Source: Klaviyo, Catalogs API, Bulk Create Catalog Items and Bulk Create Catalog Variants.
"""

from collections.abc import Sequence

from mappers.mapped import JsonObject

MOST_RECORDS = 100
MOST_BYTES = 5_000_000
"""Of one job, as JSON."""


def items_job(bodies: Sequence[JsonObject]) -> JsonObject:
    """Body of `POST /api/catalog-item-bulk-create-jobs`, of bodies that create one item each."""
    return _job("catalog-item-bulk-create-job", "items", bodies)


def variants_job(bodies: Sequence[JsonObject]) -> JsonObject:
    """Body of `POST /api/catalog-variant-bulk-create-jobs`, of bodies that create one variant each."""
    return _job("catalog-variant-bulk-create-job", "variants", bodies)


def _job(kind: str, name: str, bodies: Sequence[JsonObject]) -> JsonObject:
    return {"data": {"type": kind, "attributes": {name: {"data": [body["data"] for body in bodies]}}}}
