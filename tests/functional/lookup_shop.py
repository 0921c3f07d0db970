"""A shop whose resources can be looked up by number, key, slug, SKU and e-mail."""

from tests.functional.documents import Json, category, customer, order, product, variant

UUID = "0d000000-0000-4000-8000-00000000000"
"""An id without its last digit."""


def documents() -> dict[str, list[Json]]:
    """Customer 1, order 2, product 3 with two variants, unpublished product 4 and category 5."""
    bags = {"de-DE": "taschen", "en-US": "bags-of-ours"}
    tote = product(f"{UUID}3", [variant("SKU 1"), variant('SKU"2', 2)], categories=[f"{UUID}5"], root={"key": "tote"})
    return {
        "customers": [customer(f"{UUID}1", key="best-customer", customerNumber="K-1", email="Annika@example.com")],
        "orders": [order(f"{UUID}2", orderNumber="S-20001", customerId=f"{UUID}1", customerEmail="annika@example.com")],
        "products": [tote, product(f"{UUID}4", [variant("DRAFT")], published=False)],
        "categories": [category(f"{UUID}5", "Bags", key="bags", slug=bags)],
    }
