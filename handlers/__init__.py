"""What is done for each message. Importing this package registers every handler."""

from handlers import category, customer, inventory, order, payment, price, product

__all__ = ["category", "customer", "inventory", "order", "payment", "price", "product"]
