"""What all mappers share: money, languages, ids, addresses, property rules, and errors of malformed documents."""

from decimal import Decimal
from typing import Any

import pytest

from core.errors import Unmappable
from core.rules import PropertyRules
from mappers.address import event_address, location, phone_number, profile_address
from mappers.ids import category_id, external_id, item_id, variant_id, variant_sku
from mappers.localized import localized
from mappers.mapped import mapper
from mappers.money import amount, number, optional_amount
from mappers.properties import selected


@pytest.mark.parametrize(
    ("money", "major_units"),
    [
        ({"type": "centPrecision", "centAmount": 1999, "fractionDigits": 2}, "19.99"),
        ({"type": "centPrecision", "centAmount": 500, "fractionDigits": 0}, "500"),
        ({"type": "centPrecision", "centAmount": 1234, "fractionDigits": 3}, "1.234"),
        ({"type": "centPrecision", "centAmount": -5, "fractionDigits": 2}, "-0.05"),
        ({"type": "highPrecision", "centAmount": 1, "preciseAmount": 123456, "fractionDigits": 7}, "0.0123456"),
        ({"type": "highPrecision", "centAmount": 123, "fractionDigits": 7}, "1.23"),
        ({"type": "somethingNew", "centAmount": 1999, "fractionDigits": 2}, "19.99"),
        ({"centAmount": 1999}, "19.99"),
        ({"centAmount": 1999, "fractionDigits": None}, "19.99"),
        ({"type": "centPrecision", "centAmount": 2**63 - 1, "fractionDigits": 2}, "92233720368547758.07"),
    ],
)
def test_amounts_are_exact_in_major_units(money: Any, major_units: str) -> None:
    """This holds for cent and high precision, and for currencies without decimals or with three."""
    assert amount(money) == Decimal(major_units)


@pytest.mark.parametrize("money", [None, {}, {"currencyCode": "EUR"}])
def test_money_without_an_amount_is_absent(money: Any) -> None:
    """A missing amount is None, not 0."""
    assert optional_amount(money) is None


@pytest.mark.parametrize(("value", "json_number"), [("19.99", 19.99), ("20.00", 20), ("0", 0), ("-0.5", -0.5)])
def test_a_whole_amount_is_an_integer_in_json(value: str, json_number: float) -> None:
    """Any other amount is a float."""
    result = number(Decimal(value))
    assert result == json_number
    assert type(result) is type(json_number)


@pytest.mark.parametrize(
    ("texts", "locale", "chosen"),
    [
        ({"de": "Hemd", "en-US": "Shirt US", "en": "Shirt"}, "en-US", "Shirt US"),
        ({"de": "Hemd", "en-GB": "Shirt GB", "en": "Shirt"}, "en-US", "Shirt"),
        ({"de": "Hemd", "en-GB": "Shirt GB"}, "en-US", "Shirt GB"),
        ({"de": "Hemd", "en-GB": "Shirt GB"}, "en", "Shirt GB"),
        ({"de": "Hemd", "fr": "Chemise"}, "en-US", "Hemd"),
        ({"de": "Hemd", "EN_us": "Shirt"}, "en-US", "Shirt"),
        ({"de": "Hemd", "en-us": "Shirt"}, "EN_US", "Shirt"),
        ({"de": "Hemd", "en-US": " ", "en": "", "en-GB": "Shirt GB"}, "en-US", "Shirt GB"),
        ({"de": "", "fr": "Chemise"}, "en", "Chemise"),
        ({"de": "Hemd", "eng": "no English"}, "en", "Hemd"),
        ({"de": 5, "fr": None, "it": "Camicia"}, "de", "Camicia"),
        ({"de": "Hemd"}, None, "Hemd"),
        ({"de": " "}, "de", None),
        ({}, "de", None),
        (None, "de", None),
    ],
)
def test_the_preferred_language_falls_back_step_by_step(texts: Any, locale: str | None, chosen: str | None) -> None:
    """The locale, its language, another region of it, then the first text. Blank texts are skipped at each step."""
    assert localized(texts, locale) == chosen


def test_compound_ids_can_be_split_again() -> None:
    """Item, variant and category ids have Klaviyo's prefix. Any SKU survives the round trip."""
    assert item_id("p1") == "$custom:::$default:::p1"
    assert category_id("c1") == "$custom:::$default:::c1"
    assert external_id(variant_id('a/b "ü":::')) == 'a/b "ü":::'


@pytest.mark.parametrize(
    ("variant", "sku"),
    [
        ({"id": 2, "sku": "S 1", "key": "k"}, "S 1"),
        ({"id": 2, "sku": None, "key": "k"}, "k"),
        ({"id": 2, "sku": " "}, "p1-2"),
        ({"id": 2}, "p1-2"),
        ({"id": 2, "sku": "ä\ud83d"}, "ä\ufffd"),
    ],
)
def test_a_variant_without_sku_is_identified_by_key_or_number(variant: Any, sku: str) -> None:
    """The SKU comes first, then the key, then product id and variant id."""
    assert variant_sku("p1", variant) == sku


HOME, WORK = {"id": "a0", "city": "Home"}, {"id": "a1", "city": "Work"}


