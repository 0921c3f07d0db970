"""A published product becomes a catalog item and its variants."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import Unmappable
from mappers.difference import has_differences
from mappers.ids import CUSTOM_CATALOG
from mappers.item import catalog_item, hidden_item, item_update
from mappers.product_url import product_url
from mappers.variant import catalog_variants, stock_update, variant_create, variant_price_attributes, variant_update
from tests.unit.strategies import category_reference, euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEMPLATE = "https://shop.example/{{locale}}/p/{{productSlug}}?sku={{sku}}"
SETTINGS = settings_with(preferred_locale="en-US", preferred_currency="EUR", product_url_template=TEMPLATE)
WOMEN = category_reference("women", {"en": "Women"})
PRODUCT: Any = {
    "id": "p1",
    "version": 3,
    "key": "tote",
    "name": {"de": "Tasche", "en-US": "Tote"},
    "description": {"de": "Schön", "en": "Nice"},
    "slug": {"de": "tasche groß", "en": "tote bag"},
    "categories": [category_reference("bags", {"en": "Bags"}, [WOMEN]), WOMEN, {"typeId": "category", "id": "c9"}],
    "masterVariant": {
        "id": 1,
        "sku": "T 1",
        "prices": [{"id": "a", "value": euros(1999)}],
        "images": [{"url": "https://i/1"}, {"url": "https://i/2"}],
        "availability": {"availableQuantity": 4},
    },
    "variants": [
        {"id": 2, "sku": "T/2", "prices": [], "images": [{"url": "https://i/3"}, {"url": "https://i/1"}]},
        {"id": 3, "key": "third", "images": [], "prices": [{"id": "b", "value": euros(500, "JPY", 0)}]},
    ],
}


def changed(**fields: Any) -> Any:
    """The product, with these fields replaced."""
    return {**PRODUCT, **fields}


def test_a_product_becomes_an_item() -> None:
    """Every field of the mapping is there, with categories, their ancestors and localized tables."""
    body = catalog_item(PRODUCT, SETTINGS, NOW).body
    metadata = body["data"]["attributes"].pop("custom_metadata")
    assert body == {
        "data": {
            "type": "catalog-item",
            "attributes": {
                **CUSTOM_CATALOG,
                "external_id": "p1",
                "title": "Tote",
                "description": "Nice",
                "url": "https://shop.example/en-US/p/tote%20bag?sku=T%201",
                "price": 19.99,
                "image_full_url": "https://i/1",
                "images": ["https://i/1", "https://i/2", "https://i/3"],
                "published": True,
            },
            "relationships": {
                "categories": {
                    "data": [
                        {"type": "catalog-category", "id": f"$custom:::$default:::{category}"}
                        for category in ("women", "bags", "c9")
                    ]
                }
            },
        }
    }
    assert metadata["title_json"] == '{"title_de":"Tasche","title_en-US":"Tote"}'
    assert metadata["slug_json"] == '{"slug_de":"tasche groß","slug_en":"tote bag"}'
    assert json.loads(metadata["price_json"])["price_EUR"] == 19.99
    assert json.loads(metadata["currency_json"])["currency_DE"] == "EUR"


def test_a_bare_product_becomes_an_item_too() -> None:
    """Without texts, variants, prices or images, the item has all that Klaviyo requires, and the image is cleared."""
    body = catalog_item({"id": "p1"}, settings_with(), NOW).body
    assert body["data"]["relationships"] == {"categories": {"data": []}}
    assert body["data"]["attributes"] == {
        **CUSTOM_CATALOG,
        "external_id": "p1",
        "title": "p1",
        "description": "",
        "url": "None",
        "image_full_url": None,
        "images": [],
        "custom_metadata": {"title_json": "{}", "slug_json": "{}", "price_json": "{}", "currency_json": "{}"},
        "published": True,
    }


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"name": {"fr": " "}}, "title", "tote"),
        ({"name": {"fr": " "}, "key": None}, "title", "p1"),
        ({"description": None}, "description", ""),
        ({"masterVariant": {"id": 1}}, "image_full_url", "https://i/3"),
        ({"masterVariant": {"id": 1, "images": [{"url": ""}]}}, "image_full_url", "https://i/3"),
        ({"masterVariant": None}, "price", None),
        (
            {"masterVariant": {"id": 1}, "variants": [{"id": 2}, {"id": 3, "prices": [{"value": euros(7)}]}]},
            "price",
            0.07,
        ),
    ],
)
def test_missing_fields_of_an_item_have_fallbacks(fields: Any, attribute: str, value: Any) -> None:
    """Missing names, descriptions, images and prices are replaced or left out."""
    assert catalog_item(changed(**fields), SETTINGS, NOW).body["data"]["attributes"].get(attribute) == value


@pytest.mark.parametrize(
    ("prices_by_sku", "price", "tables"),
    [
        (
            {"T 1": [{"value": euros(4200), "sku": "T 1"}]},
            42,
            {"title_json", "slug_json", "price_json", "currency_json"},
        ),
        ({}, None, {"title_json", "slug_json", "price_json", "currency_json"}),
        (None, None, {"title_json", "slug_json"}),
    ],
)
def test_standalone_prices_replace_the_embedded_ones(prices_by_sku: Any, price: Any, tables: set[str]) -> None:
    """None means that they can't be read. Then price and price tables are left out, so Klaviyo keeps its own."""
    product = changed(priceMode="Standalone")
    item = catalog_item(product, SETTINGS, NOW, prices_by_sku).body["data"]["attributes"]
    assert (item.get("price"), set(item["custom_metadata"])) == (price, tables)
    variant = catalog_variants(product, SETTINGS, NOW, prices_by_sku)["T 1"].body
    assert (variant.get("price"), set(variant["custom_metadata"])) == (price, tables)


