"""commercetools JSON as far as the mappers read it: customers, and types shared with the catalog and orders.

Every field is typed as optional. Mappers read a field that the API requires with `[...]`: without it the document is
unmappable. They read all others with `.get(...)`; those may also be null. Source: commercetools API reference.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

LocalizedString = Mapping[str, str]


class Reference(TypedDict, total=False):
    """A reference to a resource. `obj` is the resource itself, if it was expanded and still exists."""

    typeId: str
    id: str
    obj: Mapping[str, Any]


class KeyReference(TypedDict, total=False):
    """A reference to a store by its key."""

    typeId: str
    key: str


class Money(TypedDict, total=False):
    """CentPrecisionMoney or HighPrecisionMoney."""

    type: str
    currencyCode: str
    centAmount: int
    preciseAmount: int
    fractionDigits: int


class CustomFields(TypedDict, total=False):
    """Custom fields that a project has added to a resource type."""

    type: Reference
    fields: Mapping[str, Any]


class Address(TypedDict, total=False):
    """A postal address of a customer or an order."""

    id: str
    key: str
    firstName: str
    lastName: str
    company: str
    apartment: str
    building: str
    streetName: str
    streetNumber: str
    additionalStreetInfo: str
    additionalAddressInfo: str
    postalCode: str
    city: str
    region: str
    state: str
    country: str
    phone: str
    mobile: str
    email: str


class CustomerGroupAssignment(TypedDict, total=False):
    """Membership of a customer in one customer group."""

    customerGroup: Reference


class Customer(TypedDict, total=False):
    """A customer."""

    id: str
    version: int
    createdAt: str
    lastModifiedAt: str
    email: str
    firstName: str
    lastName: str
    title: str
    companyName: str
    locale: str
    customerGroup: Reference
    customerGroupAssignments: list[CustomerGroupAssignment]
    stores: list[KeyReference]
    addresses: list[Address]
    defaultBillingAddressId: str
    billingAddressIds: list[str]
    custom: CustomFields
