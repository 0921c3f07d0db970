"""An order becomes events: field by field, for customers and guests, today's orders and tomorrow's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import Unmappable
from mappers.order_events import (
    OwnedOrder,
    cancelled_order,
    fulfilled_order,
    ordered_products,
    placed_order,
    refunded_order,
)
from mappers.order_properties import NO_DETAILS, OrderDetails
from mappers.profile import customer_in_event, email_in_event, guest_in_event
from tests.unit.strategies import euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MESSAGE_TIME = "2026-05-02T08:00:00.000Z"
SETTINGS = settings_with(
    preferred_locale="en-US", product_url_template="https://shop.example/{{productSlug}}?s={{sku}}"
)
KNOWN = OrderDetails(
    categories={"p1": ["Women", "Women > Bags"], "p2": ["Women", "Sale"]},
    images={"p1": "https://i/other", "p2": "https://i/scarf"},
    discount_codes={"dc2": "WINTER"},
)
ADDRESS = {
    "firstName": "Jane",
    "lastName": "Doe",
    "streetName": "Main",
    "city": "Berlin",
    "country": "DE",
    "phone": "030 901820",
}
TOTE: Any = {
    "id": "li1",
    "productId": "p1",
    "productKey": "tote",
    "productSlug": {"en": "tote bag"},
    "name": {"en": "Tote", "de": "Tasche"},
    "variant": {
        "id": 2,
        "sku": "T 1",
        "images": [{"url": "https://i/1"}],
        "attributes": [{"name": "color", "value": "red"}, {"name": "brand", "value": {"key": "acme", "label": "ACME"}}],
    },
    "price": {"value": euros(1200), "discounted": {"value": euros(1000)}},
    "quantity": 2,
    "totalPrice": euros(1800),
    "discountedPricePerQuantity": [
        {
            "quantity": 2,
            "discountedPrice": {"value": euros(900), "includedDiscounts": [{"discountedAmount": euros(100)}]},
        }
    ],
    "note": "",
}
SCARF: Any = {
    "id": "li2",
    "productId": "p2",
    "productSlug": {},
    "name": {"de": "Schal"},
    "variant": {"id": 1},
    "quantity": 1,
    "totalPrice": euros(500),
}
WRAP: Any = {"id": "cl1", "name": {"en": "Gift wrap"}, "quantity": 1, "totalPrice": euros(100), "money": euros(100)}
ORDER: Any = {
    "id": "o1",
    "version": 6,
    "createdAt": "2026-05-01T10:00:00.250Z",
    "orderNumber": "O-100",
    "customerId": "c1",
    "customerEmail": " jane@x.io ",
    "locale": "de-DE",
    "country": "DE",
    "store": {"typeId": "store", "key": "berlin"},
    "orderState": "Open",
    "totalPrice": euros(2399),
    "taxedPrice": {"totalNet": euros(2000), "totalGross": euros(2399), "totalTax": euros(399)},
    "discountOnTotalPrice": {"discountedAmount": euros(50)},
    "discountCodes": [
        {"discountCode": {"typeId": "discount-code", "id": "dc1", "obj": {"code": "SUMMER"}}},
        {"discountCode": {"typeId": "discount-code", "id": "dc2"}},
        {"discountCode": {"typeId": "discount-code", "id": "unreadable"}},
    ],
    "shippingInfo": {"price": euros(490), "discountedPrice": {"value": euros(300)}},
    "billingAddress": ADDRESS,
    "shippingAddress": {"city": "Bonn", "country": "DE"},
    "lineItems": [TOTE, SCARF],
    "customLineItems": [WRAP],
    "custom": {
        "type": {"typeId": "type", "id": "t1"},
        "fields": {"gift": True, "orderNumber": "other", "OrderId": "other"},
    },
}
TOTE_FIELDS = {
    "ProductID": "p1",
    "SKU": "T 1",
    "ProductName": "Tote",
    "Quantity": 2,
    "ItemPrice": 10,
    "RowTotal": 18,
    "ProductURL": "https://shop.example/tote%20bag?s=T%201",
    "ImageURL": "https://i/1",
    "Categories": ["Women", "Women > Bags"],
}
SCARF_FIELDS = {
    "ProductID": "p2",
    "SKU": "p2-1",
    "ProductName": "Schal",
    "Quantity": 1,
    "RowTotal": 5,
    "ImageURL": "https://i/scarf",
    "Categories": ["Women", "Sale"],
}
SCHEMA_FIELDS = {
    "OrderId": "o1",
    "OrderNumber": "O-100",
    "ItemNames": ["Tote", "Schal", "Gift wrap"],
    "Categories": ["Women", "Women > Bags", "Sale"],
    "Brands": ["ACME"],
    "ItemCount": 4,
    "DiscountCode": "SUMMER, WINTER",
    "DiscountValue": 2.5,
    "ShippingCost": 3,
    "TaxTotal": 3.99,
    "Currency": "EUR",
    "Country": "DE",
    "Locale": "de-DE",
    "StoreKey": "berlin",
    "IsGuest": False,
    "Items": [{**TOTE_FIELDS, "Brand": "ACME"}, SCARF_FIELDS],
    "BillingAddress": {
        "FirstName": "Jane",
        "LastName": "Doe",
        "Address1": "Main",
        "City": "Berlin",
        "Country": "Germany",
        "CountryCode": "DE",
        "Phone": "030 901820",
    },
    "ShippingAddress": {"City": "Bonn", "Country": "Germany", "CountryCode": "DE"},
}


def order(**fields: Any) -> Any:
    """Make the order anew with other fields."""
    return {**ORDER, **fields}


def owned(document: Any, known: OrderDetails = KNOWN) -> OwnedOrder:
    """An order with the profile of its events."""
    customer_id, email = document.get("customerId"), document.get("customerEmail")
    whose = customer_in_event({"id": customer_id, "email": email}) if customer_id else guest_in_event(document)
    return OwnedOrder(document, whose, known)


def placed(document: Any, settings: Any = SETTINGS) -> Any:
    """Map an order and return the attributes of its Placed Order."""
    return placed_order(owned(document), settings, now=NOW).body["data"]["attributes"]


def test_a_placed_order_has_the_order_s_own_fields_its_custom_fields_and_klaviyo_s() -> None:
    """Schema fields win over custom and own ones, own ones over custom ones; raw `custom` is not among them."""
    mapped = placed_order(owned(ORDER), SETTINGS, now=NOW)
    event = mapped.body["data"]
    own = {name: value for name, value in ORDER.items() if name != "custom"}
    assert event["type"] == "event"
    assert event["attributes"] == {
        "properties": {**own, "gift": True, **SCHEMA_FIELDS},
        "time": "2026-05-01T10:00:00.250000+00:00",
        "value": 23.99,
        "value_currency": "EUR",
        "unique_id": "o1",
        "backfill": True,
        "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "jane@x.io", "external_id": "c1"}}},
    }
    assert mapped.cuts == ()


def test_each_line_item_is_an_ordered_product() -> None:
    """Unique by the line item, a second later, valued at the row; custom line items are no products."""
    events = [mapped.body["data"]["attributes"] for mapped in ordered_products(owned(ORDER), SETTINGS, now=NOW)]
    assert [event["unique_id"] for event in events] == ["li1", "li2"]
    assert {event["time"] for event in events} == {"2026-05-01T10:00:01.250000+00:00"}
    assert [(event["value"], event["value_currency"]) for event in events] == [(18, "EUR"), (5, "EUR")]
    own = {name: value for name, value in TOTE.items() if name != "note"}
    assert events[0]["properties"] == {**own, **TOTE_FIELDS, "OrderId": "o1", "ProductBrand": "ACME"}
    assert "ProductBrand" not in events[1]["properties"]
    assert "ProductURL" not in events[1]["properties"]
    assert events[0]["metric"]["data"]["attributes"]["name"] == "Ordered Product"
    assert events[0]["profile"] == placed(ORDER)["profile"]


def test_fulfilled_and_cancelled_orders_happen_when_the_message_says() -> None:
    """Same properties as Placed Order, names from `[metrics]`."""
    settings = settings_with({"metrics": {"cancelled_order": "Storno"}})
    fulfilled = fulfilled_order(owned(ORDER), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]
    cancelled = cancelled_order(owned(ORDER), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]
    for event, name in ((fulfilled, "Fulfilled Order"), (cancelled, "Storno")):
        assert event["metric"]["data"]["attributes"]["name"] == name
        assert (event["unique_id"], event["value"]) == ("o1", 23.99)
        assert event["time"] == "2026-05-02T08:00:00+00:00"
        assert event["properties"] == placed(ORDER, settings)["properties"]


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [("2026-05-03T12:00:00Z", "2026-05-03T12:00:00+00:00"), (None, "2026-05-02T08:00:00+00:00")],
)
def test_a_refund_is_valued_at_its_transaction(timestamp: str | None, time: str) -> None:
    """Unique by payment and transaction, at its own time, else the message's."""
    transaction: Any = {"id": "t1", "type": "Refund", "state": "Success", "amount": euros(700), "timestamp": timestamp}
    event = refunded_order(owned(ORDER), "pay1", transaction, MESSAGE_TIME, SETTINGS, now=NOW).body["data"][
        "attributes"
    ]
    assert (event["unique_id"], event["time"]) == ("pay1:t1", time)
    assert (event["value"], event["value_currency"]) == (7, "EUR")
    refund = {"RefundAmount": 7, "TransactionId": "t1", "PaymentId": "pay1"}
    assert event["properties"] == {**placed(ORDER)["properties"], **refund}


