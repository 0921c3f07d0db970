"""The handlers of commercetools' messages. Importing this package registers all of them."""

from handlers import (
    category,
    consent_messages,
    customer,
    inventory,
    order,
    order_states,
    payment,
    price,
    product,
    returns,
    shipment,
)

__all__ = [
    "category",
    "consent_messages",
    "customer",
    "inventory",
    "order",
    "order_states",
    "payment",
    "price",
    "product",
    "returns",
    "shipment",
]
