"""The parts of commercetools JSON that the mappers read.

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


class Image(TypedDict, total=False):
    """An image of a variant."""

    url: str
    label: str


class DiscountedPrice(TypedDict, total=False):
    """A price after a product discount."""

    value: Money
    discount: Reference


class PriceTier(TypedDict, total=False):
    """What a unit costs from a quantity on."""

    minimumQuantity: int
    value: Money


class Price(TypedDict, total=False):
    """An embedded price of a variant, or a standalone price (with `sku` and `active`)."""

    id: str
    version: int
    sku: str
    active: bool
    value: Money
    discounted: DiscountedPrice
    country: str
    customerGroup: Reference
    channel: Reference
    validFrom: str
    validUntil: str
    tiers: list[PriceTier]
    recurrencePolicy: Reference


class Attribute(TypedDict, total=False):
    """An attribute of a variant; the value's shape depends on the product type."""

    name: str
    value: Any


class Variant(TypedDict, total=False):
    """A product variant. Its `availability` lags behind the inventory entries, so nothing reads it."""

    id: int
    sku: str
    key: str
    prices: list[Price]
    images: list[Image]
    attributes: list[Attribute]


class Category(TypedDict, total=False):
    """A category; `ancestors` mostly go from the root to the parent, but only `parent` can be relied upon."""

    id: str
    version: int
    key: str
    name: LocalizedString
    slug: LocalizedString
    parent: Reference
    ancestors: list[Reference]


class ProductProjection(TypedDict, total=False):
    """One side of a product; products of the Modular catalog may lack `masterVariant`."""

    id: str
    version: int
    key: str
    published: bool
    name: LocalizedString
    description: LocalizedString
    slug: LocalizedString
    categories: list[Reference]
    masterVariant: Variant
    variants: list[Variant]
    priceMode: str


class InventoryEntry(TypedDict, total=False):
    """Stock of a SKU in one supply channel, or without one."""

    id: str
    version: int
    sku: str
    supplyChannel: Reference
    quantityOnStock: int
    availableQuantity: int


class DiscountPortion(TypedDict, total=False):
    """What one discount takes off the price of one unit."""

    discount: Reference
    discountedAmount: Money


class DiscountedLinePrice(TypedDict, total=False):
    """A unit's price after cart discounts."""

    value: Money
    includedDiscounts: list[DiscountPortion]


class DiscountedQuantity(TypedDict, total=False):
    """How many units of a line have which discounted price."""

    quantity: int
    discountedPrice: DiscountedLinePrice


class LineItem(TypedDict, total=False):
    """A line of an order: a snapshot of a variant."""

    id: str
    productId: str
    productKey: str
    productSlug: LocalizedString
    name: LocalizedString
    variant: Variant
    price: Price
    quantity: int
    totalPrice: Money
    discountedPricePerQuantity: list[DiscountedQuantity]


class CustomLineItem(TypedDict, total=False):
    """A line of an order that is no product."""

    id: str
    name: LocalizedString
    money: Money
    totalPrice: Money
    quantity: int
    discountedPricePerQuantity: list[DiscountedQuantity]


class TaxedPrice(TypedDict, total=False):
    """Net, gross and tax of an order."""

    totalNet: Money
    totalGross: Money
    totalTax: Money


class ShippingInfo(TypedDict, total=False):
    """How an order is shipped and what that costs."""

    shippingMethodName: str
    price: Money
    discountedPrice: DiscountedLinePrice


class Shipping(TypedDict, total=False):
    """One of several shipping methods of an order (`shippingMode: Multiple`)."""

    shippingKey: str
    shippingInfo: ShippingInfo


class DiscountOnTotal(TypedDict, total=False):
    """What cart discounts take off the total price."""

    discountedAmount: Money


class DiscountCode(TypedDict, total=False):
    """What a shopper types to get a discount."""

    id: str
    code: str


class DiscountCodeInfo(TypedDict, total=False):
    """A discount code that was entered for an order."""

    discountCode: Reference
    state: str


class Order(TypedDict, total=False):
    """An order."""

    id: str
    version: int
    orderNumber: str
    createdAt: str
    completedAt: str
    customerId: str
    customerEmail: str
    locale: str
    country: str
    store: KeyReference
    totalPrice: Money
    taxedPrice: TaxedPrice
    discountOnTotalPrice: DiscountOnTotal
    discountCodes: list[DiscountCodeInfo]
    shippingInfo: ShippingInfo
    shipping: list[Shipping]
    billingAddress: Address
    shippingAddress: Address
    lineItems: list[LineItem]
    customLineItems: list[CustomLineItem]
    orderState: str
    custom: CustomFields


class Transaction(TypedDict, total=False):
    """A movement of money within a payment."""

    id: str
    timestamp: str
    type: str
    amount: Money
    state: str


class Payment(TypedDict, total=False):
    """A payment; it does not know its order."""

    id: str
    version: int
    transactions: list[Transaction]
