"""A shop whose resources have names to be found by."""

from tests.functional.documents import Json, category, customer, order, product, variant

UUID = "0d000000-0000-4000-8000-00000000000"
"""All of an id but its last digit."""


def documents() -> dict[str, list[Json]]:
    """A customer 1, an order 2, a product 3 of two variants, a draft 4 and a category 5."""
    bags = {"de-DE": "taschen", "en-US": "bags-of-ours"}
    tote = product(f"{UUID}3", [variant("SKU 1"), variant('SKU"2', 2)], categories=[f"{UUID}5"], root={"key": "tote"})
    return {
        "customers": [customer(f"{UUID}1", key="best-customer", customerNumber="K-1", email="Annika@example.com")],
        "orders": [order(f"{UUID}2", orderNumber="S-20001", customerId=f"{UUID}1", customerEmail="annika@example.com")],
        "products": [tote, product(f"{UUID}4", [variant("DRAFT")], published=False)],
        "categories": [category(f"{UUID}5", "Bags", key="bags", slug=bags)],
    }
