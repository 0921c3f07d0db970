"""commercetools JSON of orders and payments, as far as the mappers read it. `documents` explains optional fields."""

from typing import TypedDict

from mappers.catalog_documents import Price, Variant
from mappers.documents import Address, CustomFields, KeyReference, LocalizedString, Money, Reference


class DiscountPortion(TypedDict, total=False):
    """The amount that one discount takes off the price of one unit."""

    discount: Reference
    discountedAmount: Money


class DiscountedLinePrice(TypedDict, total=False):
    """A unit's price after cart discounts."""

    value: Money
    includedDiscounts: list[DiscountPortion]


class DiscountedQuantity(TypedDict, total=False):
    """The discounted price of some units of a line, and how many units."""

    quantity: int
    discountedPrice: DiscountedLinePrice


class LineItem(TypedDict, total=False):
    """A line item of an order: a snapshot of a variant."""

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
    """A line of an order that is not a product."""

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


class TrackingData(TypedDict, total=False):
    """A carrier's tracking data of a parcel. `isReturn` marks a return label."""

    trackingId: str
    carrier: str
    provider: str
    isReturn: bool


class DeliveryItem(TypedDict, total=False):
    """Units of a line item or custom line item in a delivery or parcel. `id` is that of the line."""

    id: str
    quantity: int


class Parcel(TypedDict, total=False):
    """A parcel of a delivery."""

    id: str
    createdAt: str
    trackingData: TrackingData
    items: list[DeliveryItem]


class Delivery(TypedDict, total=False):
    """Items shipped together, in one or more parcels."""

    id: str
    createdAt: str
    items: list[DeliveryItem]
    parcels: list[Parcel]
    address: Address


EstimatedDelivery = TypedDict("EstimatedDelivery", {"from": str, "until": str}, total=False)
"""When a shipment is expected to arrive."""


class ShippingInfo(TypedDict, total=False):
    """A shipping method of an order, with its price and deliveries."""

    shippingMethodName: str
    price: Money
    discountedPrice: DiscountedLinePrice
    deliveries: list[Delivery]
    estimatedDelivery: EstimatedDelivery


class Shipping(TypedDict, total=False):
    """One of several shipping methods of an order (`shippingMode: Multiple`)."""

    shippingKey: str
    shippingInfo: ShippingInfo
    shippingAddress: Address


class DiscountOnTotal(TypedDict, total=False):
    """The amount that cart discounts take off the total price."""

    discountedAmount: Money


class DiscountCode(TypedDict, total=False):
    """A discount code."""

    id: str
    code: str


class DiscountCodeInfo(TypedDict, total=False):
    """A discount code that the shopper entered for an order."""

    discountCode: Reference
    state: str


class ReturnItem(TypedDict, total=False):
    """Units of a line item or custom line item that are being returned."""

    id: str
    key: str
    quantity: int
    lineItemId: str
    customLineItemId: str
    comment: str
    shipmentState: str
    paymentState: str
    createdAt: str
    lastModifiedAt: str


class ReturnInfo(TypedDict, total=False):
    """A return: items that are returned together."""

    items: list[ReturnItem]
    returnTrackingId: str
    returnDate: str


class State(TypedDict, total=False):
    """A state of a custom workflow."""

    id: str
    key: str
    name: LocalizedString


class Order(TypedDict, total=False):
    """An order."""

    id: str
    version: int
    orderNumber: str
    createdAt: str
    lastModifiedAt: str
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
    shipmentState: str
    paymentState: str
    state: Reference
    returnInfo: list[ReturnInfo]
    custom: CustomFields


class Transaction(TypedDict, total=False):
    """A transaction of a payment, such as a charge or a refund."""

    id: str
    timestamp: str
    type: str
    amount: Money
    state: str


class Payment(TypedDict, total=False):
    """A payment. It holds no reference to its order."""

    id: str
    version: int
    lastModifiedAt: str
    transactions: list[Transaction]
