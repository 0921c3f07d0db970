"""A shop with enough products for a bulk job."""

from commands.processes import Sandbox
from tests.functional.documents import category, entry, product, variant


def fill(sandbox: Sandbox) -> None:
    """Create twelve products with ten variants each, in a category with a parent. Each first variant has stock."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    for number in range(1, 13):
        variants = [variant(f"{number}/{own}", own) for own in range(1, 11)]
        sandbox.commercetools.put("products", product(f"product-{number}", variants, categories=["bags"]))
        sandbox.commercetools.put("inventory", entry(f"entry-{number}", f"{number}/1"))
