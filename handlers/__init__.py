"""What is done for each message. Importing this package registers every handler."""

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
