"""Random documents of the right shape become bodies that fit Klaviyo's schemas and limits."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.rules import METADATA_TABLES
from core.settings import Settings
from mappers.category import catalog_category, category_paths, category_update
from mappers.difference import has_differences
from mappers.item import catalog_item, hidden_item, item_update
from mappers.metadata import variant_metadata_names
from mappers.order_events import (
    OwnedOrder,
    cancelled_order,
    fulfilled_order,
    ordered_products,
    placed_order,
    refunded_order,
)
from mappers.profile import guest_in_event, profile
from mappers.variant import catalog_variants, stock_update, variant_create, variant_update
from tests.contract import needs_contract, validator
from tests.unit import strategies as shop

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OCCURRED = "2026-05-31T10:00:00.000Z"

DISCOUNTED_PRODUCT = {
    "id": "p1",
    "version": 1,
    "masterVariant": {
        "id": 1,
        "sku": "A",
        "prices": [{"id": "price", "value": shop.euros(1000), "discounted": {"value": shop.euros(800)}}],
    },
}

large_documents = settings(suppress_health_check=list(HealthCheck))
"""Without it, Hypothesis refuses inputs of this size."""


@needs_contract
@large_documents
@given(customer=shop.customers, settings=shop.shop_settings)
def test_a_customer_becomes_a_valid_profile(customer: Any, settings: Settings) -> None:
    """The body fits the upsert's schema and 100 KB. The document is not modified."""
    before = repr(customer)
    body = profile(customer, settings).body
    assert_body("create_or_update_profile", body)
    assert len(json.dumps(body)) <= 100_000
    assert repr(customer) == before


@needs_contract
@large_documents
@given(order=shop.orders, transaction=shop.transactions, details=shop.order_details, settings=shop.shop_settings)
def test_an_order_becomes_valid_events(order: Any, transaction: Any, details: Any, settings: Settings) -> None:
    """All five kinds of events fit the schema and the limits of events."""
    before = repr(order)
    owned = OwnedOrder(order, guest_in_event(order) or {"external_id": order["id"]}, details)
    events = [
        placed_order(owned, settings, now=NOW),
        *ordered_products(owned, settings, now=NOW),
        fulfilled_order(owned, OCCURRED, settings, now=NOW),
        cancelled_order(owned, OCCURRED, settings, now=NOW),
        refunded_order(owned, "pay", transaction, OCCURRED, settings, now=NOW),
    ]
    for event in events:
        assert_body("create_event", event.body)
        assert_event_limits(event.body)
    assert repr(order) == before


@needs_contract
@large_documents
@given(product=shop.products, prices=st.none() | st.just({}), settings=shop.shop_settings)
@example(product=DISCOUNTED_PRODUCT, prices=None, settings=shop.settings_with())
def test_a_product_becomes_a_valid_item_and_variants(product: Any, prices: Any, settings: Settings) -> None:
    """Creates and updates fit their schemas, metadata is flat, and an unchanged variant shows no difference."""
    item = catalog_item(product, settings, NOW, prices)
    assert_body("create_catalog_item", item.body)
    assert_body("update_catalog_item", item_update(item.body))
    assert_metadata(item.body["data"]["attributes"]["custom_metadata"], settings)
    for sku, variant in catalog_variants(product, settings, NOW, prices).items():
        assert_body("create_catalog_variant", variant_create(sku, variant.body, product["id"]))
        assert_body("update_catalog_variant", variant_update(sku, variant.body))
        assert_body("update_catalog_variant", stock_update(sku, variant.body))
        assert_metadata(variant.body["custom_metadata"], settings)
        assert not has_differences(variant.body, json.loads(json.dumps(variant.body)), variant_metadata_names(settings))


@needs_contract
@large_documents
@given(category=shop.categories, references=st.lists(shop.category_references), settings=shop.shop_settings)
def test_a_category_becomes_a_valid_category(category: Any, references: Any, settings: Settings) -> None:
    """Create and update fit their schemas, and no path is listed twice."""
    assert_body("create_catalog_category", catalog_category(category, settings))
    assert_body("update_catalog_category", category_update(category, settings))
    paths = category_paths(references, settings)
    assert len(paths) == len(set(paths))


@needs_contract
def test_the_body_that_hides_an_item_is_valid() -> None:
    """It fits the schema of an update."""
    assert_body("update_catalog_item", hidden_item("p1"))


def assert_body(operation: str, body: Any) -> None:
    """Check a body against the operation's schema, and that it can be encoded as JSON."""
    json.dumps(body, allow_nan=False).encode()
    json.dumps(body, ensure_ascii=False).encode()
    assert_json_types(body)
    validator(operation).validate(body)


def assert_json_types(value: Any) -> None:
    """Check that a value is made of objects with string names, arrays and JSON scalars only."""
    if isinstance(value, dict):
        assert all(type(name) is str for name in value)
        for child in value.values():
            assert_json_types(child)
    elif isinstance(value, list):
        for child in value:
            assert_json_types(child)
    else:
        assert value is None or type(value) in (str, int, float, bool)
        assert not isinstance(value, float) or math.isfinite(value)


def assert_event_limits(body: Any) -> None:
    """Check an event against Klaviyo's limits."""
    event = body["data"]["attributes"]
    assert len(json.dumps(body)) <= 5_000_000
    assert len(event["properties"]) <= 400
    assert levels(event["properties"]) <= 10
    assert_sizes(event["properties"])
    assert (event["value"] is None) is (event["value_currency"] is None)
    time = datetime.fromisoformat(event["time"])
    assert time.tzinfo is not None
    assert datetime(1990, 1, 1, tzinfo=UTC) < time <= NOW.replace(year=NOW.year + 1)
    assert "phone_number" not in event["profile"]["data"]["attributes"]


def assert_sizes(value: Any) -> None:
    """Check that no string exceeds 100 KB, and no array 4000 entries."""
    if isinstance(value, str):
        assert len(value.encode()) <= 100_000
    elif isinstance(value, dict):
        for name, child in value.items():
            assert_sizes(name)
            assert_sizes(child)
    elif isinstance(value, list):
        assert len(value) <= 4000
        for child in value:
            assert_sizes(child)


def assert_metadata(metadata: Any, settings: Settings) -> None:
    """Check that metadata has at most 100 KB: tables as JSON text, and perhaps the price before a discount."""
    assert len(json.dumps(metadata)) <= 100_000
    for name, value in metadata.items():
        if name in METADATA_TABLES:
            assert isinstance(json.loads(value), dict)
        else:
            assert name == settings.sync.price.compare_at
            assert type(value) in (int, float)


def levels(value: Any) -> int:
    """Number of nested levels of objects and arrays."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(levels, children), default=0)
