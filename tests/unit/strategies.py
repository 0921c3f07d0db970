"""commercetools documents for tests: a few builders, and hypothesis strategies for random documents."""

import string
from typing import Any

from hypothesis import strategies as st

from core.rules import SyncRules
from core.settings import Settings
from mappers.order_properties import OrderDetails

Json = dict[str, Any]


def settings_with(sync: Json | None = None, **values: Any) -> Settings:
    """Settings of a shop, with these tables of sync.toml and these environment values."""
    required = {
        "ct_api_url": "https://api.example",
        "ct_auth_url": "https://auth.example",
        "ct_project_id": "shop",
        "CT_SCOPE": "view_products",
        "ct_api_client": '{"clientId": "id", "secret": "secret"}',
        "klaviyo_auth_key": "key",
    }
    return Settings(**{**required, "sync": SyncRules.model_validate(sync or {}), **values})


def euros(cents: int, currency: str = "EUR", digits: int = 2) -> Json:
    """A money amount in cent precision."""
    return {"type": "centPrecision", "currencyCode": currency, "centAmount": cents, "fractionDigits": digits}


def category_reference(category_id: str, name: Json | None, ancestors: list[Json] | None = None) -> Json:
    """An expanded reference to a category."""
    category = {"id": category_id, "name": name, "ancestors": ancestors or []}
    return {"typeId": "category", "id": category_id, "obj": category}


# Any text that JSON can contain, including control characters, right-to-left marks, emoji and lone surrogates.
texts = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["", " ", "\x00", "Straße 🛍️", "\u202eabc", "\ud83d", "a/b?c=d&e"]
)
ids = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=10)
locales = st.sampled_from(["en", "en-US", "en_GB", "de", "de-DE", "zh-Hans-CN", "EN-us", "x"])
countries = st.sampled_from(["DE", "US", "GB", "JP", "CH", "XK", "de", "ZZ", ""])
currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CHF", "XXX"])
times = st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z")
localized_strings = st.dictionaries(locales, texts, max_size=4)
money = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["centPrecision", "highPrecision", "somethingNew"]),
        "currencyCode": currencies,
        "centAmount": st.integers(-(2**63), 2**63 - 1),
    },
    optional={"fractionDigits": st.integers(0, 20) | st.none(), "preciseAmount": st.integers(-(2**63), 2**63 - 1)},
)
phone_numbers = texts | st.from_regex(r"[+]?[0-9 ()/-]{3,18}", fullmatch=True)


def _nested(levels: int) -> Json:
    innermost: Json = {"end": True}
    for level in range(levels):
        innermost = {"deeper": innermost} if level % 2 else {"deeper": [innermost]}
    return innermost


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)
large_values = st.sampled_from(
    [
        {"deep": _nested(900)},
        {"long": "ä" * 120_000},
        {"many": list(range(5000))},
        {"huge": [{"text": "x" * 90_000} for _ in range(60)]},
        {f"field{number}": number for number in range(450)},
    ]
)
custom_fields = st.dictionaries(texts, json_values, max_size=4) | large_values


