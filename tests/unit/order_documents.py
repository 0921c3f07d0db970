"""An order that uses every kind of field, and the properties that its events have."""

from datetime import UTC, datetime
from typing import Any

from mappers.order_events import OwnedOrder, placed_order
from mappers.order_properties import OrderDetails
from mappers.profile import customer_in_event, guest_in_event
from tests.unit.strategies import euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SETTINGS = settings_with(
    preferred_locale="en-US", product_url_template="https://shop.example/{{productSlug}}?s={{sku}}"
)
DETAILS = OrderDetails(
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
    """The order, with these fields replaced."""
    return {**ORDER, **fields}


def owned(document: Any, details: OrderDetails = DETAILS) -> OwnedOrder:
    """An order with the profile and the details that its events need."""
    customer_id, email = document.get("customerId"), document.get("customerEmail")
    person = customer_in_event({"id": customer_id, "email": email}) if customer_id else guest_in_event(document)
    return OwnedOrder(document, person, details)


def placed(document: Any, settings: Any = SETTINGS) -> Any:
    """Attributes of the Placed Order event of an order."""
    return placed_order(owned(document), settings, now=NOW).body["data"]["attributes"]