@pytest.mark.parametrize(
    ("customer", "city"),
    [
        ({"addresses": [HOME, WORK], "defaultBillingAddressId": "a1"}, "Work"),
        ({"addresses": [HOME, WORK], "defaultBillingAddressId": "gone", "billingAddressIds": ["gone", "a1"]}, "Work"),
        ({"addresses": [HOME, WORK], "defaultBillingAddressId": "gone"}, "Home"),
        ({"addresses": [HOME, WORK], "billingAddressIds": []}, "Home"),
        ({"addresses": [], "defaultBillingAddressId": "a1"}, None),
        ({}, None),
    ],
)
def test_the_profile_has_the_first_billing_address_that_exists(customer: Any, city: str | None) -> None:
    """The default billing address comes first, then the first billing address, then the first address."""
    assert (profile_address(customer) or {}).get("city") == city


def test_an_address_becomes_a_location() -> None:
    """Street parts are in order, additional info is joined, `state` replaces a missing region, blanks are left out."""
    address: Any = {
        "apartment": "4b",
        "building": "",
        "streetNumber": "1",
        "streetName": "Main",
        "additionalStreetInfo": "rear",
        "additionalAddressInfo": "ring twice",
        "city": " Berlin ",
        "country": "DE",
        "region": " ",
        "state": "Berlin",
        "postalCode": "10115",
    }
    assert location(address) == {
        "address1": "4b, 1, Main",
        "address2": "rear, ring twice",
        "city": "Berlin",
        "country": "DE",
        "region": "Berlin",
        "zip": "10115",
    }
    assert location({"country": "DE"}) == {"country": "DE"}
    assert location(None) == {}


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ({"country": "DE"}, {"Country": "Germany", "CountryCode": "DE"}),
        (
            {"country": "us", "region": "NY"},
            {"Country": "United States", "CountryCode": "US", "Region": "NY", "RegionCode": "NY"},
        ),
        ({"country": "QX"}, {"Country": "QX", "CountryCode": "QX"}),
        ({"region": "BY", "state": "Bayern"}, {"Region": "Bayern", "RegionCode": "BY"}),
        ({"region": "Bayern", "state": "DE-BY"}, {"Region": "Bayern", "RegionCode": "DE-BY"}),
        ({"region": "Bayern"}, {"Region": "Bayern"}),
        ({"mobile": "0171", "phone": "030"}, {"Phone": "0171"}),
        (
            {"firstName": "Jo", "lastName": "Doe", "company": "ACME", "postalCode": "1"},
            {"FirstName": "Jo", "LastName": "Doe", "Company": "ACME", "Zip": "1"},
        ),
    ],
)
def test_event_addresses_name_country_and_region(address: Any, fields: Any) -> None:
    """Countries have English names. Codes come in addition to names. Absent fields are left out."""
    assert event_address(address) == fields


@pytest.mark.parametrize(
    ("address", "e164"),
    [
        ({"country": "DE", "mobile": "0171 1234567", "phone": "030 901820"}, "+491711234567"),
        ({"country": "DE", "mobile": "12", "phone": "030 901820"}, "+4930901820"),
        ({"country": "DE", "mobile": " ", "phone": "030 901820"}, "+4930901820"),
        ({"country": "DE", "phone": "+44 20 7946 0958"}, "+442079460958"),
        ({"country": "us", "phone": "(212) 555-2368"}, "+12125552368"),
        ({"country": "DE", "phone": "call me"}, None),
        ({"country": "ZZ", "phone": "030 901820"}, None),
        ({"phone": "030 901820"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_phone_numbers_are_e164_or_left_out(address: Any, e164: str | None) -> None:
    """The mobile number comes first. Numbers are parsed with the address's country; invalid ones are left out."""
    assert phone_number(address) == e164


@pytest.mark.parametrize(
    ("rules", "properties"),
    [
        ({}, {"a": 1, "zero": 0, "no": False, "text": "x"}),
        ({"include": ("a", "text", "missing")}, {"a": 1, "text": "x"}),
        ({"exclude": ("a",)}, {"zero": 0, "no": False, "text": "x"}),
        ({"include": ("a", "text"), "exclude": ("text",)}, {"a": 1}),
        ({"include": ("a",), "rename": {"a": "b"}}, {"b": 1}),
        ({"include": ("a", "text"), "rename": {"a": "text"}}, {"text": 1}),
        ({"include": ("a",), "rename": {"b": "a"}}, {"a": 1}),
    ],
)
def test_property_rules_include_then_exclude_then_rename(rules: Any, properties: Any) -> None:
    """Null, empty strings and empty lists are left out. 0 and false are kept."""
    fields = {"a": 1, "zero": 0, "no": False, "text": "x", "null": None, "blank": "", "none": []}
    assert selected(fields, PropertyRules(**rules)) == properties


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        TypeError("secret"),
        ValueError("secret"),
        AttributeError("secret"),
        OverflowError("secret"),
        RecursionError("secret"),
    ],
)
def test_a_malformed_document_is_unmappable_without_its_text(error: Exception) -> None:
    """The error code is the exception's class. Neither cause nor context keeps its text, which may be personal."""

    @mapper
    def failing() -> None:
        raise error

    with pytest.raises(Unmappable) as raised:
        failing()
    assert (raised.value.code, raised.value.pointer) == (type(error).__name__, "")
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
