"""What is done for each message. Importing this package registers every handler."""

from handlers import category, customer, inventory, order, order_states, payment, price, product, returns, shipment

__all__ = [
    "category",
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