@pytest.mark.parametrize(
    ("timestamp", "told", "flagged"),
    [
        ("2026-04-20T12:00:00Z", "2026-05-02T08:00:00Z", False),
        ("2026-04-20T12:00:00Z", "2026-04-21T08:00:00Z", True),
        (None, "2026-04-21T08:00:00Z", True),
    ],
)
def test_a_refund_that_took_days_starts_its_flow(timestamp: str | None, told: str, *, flagged: bool) -> None:
    """What counts is when the shop learnt of it: a bank takes days, and a customer waits for the news."""
    transaction: Any = {"id": "t1", "type": "Refund", "state": "Success", "amount": euros(700), "timestamp": timestamp}
    now = datetime(2026, 5, 2, 9, tzinfo=UTC)
    event = refunded_order(owned(ORDER), "pay1", transaction, told, SETTINGS, now=now).body["data"]["attributes"]
    assert event["backfill"] is flagged


def test_a_guest_s_event_carries_name_and_place_but_no_phone_number() -> None:
    """From the billing address; a customer's profile has its own messages."""
    guest = placed(order(customerId=None))
    assert guest["properties"]["IsGuest"] is True
    assert guest["profile"]["data"]["attributes"] == {
        "email": "jane@x.io",
        "first_name": "Jane",
        "last_name": "Doe",
        "location": {"address1": "Main", "city": "Berlin", "country": "DE"},
        "locale": "de-DE",
    }
    nowhere = placed(order(customerId=None, billingAddress=None, locale=None))
    assert nowhere["profile"]["data"]["attributes"] == {"email": "jane@x.io"}
    assert email_in_event(ORDER) == {"email": "jane@x.io"}