def test_standalone_prices_are_ignored_in_other_price_modes() -> None:
    """Only `priceMode: Standalone` uses them. An unknown mode is no error."""
    other: Any = {"T 1": [{"value": euros(1)}]}
    for mode in ("Embedded", "SomethingNew", None):
        item = catalog_item(changed(priceMode=mode), SETTINGS, NOW, other).body
        assert item["data"]["attributes"]["price"] == 19.99


def test_an_update_has_no_immutable_attributes() -> None:
    """The id moves from the attributes to the data. The create body is not modified."""
    create = catalog_item(PRODUCT, SETTINGS, NOW).body
    update = item_update(create)
    assert update["data"]["id"] == "$custom:::$default:::p1"
    assert update["data"]["relationships"] == create["data"]["relationships"]
    assert {**CUSTOM_CATALOG, "external_id": "p1", **update["data"]["attributes"]} == create["data"]["attributes"]
    assert "external_id" not in update["data"]["attributes"]
    assert hidden_item("p1")["data"]["attributes"] == {"published": False}


def test_variants_have_their_own_stock_price_and_image() -> None:
    """Texts are the product's. The item's image replaces a missing one, the key a missing SKU. Prices are optional."""
    variants = catalog_variants(PRODUCT, SETTINGS, NOW, entries_by_sku={"T 1": [{"availableQuantity": 5}]})
    assert list(variants) == ["T 1", "T/2", "third"]
    first, second, third = (mapped.body for mapped in variants.values())
    assert first | {"custom_metadata": None} == {
        "sku": "T 1",
        "title": "Tote",
        "description": "Nice",
        "url": "https://shop.example/en-US/p/tote%20bag?sku=T%201",
        "image_full_url": "https://i/1",
        "inventory_quantity": 5,
        "inventory_policy": 1,
        "price": 19.99,
        "custom_metadata": None,
        "published": True,
    }
    assert second["image_full_url"] == "https://i/3"
    assert "price" not in second
    assert (second["inventory_quantity"], second["inventory_policy"]) == (0, 2)
    assert third["image_full_url"] == "https://i/1"
    assert "price" not in third
    assert json.loads(third["custom_metadata"]["price_json"]) == {"price_JPY": 500, "price_JP": 500}


def test_a_product_may_have_150_variants_or_none() -> None:
    """All of them are mapped. Two variants with the same SKU become one."""
    many = [{"id": number, "sku": f"S{number}"} for number in range(2, 151)]
    assert len(catalog_variants(changed(variants=many), SETTINGS, NOW)) == 150
    assert catalog_variants({"id": "p1", "variants": []}, SETTINGS, NOW) == {}
    assert (
        len(catalog_variants({"id": "p", "variants": [{"id": 1, "sku": "S"}, {"id": 2, "sku": "S"}]}, SETTINGS, NOW))
        == 1
    )


def test_a_variant_is_created_with_a_price_and_updated_without() -> None:
    """Klaviyo requires a price on create, so a missing one is 0. Only a create names the parent item."""
    attributes = catalog_variants(PRODUCT, SETTINGS, NOW)["T/2"].body
    create = variant_create("T/2", attributes, "p1")["data"]
    assert (create["attributes"]["external_id"], create["attributes"]["price"]) == ("T/2", 0)
    assert create["relationships"] == {"item": {"data": {"type": "catalog-item", "id": "$custom:::$default:::p1"}}}
    assert variant_create("T", {"price": 5}, "p1")["data"]["attributes"]["price"] == 5
    update = variant_update("T/2", attributes)["data"]
    assert update == {"type": "catalog-variant", "id": "$custom:::$default:::T/2", "attributes": attributes}


