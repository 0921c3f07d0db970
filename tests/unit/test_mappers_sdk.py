"""Klaviyo's SDK accepts the mappers' bodies, and sends all of them."""

import json
from datetime import datetime
from typing import Any

import pytest
from openapi_client.models.catalog_category_create_query import CatalogCategoryCreateQuery
from openapi_client.models.catalog_category_update_query import CatalogCategoryUpdateQuery
from openapi_client.models.catalog_item_create_job_create_query import CatalogItemCreateJobCreateQuery
from openapi_client.models.catalog_item_create_query import CatalogItemCreateQuery
from openapi_client.models.catalog_item_update_query import CatalogItemUpdateQuery
from openapi_client.models.catalog_variant_create_job_create_query import CatalogVariantCreateJobCreateQuery
from openapi_client.models.catalog_variant_create_query import CatalogVariantCreateQuery
from openapi_client.models.catalog_variant_update_query import CatalogVariantUpdateQuery
from openapi_client.models.event_create_query_v2 import EventCreateQueryV2
from openapi_client.models.profile_upsert_query import ProfileUpsertQuery

from mappers.catalog_jobs import items_job, variants_job
from mappers.category import catalog_category, category_update
from mappers.item import catalog_item, hidden_item, item_update
from mappers.order_events import ordered_products, placed_order
from mappers.profile import profile
from mappers.variant import catalog_variants, stock_update, variant_create, variant_update
from tests.unit.order_documents import ORDER, owned
from tests.unit.strategies import settings_with
from tests.unit.test_mappers_category import BAGS
from tests.unit.test_mappers_product import NOW, PRODUCT
from tests.unit.test_mappers_profile import CUSTOMER

SETTINGS = settings_with({"customer": {"clear": ["location", "title"]}}, preferred_locale="en-US")
GUEST_ORDER: Any = {**ORDER, "customerId": None}
ITEM = catalog_item(PRODUCT, SETTINGS, NOW).body
BARE_ITEM = catalog_item({"id": "p1"}, SETTINGS, NOW).body
VARIANT = catalog_variants(PRODUCT, SETTINGS, NOW)["T/2"].body


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (ProfileUpsertQuery, profile(CUSTOMER, SETTINGS).body),
        (ProfileUpsertQuery, profile({"id": "c1", "email": "a@b.c"}, SETTINGS).body),
        (EventCreateQueryV2, placed_order(owned(ORDER), SETTINGS).body),
        (EventCreateQueryV2, placed_order(owned(GUEST_ORDER), SETTINGS).body),
        (EventCreateQueryV2, ordered_products(owned(ORDER), SETTINGS)[0].body),
        (CatalogCategoryCreateQuery, catalog_category(BAGS["obj"], SETTINGS)),
        (CatalogCategoryUpdateQuery, category_update(BAGS["obj"], SETTINGS)),
        (CatalogItemCreateQuery, ITEM),
        (CatalogItemCreateQuery, BARE_ITEM),
        (CatalogItemUpdateQuery, item_update(ITEM)),
        (CatalogItemUpdateQuery, item_update(BARE_ITEM)),
        (CatalogItemUpdateQuery, hidden_item("p1")),
        (CatalogVariantCreateQuery, variant_create("T/2", VARIANT, "p1")),
        (CatalogVariantUpdateQuery, variant_update("T/2", VARIANT)),
        (CatalogVariantUpdateQuery, stock_update("T/2", VARIANT)),
        (CatalogItemCreateJobCreateQuery, items_job([ITEM, BARE_ITEM])),
        (CatalogVariantCreateJobCreateQuery, variants_job([variant_create("T/2", VARIANT, "p1")])),
    ],
)
def test_the_sdk_sends_every_attribute_it_is_given(model: Any, body: Any) -> None:
    """The SDK's models silently drop unknown attributes, so the output is compared with the input."""
    sent = json.loads(model(**body).model_dump_json(by_alias=True, exclude_unset=True))
    assert differing_paths(body, sent) == []


def parsed_time(text: str) -> datetime:
    """Parse a time, as the SDK writes it in another format."""
    return datetime.fromisoformat(text)


def differing_paths(given: Any, sent: Any, path: str = "") -> list[str]:
    """The paths at which the sent body differs from the given one."""
    if isinstance(given, dict) and isinstance(sent, dict):
        added = [f"{path}.{name}" for name in sent.keys() - given.keys()]
        return added + [
            problem
            for name, value in given.items()
            for problem in (
                differing_paths(value, sent[name], f"{path}.{name}") if name in sent else [f"{path}.{name}"]
            )
        ]
    same = parsed_time(given) == parsed_time(sent) if path.endswith(".attributes.time") else given == sent
    return [] if same else [path]