@pytest.mark.parametrize(("max_age", "flagged"), [(259_200, False), (3600, True), (0, False)])
def test_what_happened_long_ago_starts_no_flow(max_age: int, flagged: bool) -> None:  # noqa: FBT001 - a table
    """`[events] flow_max_age`, counted from the event's own time; 0: every event starts flows."""
    settings = settings_with({"events": {"flow_max_age": max_age}})
    day_before = order(completedAt="2026-05-31T00:00:00Z")
    assert placed(day_before, settings)["backfill"] is flagged
    products = [mapped.body["data"]["attributes"] for mapped in ordered_products(owned(day_before), settings, now=NOW)]
    assert {product["backfill"] for product in products} == {flagged}


@pytest.mark.parametrize(
    ("rules", "taxed", "value"),
    [
        ({}, {"totalNet": euros(2399), "totalGross": euros(2855)}, 28.55),
        ({"value": "total"}, {"totalNet": euros(2399), "totalGross": euros(2855)}, 23.99),
        ({}, {"totalNet": euros(2399)}, 23.99),
        ({}, None, 23.99),
    ],
)
def test_an_order_is_worth_what_the_customer_pays(rules: Any, taxed: Any, value: float) -> None:
    """With tax, so that a full refund does not exceed its order where prices are net; or `totalPrice` as before."""
    settings = settings_with({"order": rules})
    net = order(taxedPrice=taxed)
    assert placed(net, settings)["value"] == value
    for event in (fulfilled_order, cancelled_order):
        assert event(owned(net), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]["value"] == value


def test_a_line_item_without_image_shows_the_product_s_first() -> None:
    """Its own image first; without either there is none."""
    shown = placed_order(owned(ORDER), SETTINGS, now=NOW).body["data"]["attributes"]["properties"]["Items"]
    assert [item.get("ImageURL") for item in shown] == ["https://i/1", "https://i/scarf"]
    bare = placed_order(owned(ORDER, NO_DETAILS), SETTINGS, now=NOW).body["data"]["attributes"]["properties"]
    assert [item.get("ImageURL") for item in bare["Items"]] == ["https://i/1", None]
    assert bare["DiscountCode"] == "SUMMER"