@pytest.mark.parametrize(
    ("stock", "attributes"),
    [
        ({"inventory_quantity": 0}, {"inventory_quantity": 0}),
        ({"inventory_quantity": 0, "inventory_policy": 2}, {"inventory_quantity": 0, "inventory_policy": 2}),
    ],
)
def test_a_stock_update_sends_only_stock(stock: Any, attributes: Any) -> None:
    """It sends the quantity alone, or also the policy if the last entry was deleted."""
    assert stock_update("S", stock)["data"]["attributes"] == attributes


@pytest.mark.parametrize(
    ("ours", "theirs", "differ"),
    [
        ({"price": 10}, {"price": 10.0, "created": "now"}, False),
        ({"price": 10}, {"price": 10.5}, True),
        ({"title": "a"}, {}, True),
        ({"image_full_url": None}, {}, False),
        ({"image_full_url": None}, {"image_full_url": "https://i/1"}, True),
        ({}, {"price": 5}, False),
        ({"inventory_quantity": 0}, {"inventory_quantity": None}, True),
        (
            {"custom_metadata": {"a": '{"x": 1, "y": 2}'}},
            {"custom_metadata": {"a": '{"y":2.0,"x":1}', "b": "{}"}},
            False,
        ),
        ({"custom_metadata": {"a": '{"x": 1}'}}, {"custom_metadata": {"a": '{"x": 2}'}}, True),
        ({"custom_metadata": {"a": "{}"}}, {"custom_metadata": None}, True),
        ({"custom_metadata": {"a": "no JSON"}}, {"custom_metadata": {"a": "no JSON"}}, False),
        ({"custom_metadata": {"was": 119}}, {"custom_metadata": {"was": 119.0}}, False),
        ({"custom_metadata": {"was": 119}}, {"custom_metadata": {"was": 99}}, True),
        ({"custom_metadata": {}}, {"custom_metadata": {"was": 119, "theirs": "x"}}, True),
        ({"custom_metadata": {}}, {"custom_metadata": {"was": None, "theirs": "x"}}, False),
        ({"images": ["a", "b"]}, {"images": ["b", "a"]}, True),
    ],
)
def test_variants_are_compared_by_what_is_sent(ours: Any, theirs: Any, differ: bool) -> None:  # noqa: FBT001 - from a table
    """Numbers compare by value, tables as JSON, null as absent. Of what only Klaviyo has, our metadata keys count."""
    assert has_differences(ours, theirs, {"was", "tiers"}) is differ


@pytest.mark.parametrize(
    ("template", "variant", "url"),
    [
        (None, {"id": 1, "sku": "S"}, "None"),
        ("https://s/{{productSlug}}", None, "https://s/tote%20bag"),
        ("https://s/{{ productId }}/{{productKey}}", None, "https://s/p1/tote"),
        ("https://s/{{locale}}?s={{sku}}", {"id": 1, "sku": 'ä/"&'}, "https://s/en-US?s=%C3%A4%2F%22%26"),
        ("https://s/{{sku}}", {"id": 1}, "https://s/p1-1"),
        ("https://s/{{sku}}{{other}}", None, "https://s/{{other}}"),
        ("https://s/fixed", None, "https://s/fixed"),
    ],
)
def test_url_templates_are_filled_and_encoded(template: str | None, variant: Any, url: str) -> None:
    """Every placeholder is replaced. Without a template the URL is "None", as in Klaviyo's Node plugin."""
    assert product_url(template, PRODUCT, variant, SETTINGS) == url


def test_without_a_preferred_locale_the_slugs_locale_is_used() -> None:
    """So the placeholder is not empty if PREFERRED_LOCALE is unset."""
    assert product_url("{{locale}}/{{productSlug}}", PRODUCT, None, settings_with()) == "de/tasche%20gro%C3%9F"


@pytest.mark.parametrize(
    "product", [{}, {"id": "p", "name": "text"}, {"id": "p", "categories": [{}]}, {"id": "p", "masterVariant": 7}]
)
def test_a_malformed_product_is_unmappable(product: Any) -> None:
    """A document of the wrong shape becomes a dead letter."""
    with pytest.raises(Unmappable):
        catalog_item(product, SETTINGS, NOW)


def test_the_prices_of_one_variant() -> None:
    """The other variants are not mapped, so a malformed one does not matter."""
    odd = {"id": 2, "sku": "ODD"}
    product: Any = {"id": "p1", "priceMode": "Standalone", "masterVariant": {"id": 1, "sku": "A"}, "variants": [odd]}
    prices: Any = {"A": [{"id": "1", "value": euros(1000)}], "ODD": [{"value": {"centAmount": "x"}}]}
    with pytest.raises(Unmappable):
        catalog_variants(product, SETTINGS, NOW, prices)
    wanted = variant_price_attributes(product, "A", SETTINGS, NOW, prices)
    assert (wanted["price"], set(wanted)) == (10, {"price", "custom_metadata"})
