"""A customer becomes a profile, without overwriting what Klaviyo has learned elsewhere."""

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


def test_every_field_is_mapped() -> None:
    """The body has the type that Klaviyo requires, and every field of the mapping."""
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
def test_missing_fields_are_left_out(customer: Any) -> None:
    """Null would clear what Klaviyo has learned elsewhere."""
    assert attributes_of(customer) == {"external_id": "c1", "email": "a@b.c"}


def test_missing_attributes_listed_in_clear_are_cleared() -> None:
    """Each is sent as null, and so is every member of the location."""
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
    """The note names the field, not the number."""
    mapped = profile({"id": "c1", "addresses": [{"country": "DE", "mobile": "12"}]}, settings_with())
    assert "phone_number" not in mapped.body["data"]["attributes"]
    assert mapped.cuts == ("phone_number: not a valid number",)


def test_custom_fields_follow_the_rules() -> None:
    """`[customer.custom_fields]` includes and renames them."""
    rules = {"customer": {"custom_fields": {"include": ["loyalty"], "rename": {"loyalty": "Points"}}}}
    assert attributes_of(CUSTOMER, rules)["properties"] == {"Points": 12.5}


@pytest.mark.parametrize("customer", [{}, {"id": "c1", "addresses": 5}, {"id": "c1", "custom": "x"}, []])
def test_a_malformed_customer_is_unmappable(customer: Any) -> None:
    """A document of the wrong shape becomes a dead letter."""
    with pytest.raises(Unmappable):
        profile(customer, settings_with())


GROUP = {"typeId": "customer-group", "id": "g1", "obj": {"id": "g1", "key": "vip"}}
FULL_CUSTOMER: Any = {
    **CUSTOMER,
    "customerNumber": "K-1",
    "dateOfBirth": "1985-04-03",
    "password": "****7no=",
    "customerGroup": GROUP,
    "customerGroupAssignments": [{"customerGroup": GROUP}, {"customerGroup": {"typeId": "customer-group", "id": "g2"}}],
    "stores": [{"typeId": "store", "key": "berlin"}, {"typeId": "store", "key": "bonn"}],
}
CUSTOM_PROPERTIES = {"loyalty": 12.5, "vip": False}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {"customerNumber": "K-1", "customerGroup": "vip", "stores": ["berlin", "bonn"]}),
        ({"exclude": ["stores", "customerGroup"]}, {"customerNumber": "K-1"}),
        (
            {"include": ["dateOfBirth"], "rename": {"dateOfBirth": "Birthday"}},
            {"Birthday": "1985-04-03"},
        ),
        ({"include": ["customerGroupAssignments"]}, {"customerGroupAssignments": ["vip"]}),
        ({"include": ["customerNumber"], "rename": {"customerNumber": "loyalty"}}, {"loyalty": "K-1"}),
    ],
)
def test_customer_fields_follow_the_property_rules(rules: Any, expected: Any) -> None:
    """Groups and stores are sent by their keys. A customer field replaces a custom field of the same name."""
    assert (
        attributes_of(FULL_CUSTOMER, {"customer": {"properties": rules}})["properties"] == CUSTOM_PROPERTIES | expected
    )


def test_a_group_whose_key_can_not_be_read_is_left_out() -> None:
    """Its id would mean nothing to people who build segments."""
    unreadable = {**FULL_CUSTOMER, "customerGroup": {"typeId": "customer-group", "id": "g1"}}
    assert "customerGroup" not in attributes_of(unreadable)["properties"]


def test_the_password_is_never_a_property() -> None:
    """It is left out even if all fields, or the password itself, are included."""
    for include in ([], ["password", "custom"]):
        properties = attributes_of(FULL_CUSTOMER, {"customer": {"properties": {"include": include}}})["properties"]
        assert not {"password", "custom"} & properties.keys()
