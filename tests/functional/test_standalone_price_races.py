"""A standalone price that changes while its product is written reaches Klaviyo: the check after the write finds it."""

from commands.processes import Sandbox
from tests.functional.conftest import Function
from tests.functional.documents import Json, category, message, money, product, variant
from tests.functional.races import create_category, deliver_while

PUBLISHED = message("ProductPublished", "product", "product-1")


def _price(cents: int, version: int = 1) -> Json:
    return {"id": "price-1", "sku": "A", "version": version, "value": money(cents), "active": True}


def test_a_price_that_changes_while_only_the_item_is_written(sandbox: Sandbox, function: Function) -> None:
    """Only the item's categories changed, but its price is checked too."""
    sandbox.commercetools.put("standalone-prices", _price(1000))
    sandbox.commercetools.put("products", product(variants=[variant("A")], root={"priceMode": "Standalone"}))
    function.deliver(PUBLISHED)
    create_category(sandbox, "women")
    sandbox.commercetools.put("categories", category("women", "Women"))
    changed = product(variants=[variant("A")], categories=["women"], root={"priceMode": "Standalone"})
    sandbox.commercetools.put("products", changed)
    sandbox.klaviyo.fail("catalog-items/", method="PATCH", delay=0.4, count=1)
    answer = deliver_while(
        function,
        sandbox,
        PUBLISHED,
        "get_catalog_item",
        lambda: sandbox.commercetools.put("standalone-prices", _price(4200, version=2)),
    )
    assert answer.outcome == "synced"
    assert sandbox.klaviyo.state()["items"]["product-1"]["price"] == 42


def test_a_price_that_changes_while_a_product_is_written(sandbox: Sandbox, function: Function) -> None:
    """The check covers the prices of the variants that were written."""
    sandbox.commercetools.put("standalone-prices", _price(1000))
    sandbox.commercetools.put("products", product(variants=[variant("A")], root={"priceMode": "Standalone"}))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.4, count=1)
    answer = deliver_while(
        function,
        sandbox,
        PUBLISHED,
        "create_catalog_variant",
        lambda: sandbox.commercetools.put("standalone-prices", _price(4200, version=2)),
    )
    assert answer.outcome == "synced"
    assert sandbox.klaviyo.state()["variants"]["A"]["price"] == 42
