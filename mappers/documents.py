"""The parts of commercetools JSON that the mappers read: customers, and what they share with the catalog and orders.

Every field is optional here: what the API calls required is read with `[...]`, and its absence makes the document
unmappable; the rest is read with `.get(...)` and may also be null. Source: commercetools API reference.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

LocalizedString = Mapping[str, str]


class Reference(TypedDict, total=False):
    """A pointer to a resource; `obj` holds the resource when it was expanded and still exists."""

    typeId: str
    id: str
    obj: Mapping[str, Any]


class KeyReference(TypedDict, total=False):
    """A pointer to a store, by key."""

    typeId: str
    key: str


class Money(TypedDict, total=False):
    """CentPrecisionMoney and HighPrecisionMoney."""

    type: str
    currencyCode: str
    centAmount: int
    preciseAmount: int
    fractionDigits: int


class CustomFields(TypedDict, total=False):
    """Fields a project has added to a resource type."""

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
    """One of the groups that a customer is in."""

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
