"""Properties of an order's events: schema fields, raw fields, custom fields, and what is cut from them."""

from typing import Any

import pytest

from mappers.order_events import placed_order
from mappers.order_properties import NO_DETAILS
from tests.unit.order_documents import NOW, ORDER, SCARF, SCHEMA_FIELDS, SETTINGS, TOTE, order, owned, placed
from tests.unit.strategies import euros, settings_with


def test_a_line_item_without_image_has_the_products_first_image() -> None:
    """Its own image comes first. Without either, the field is left out."""
    shown = placed_order(owned(ORDER), SETTINGS, now=NOW).body["data"]["attributes"]["properties"]["Items"]
    assert [item.get("ImageURL") for item in shown] == ["https://i/1", "https://i/scarf"]
    bare = placed_order(owned(ORDER, NO_DETAILS), SETTINGS, now=NOW).body["data"]["attributes"]["properties"]
    assert [item.get("ImageURL") for item in bare["Items"]] == ["https://i/1", None]
    assert bare["DiscountCode"] == "SUMMER"


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"orderNumber": None}, "OrderNumber", None),
        ({"country": None}, "Country", "DE"),
        ({"country": None, "shippingAddress": None}, "Country", None),
        ({"shippingAddress": None}, "ShippingAddress", None),
        ({"lineItems": [TOTE, {**TOTE, "id": "li3"}]}, "ItemNames", ["Tote", "Gift wrap"]),
        ({"lineItems": None, "customLineItems": None}, "ItemCount", 0),
        ({"lineItems": []}, "Items", None),
        ({"discountCodes": []}, "DiscountCode", None),
        ({"discountOnTotalPrice": None}, "DiscountValue", 2),
        ({"discountOnTotalPrice": None, "lineItems": [SCARF]}, "DiscountValue", None),
        ({"shippingInfo": {"price": euros(490)}}, "ShippingCost", 4.9),
        ({"shippingInfo": {"price": euros(0)}}, "ShippingCost", 0),
        (
            {
                "shippingInfo": None,
                "shipping": [{"shippingInfo": {"price": euros(100)}}, {"shippingInfo": {"price": euros(250)}}],
            },
            "ShippingCost",
            3.5,
        ),
        ({"shippingInfo": None}, "ShippingCost", None),
        ({"taxedPrice": {"totalNet": euros(2000), "totalGross": euros(2399)}}, "TaxTotal", 3.99),
        ({"taxedPrice": {"totalNet": euros(2000)}}, "TaxTotal", None),
        ({"taxedPrice": None}, "TaxTotal", None),
        ({"store": None}, "StoreKey", None),
        ({"orderState": "SomethingNew"}, "orderState", "SomethingNew"),
        ({"futureField": {"a": [1]}}, "futureField", {"a": [1]}),
        ({"futureField": []}, "futureField", None),
    ],
)
def test_missing_fields_are_left_out_and_unknown_ones_kept(fields: Any, name: str, value: Any) -> None:
    """0 is a value, so it is kept."""
    properties = placed(order(**fields))["properties"]
    assert properties.get(name) == value
    assert value is not None or name not in properties


def test_yen_have_no_decimals() -> None:
    """The amount's own fraction digits count."""
    event = placed(order(totalPrice=euros(2399, "JPY", 0), taxedPrice=None))
    assert (event["value"], event["value_currency"]) == (2399, "JPY")


@pytest.mark.parametrize(
    ("value", "brand"),
    [
        ("ACME", "ACME"),
        ({"key": "acme", "label": "ACME"}, "ACME"),
        ({"key": "acme", "label": {"de": "Akme", "en": "ACME"}}, "ACME"),
        ({"key": "acme", "label": {}}, "acme"),
        ({"de": "Akme", "en": "ACME"}, "ACME"),
        ([{"key": "acme", "label": "ACME"}, {"key": "other", "label": "Other"}], "ACME"),
        ([], None),
        (["", "ACME"], "ACME"),
        ({"typeId": "key-value-document", "id": "x"}, None),
        (7, None),
        (None, None),
    ],
)
def test_a_brand_is_text_enum_localized_or_a_set(value: Any, brand: str | None) -> None:
    """The attribute may have any of these types in the product type."""
    line_item = {**TOTE, "variant": {"id": 1, "attributes": [{"name": "brand", "value": value}]}}
    assert placed(order(lineItems=[line_item]))["properties"].get("Brands") == (brand and [brand])


@pytest.mark.parametrize(("attribute", "brands"), [("color", ["red"]), ("missing", None), ("", None)])
def test_the_brand_attribute_is_configurable(attribute: str, brands: Any) -> None:
    """`[product] brand_attribute` names it. If it is empty, there is no brand."""
    settings = settings_with({"product": {"brand_attribute": attribute}})
    assert placed(ORDER, settings)["properties"].get("Brands") == brands


def test_order_fields_and_custom_fields_follow_their_rules() -> None:
    """Rules for the order's fields never change custom fields or schema fields, even if a field gets the same name."""
    rules = {
        "order": {
            "properties": {"include": ["orderState", "id", "custom"], "rename": {"id": "OrderId"}},
            "custom_fields": {"exclude": ["OrderId"], "rename": {"gift": "IsGift"}},
        }
    }
    properties = placed(ORDER, settings_with(rules, product_url_template=SETTINGS.product_url_template))["properties"]
    assert properties.keys() - SCHEMA_FIELDS.keys() == {"orderState", "IsGift", "orderNumber"}
    assert properties["OrderId"] == "o1"


@pytest.mark.parametrize(
    ("template", "url"),
    [(None, None), ("https://s/{{productKey}}", "https://s/tote"), ("https://s/{{productId}}", "https://s/p1")],
)
def test_without_a_template_the_product_url_is_left_out(template: str | None, url: str | None) -> None:
    """E-mail templates then show no link rather than a broken one."""
    items = placed(ORDER, settings_with(product_url_template=template))["properties"]["Items"]
    assert items[0].get("ProductURL") == url


def test_raw_fields_are_cut_to_fit() -> None:
    """Schema fields stay whole, and the cut is reported."""
    deep: Any = {}
    for _ in range(900):
        deep = {"in": deep}
    mapped = placed_order(owned(order(custom={"fields": {"deep": deep}})), SETTINGS, now=NOW)
    properties = mapped.body["data"]["attributes"]["properties"]
    assert {name: properties[name] for name in SCHEMA_FIELDS} == SCHEMA_FIELDS
    assert mapped.cuts == ("deep" + ".in" * 9 + ": too deep",)


def test_schema_fields_of_a_very_large_order_are_kept() -> None:
    """Neither the size nor the number of raw fields affects them."""
    many = {f"field{number}": number for number in range(500)}
    large = {"large": ["x" * 2000] * 3000}
    mapped = placed_order(owned(order(custom={"fields": many | large})), SETTINGS, now=NOW)
    properties = mapped.body["data"]["attributes"]["properties"]
    assert {name: properties.get(name) for name in SCHEMA_FIELDS} == SCHEMA_FIELDS
    assert len(properties) <= 400
    assert "large" not in properties
