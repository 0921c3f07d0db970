"""Klaviyo's operations as its SDK sends them, without importing all of the SDK to send one.

A group of the SDK (`k.Profiles`) imports every model of its forty operations, which is most of a cold start, and makes
models of each body only to take them apart again. Here an operation is what the SDK's generated method holds: method,
path, and the model that validates the body. Tests hold each one against that method, request by request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from core.errors import Unmappable
from mappers.mapped import JsonObject

_CUSTOM_CATALOG = {"integration_type": "$custom", "catalog_type": "$default"}


@dataclass(frozen=True, slots=True)
class KlaviyoOperation:
    """How an operation is called: `model` is the SDK's for its body, `added` what the SDK adds to the attributes."""

    method: str
    path: str
    model: str = ""
    added: Mapping[str, Any] = field(default_factory=dict)

    def body(self, given: JsonObject) -> JsonObject:
        """The body as it is sent. Raises Unmappable when the SDK's own validation refuses it."""
        from pydantic import ValidationError  # noqa: PLC0415 - cold start: the SDK has it by now

        try:
            _model(self.model).model_validate(given)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise Unmappable(problem["type"], ".".join(str(part) for part in problem["loc"])) from None
        if not self.added:
            return given
        data = given["data"]
        return {"data": {**data, "attributes": {**self.added, **data["attributes"]}}}


@cache
def _model(name: str) -> Any:
    """A model of the SDK, by its module's name."""
    return getattr(import_module(f"openapi_client.models.{name}"), name.title().replace("_", ""))


OPERATIONS: Mapping[str, KlaviyoOperation] = {
    "create_event": KlaviyoOperation("POST", "/api/events", "event_create_query_v2", {"backfill": False}),
    "create_or_update_profile": KlaviyoOperation("POST", "/api/profile-import", "profile_upsert_query"),
    "update_profile": KlaviyoOperation("PATCH", "/api/profiles/{id}", "profile_partial_update_query"),
    "get_profiles": KlaviyoOperation("GET", "/api/profiles"),
    "request_profile_deletion": KlaviyoOperation(
        "POST", "/api/data-privacy-deletion-jobs", "data_privacy_create_deletion_job_query"
    ),
    "get_catalog_categories": KlaviyoOperation("GET", "/api/catalog-categories"),
    "create_catalog_category": KlaviyoOperation(
        "POST", "/api/catalog-categories", "catalog_category_create_query", _CUSTOM_CATALOG
    ),
    "update_catalog_category": KlaviyoOperation(
        "PATCH", "/api/catalog-categories/{id}", "catalog_category_update_query"
    ),
    "delete_catalog_category": KlaviyoOperation("DELETE", "/api/catalog-categories/{id}"),
    "create_catalog_item": KlaviyoOperation(
        "POST", "/api/catalog-items", "catalog_item_create_query", {**_CUSTOM_CATALOG, "published": True}
    ),
    "update_catalog_item": KlaviyoOperation("PATCH", "/api/catalog-items/{id}", "catalog_item_update_query"),
    "delete_catalog_item": KlaviyoOperation("DELETE", "/api/catalog-items/{id}"),
    "get_variants_for_catalog_item": KlaviyoOperation("GET", "/api/catalog-items/{id}/variants"),
    "create_catalog_variant": KlaviyoOperation(
        "POST",
        "/api/catalog-variants",
        "catalog_variant_create_query",
        {**_CUSTOM_CATALOG, "published": True, "inventory_policy": 0},
    ),
    "update_catalog_variant": KlaviyoOperation("PATCH", "/api/catalog-variants/{id}", "catalog_variant_update_query"),
    "delete_catalog_variant": KlaviyoOperation("DELETE", "/api/catalog-variants/{id}"),
}
"""By the SDK's name of the operation."""