@pytest.mark.parametrize(
    ("fields", "time", "moved"),
    [
        ({"completedAt": "2020-01-01T00:00:00+02:00"}, "2019-12-31T22:00:00+00:00", False),
        ({"completedAt": None}, "2026-05-01T10:00:00.250000+00:00", False),
        ({"completedAt": "1970-01-01T00:00:00Z"}, "1990-01-02T00:00:00+00:00", True),
        ({"completedAt": "2999-01-01T00:00:00Z"}, "2027-05-31T00:00:00+00:00", True),
    ],
)
def test_an_imported_order_was_placed_when_it_was_completed(fields: Any, time: str, moved: bool) -> None:  # noqa: FBT001 - a table
    """In UTC; what Klaviyo would refuse is moved into its range, and noted."""
    mapped = placed_order(owned(order(**fields)), SETTINGS, now=NOW)
    assert mapped.body["data"]["attributes"]["time"] == time
    assert mapped.cuts == (("time: out of Klaviyo's range",) if moved else ())


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
def test_what_is_absent_is_left_out_and_what_is_new_is_kept(fields: Any, name: str, value: Any) -> None:
    """0 and false are values."""
    properties = placed(order(**fields))["properties"]
    assert properties.get(name) == value
    assert value is not None or name not in properties


def test_yen_have_no_decimals() -> None:
    """Fraction digits are the amount's own."""
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
    """Whatever type the product type gives the attribute."""
    line_item = {**TOTE, "variant": {"id": 1, "attributes": [{"name": "brand", "value": value}]}}
    assert placed(order(lineItems=[line_item]))["properties"].get("Brands") == (brand and [brand])


@pytest.mark.parametrize(("attribute", "brands"), [("color", ["red"]), ("missing", None), ("", None)])
def test_the_brand_s_attribute_is_configured(attribute: str, brands: Any) -> None:
    """`[product] brand_attribute`; empty: no brand."""
    settings = settings_with({"product": {"brand_attribute": attribute}})
    assert placed(ORDER, settings)["properties"].get("Brands") == brands


def test_order_fields_and_custom_fields_follow_their_rules() -> None:
    """Rules of the order's fields do not touch custom fields, nor the schema's, whatever they rename."""
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
def test_the_product_s_url_is_left_out_without_template(template: str | None, url: str | None) -> None:
    """Templates of e-mails then show none, rather than a broken one."""
    items = placed(ORDER, settings_with(product_url_template=template))["properties"]["Items"]
    assert items[0].get("ProductURL") == url


def test_what_does_not_fit_is_cut_from_the_raw_fields() -> None:
    """Schema fields stay whole, and the cut is told."""
    deep: Any = {}
    for _ in range(900):
        deep = {"in": deep}
    mapped = placed_order(owned(order(custom={"fields": {"deep": deep}})), SETTINGS, now=NOW)
    properties = mapped.body["data"]["attributes"]["properties"]
    assert {name: properties[name] for name in SCHEMA_FIELDS} == SCHEMA_FIELDS
    assert mapped.cuts == ("deep" + ".in" * 9 + ": too deep",)


def test_of_too_large_an_order_the_schema_fields_stay() -> None:
    """Whatever the raw fields weigh, and however many there are."""
    many = {f"field{number}": number for number in range(500)}
    large = {"large": ["x" * 2000] * 3000}
    mapped = placed_order(owned(order(custom={"fields": many | large})), SETTINGS, now=NOW)
    properties = mapped.body["data"]["attributes"]["properties"]
    assert {name: properties.get(name) for name in SCHEMA_FIELDS} == SCHEMA_FIELDS
    assert len(properties) <= 400
    assert "large" not in properties


@pytest.mark.parametrize(
    "document",
    [{}, {"id": "o1"}, order(totalPrice={}, taxedPrice=None), order(createdAt="yesterday"), order(lineItems=5)],
)
def test_what_is_no_order_is_unmappable(document: Any) -> None:
    """A wrong shape is a dead letter, not a crash."""
    with pytest.raises(Unmappable):
        placed_order(OwnedOrder(document, {}, NO_DETAILS), SETTINGS, now=NOW)
