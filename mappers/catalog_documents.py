"""The parts of commercetools JSON that make the catalog. See `documents` for what is optional."""

from typing import Any, TypedDict

from mappers.documents import LocalizedString, Money, Reference


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
