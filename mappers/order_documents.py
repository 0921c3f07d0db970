"""The parts of commercetools JSON that make events: orders and payments. See `documents` for what is optional."""

from typing import TypedDict

from mappers.catalog_documents import Price, Variant
from mappers.documents import Address, CustomFields, KeyReference, LocalizedString, Money, Reference


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


class TrackingData(TypedDict, total=False):
    """What a carrier calls a parcel; `isReturn` marks the label for sending it back."""

    trackingId: str
    carrier: str
    provider: str
    isReturn: bool


class DeliveryItem(TypedDict, total=False):
    """How many units of a line item, or of a custom line item, are in a delivery or in a parcel; `id` is the line's."""

    id: str
    quantity: int


class Parcel(TypedDict, total=False):
    """A parcel of a delivery."""

    id: str
    createdAt: str
    trackingData: TrackingData
    items: list[DeliveryItem]


class Delivery(TypedDict, total=False):
    """What leaves the shop at once, in one parcel or in several."""

    id: str
    createdAt: str
    items: list[DeliveryItem]
    parcels: list[Parcel]
    address: Address


EstimatedDelivery = TypedDict("EstimatedDelivery", {"from": str, "until": str}, total=False)
"""When a shipment should arrive."""


class ShippingInfo(TypedDict, total=False):
    """How an order is shipped, what that costs and what was delivered."""

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


class ReturnItem(TypedDict, total=False):
    """Some units of a line item, or of a custom line item, that come back."""

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
    """A return: items that come back together."""

    items: list[ReturnItem]
    returnTrackingId: str
    returnDate: str


class State(TypedDict, total=False):
    """A state of a workflow of the project's own."""

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
    lastModifiedAt: str
    transactions: list[Transaction]
