"""commercetools JSON of the catalog, as far as the mappers read it. `documents` explains which fields are optional."""

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
    """Unit price from a minimum quantity upwards."""

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
    """An attribute of a variant. The type of its value depends on the product type."""

    name: str
    value: Any


class Variant(TypedDict, total=False):
    """A product variant. `availability` is not read, because it lags behind the inventory entries."""

    id: int
    sku: str
    key: str
    prices: list[Price]
    images: list[Image]
    attributes: list[Attribute]


class Category(TypedDict, total=False):
    """A category. `ancestors` usually run from the root to the parent, but only `parent` is reliable."""

    id: str
    version: int
    key: str
    name: LocalizedString
    slug: LocalizedString
    parent: Reference
    ancestors: list[Reference]


class ProductProjection(TypedDict, total=False):
    """A product's current or staged version. Products of the Modular catalog may lack `masterVariant`."""

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
    """Stock of a SKU in one supply channel, or without a channel."""

    id: str
    version: int
    sku: str
    supplyChannel: Reference
    quantityOnStock: int
    availableQuantity: int
