"""A customer becomes a profile: field by field, and without touching what Klaviyo learned elsewhere."""

from typing import Any

import pytest

from core.errors import Unmappable
from mappers.profile import profile
from tests.unit.strategies import settings_with

CUSTOMER: Any = {
    "id": "c1",
    "version": 4,
    "email": " jane@x.io ",
    "firstName": "Jane",
    "lastName": "Doe",
    "title": "Dr",
    "companyName": "ACME",
    "locale": "de-DE",
    "addresses": [
        {"id": "a0", "city": "Hamburg", "country": "DE"},
        {
            "id": "a1",
            "streetName": "Main",
            "streetNumber": "1",
            "city": "Berlin",
            "country": "DE",
            "phone": "030 901820",
        },
    ],
    "defaultBillingAddressId": "a1",
    "custom": {"type": {"typeId": "type", "id": "t1"}, "fields": {"loyalty": 12.5, "note": "", "vip": False}},
}


def attributes_of(customer: Any, sync: Any = None) -> Any:
    """Map a customer and return the profile's attributes."""
    return profile(customer, settings_with(sync)).body["data"]["attributes"]


def test_every_field_has_its_place() -> None:
    """The table of mapping.md, and a body of the type Klaviyo wants."""
    mapped = profile(CUSTOMER, settings_with())
    assert mapped.cuts == ()
    assert mapped.body == {
        "data": {
            "type": "profile",
            "attributes": {
                "external_id": "c1",
                "email": "jane@x.io",
                "first_name": "Jane",
                "last_name": "Doe",
                "title": "Dr",
                "organization": "ACME",
                "locale": "de-DE",
                "phone_number": "+4930901820",
                "location": {"address1": "1, Main", "city": "Berlin", "country": "DE"},
                "properties": {"loyalty": 12.5, "vip": False},
            },
        }
    }


@pytest.mark.parametrize(
    "customer",
    [
        {"id": "c1", "email": "a@b.c"},
        {"id": "c1", "email": "a@b.c", "addresses": [], "custom": None, "firstName": None, "title": " "},
        {"id": "c1", "email": "a@b.c", "custom": {"fields": {"note": None}}, "addresses": [{"country": ""}]},
    ],
)
def test_what_is_absent_is_left_out(customer: Any) -> None:
    """Null would clear what Klaviyo learned elsewhere."""
    assert attributes_of(customer) == {"external_id": "c1", "email": "a@b.c"}


def test_attributes_listed_in_clear_are_cleared_when_absent() -> None:
    """Null for each, and for every member of the location."""
    clear = ["first_name", "phone_number", "location", "title"]
    bare = attributes_of({"id": "c1", "email": "a@b.c", "title": "Dr"}, {"customer": {"clear": clear}})
    assert bare == {
        "external_id": "c1",
        "email": "a@b.c",
        "title": "Dr",
        "first_name": None,
        "phone_number": None,
        "location": dict.fromkeys(("address1", "address2", "city", "country", "region", "zip")),
    }
    moved = attributes_of({"id": "c1", "addresses": [{"city": "Bonn"}]}, {"customer": {"clear": ["location"]}})
    assert moved["location"]["city"] == "Bonn"
    assert moved["location"]["address2"] is None


def test_an_invalid_phone_number_is_left_out_and_noted() -> None:
    """The note says which field, not which number."""
    mapped = profile({"id": "c1", "addresses": [{"country": "DE", "mobile": "12"}]}, settings_with())
    assert "phone_number" not in mapped.body["data"]["attributes"]
    assert mapped.cuts == ("phone_number: not a valid number",)


def test_custom_fields_follow_the_rules() -> None:
    """Include, exclude and rename of `[customer.custom_fields]`."""
    rules = {"customer": {"custom_fields": {"include": ["loyalty"], "rename": {"loyalty": "Points"}}}}
    assert attributes_of(CUSTOMER, rules)["properties"] == {"Points": 12.5}


@pytest.mark.parametrize("customer", [{}, {"id": "c1", "addresses": 5}, {"id": "c1", "custom": "x"}, []])
def test_what_is_no_customer_is_unmappable(customer: Any) -> None:
    """A wrong shape is a dead letter, not a crash."""
    with pytest.raises(Unmappable):
        profile(customer, settings_with())