def documents(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Documents whose optional fields may be missing or null, and that may have an unknown field."""
    nullable = {name: strategy | st.none() for name, strategy in optional.items()}
    return st.fixed_dictionaries(required, optional={**nullable, "futureField": json_values})


references = documents({"typeId": st.just("thing"), "id": ids})
addresses = documents(
    {"country": countries},
    id=ids,
    firstName=texts,
    lastName=texts,
    company=texts,
    apartment=texts,
    building=texts,
    streetName=texts,
    streetNumber=texts,
    additionalStreetInfo=texts,
    additionalAddressInfo=texts,
    postalCode=texts,
    city=texts,
    region=texts | st.sampled_from(["BE", "DE-BY", "Bayern"]),
    state=texts,
    phone=phone_numbers,
    mobile=phone_numbers,
)
customized = documents({"type": references}, fields=custom_fields)
customers = documents(
    {"id": ids, "version": st.integers(1)},
    email=texts,
    firstName=texts,
    lastName=texts,
    title=texts,
    companyName=texts,
    locale=locales,
    addresses=st.lists(addresses, max_size=3),
    defaultBillingAddressId=ids,
    billingAddressIds=st.lists(ids, max_size=2),
    custom=customized,
)
images = documents({"url": texts}, label=texts)
prices = documents(
    {"id": ids, "value": money},
    country=countries,
    channel=references,
    customerGroup=references,
    validFrom=times,
    validUntil=times,
    discounted=documents({}, value=money),
    active=st.booleans(),
    tiers=st.lists(documents({"minimumQuantity": st.integers(1, 100), "value": money}), max_size=2),
)
attribute_values = (
    texts
    | localized_strings
    | st.fixed_dictionaries({"key": texts, "label": texts | localized_strings})
    | references
    | money
    | st.booleans()
)
attributes = documents(
    {"name": st.sampled_from(["brand", "color"])}, value=attribute_values | st.lists(attribute_values, max_size=3)
)
availabilities = documents(
    {},
    isOnStock=st.booleans(),
    availableQuantity=st.integers(-5, 10**6),
    channels=st.dictionaries(ids, documents({}, availableQuantity=st.integers(-5, 10**6)), max_size=2),
)
variants = documents(
    {"id": st.integers(1, 200)},
    sku=texts,
    key=texts,
    prices=st.lists(prices, max_size=3),
    images=st.lists(images, max_size=2),
    attributes=st.lists(attributes, max_size=3),
    availability=availabilities,
)
category_nodes = documents({"id": ids}, key=texts, name=localized_strings, slug=localized_strings)
ancestors = st.lists(documents({"typeId": st.just("category"), "id": ids}, obj=category_nodes), max_size=2)
categories = documents({"id": ids}, key=texts, name=localized_strings, slug=localized_strings, ancestors=ancestors)
category_references = documents({"typeId": st.just("category"), "id": ids}, obj=categories)
products = documents(
    {"id": ids, "version": st.integers(1)},
    key=texts,
    name=localized_strings,
    description=localized_strings,
    slug=localized_strings,
    categories=st.lists(category_references, max_size=3),
    masterVariant=variants,
    variants=st.lists(variants, max_size=3),
    priceMode=st.sampled_from(["Embedded", "Standalone", "SomethingNew"]),
)
discounted_quantities = documents(
    {"quantity": st.integers(0, 9)},
    discountedPrice=documents(
        {}, value=money, includedDiscounts=st.lists(documents({"discountedAmount": money}), max_size=2)
    ),
)
line_items = documents(
    {"id": ids, "productId": ids, "totalPrice": money},
    productKey=texts,
    productSlug=localized_strings,
    name=localized_strings,
    variant=variants,
    price=prices,
    quantity=st.integers(0, 1000),
    discountedPricePerQuantity=st.lists(discounted_quantities, max_size=2),
    custom=customized,
)
custom_line_items = documents({"id": ids}, name=localized_strings, quantity=st.integers(0, 9), totalPrice=money)
shipping_infos = documents({}, price=money, discountedPrice=documents({}, value=money))
orders = documents(
    {"id": ids, "version": st.integers(1), "createdAt": times, "totalPrice": money},
    completedAt=times,
    orderNumber=texts,
    customerId=ids,
    customerEmail=texts,
    locale=locales,
    country=countries,
    store=documents({}, key=ids),
    orderState=st.sampled_from(["Open", "Confirmed", "SomethingNew"]),
    taxedPrice=documents({}, totalNet=money, totalGross=money, totalTax=money),
    discountOnTotalPrice=documents({}, discountedAmount=money),
    discountCodes=st.lists(
        documents({}, discountCode=documents({"id": ids}, obj=documents({}, code=texts))), max_size=2
    ),
    shippingInfo=shipping_infos,
    shipping=st.lists(documents({}, shippingInfo=shipping_infos), max_size=2),
    billingAddress=addresses,
    shippingAddress=addresses,
    lineItems=st.lists(line_items, max_size=3),
    customLineItems=st.lists(custom_line_items, max_size=2),
    custom=customized,
)
transactions = documents(
    {"id": ids, "amount": money}, timestamp=times, type=st.just("Refund"), state=st.just("Success")
)
order_details = st.builds(
    OrderDetails,
    categories=st.dictionaries(ids, st.lists(texts, max_size=2), max_size=2),
    images=st.dictionaries(ids, texts, max_size=2),
    discount_codes=st.dictionaries(ids, texts, max_size=2),
)

shop_settings = st.builds(
    settings_with,
    sync=st.sampled_from(
        [
            {},
            {
                "customer": {"clear": ["location", "phone_number", "title"]},
                "inventory": {"channel": "ch"},
            },
            {"order": {"properties": {"include": ["lineItems", "id"], "rename": {"id": "commercetoolsId"}}}},
            {"order": {"properties": {"rename": {"lineItems": "Items"}}}, "product": {"brand_attribute": "color"}},
            {"price": {"tiers": True, "compare_at": "was_price"}},
            {"price": {"discounted": False}},
        ]
    ),
    preferred_locale=st.none() | locales,
    preferred_currency=st.none() | currencies,
    product_url_template=st.none()
    | st.just("https://shop.example/{{locale}}/{{productSlug}}?s={{sku}}&k={{ productKey }}"),
)
