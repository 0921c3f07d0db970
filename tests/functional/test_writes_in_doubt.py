"""Writes to the catalog that fail and took effect, while Klaviyo's lists lag behind them."""

from typing import Any

from commands.processes import Sandbox
from tests.functional.conftest import REFUSED, Function
from tests.functional.documents import category, change, message, product, variant

LONG = 60
"""Seconds by which lists lag: for the whole test."""

_IN_DOUBT: dict[str, Any] = {"status": 500, "apply": True, "count": 3}
"""Every attempt that one call has."""


def _publish(sandbox: Sandbox, function: Function, version: int, *skus: str, title: str = "Bag") -> int:
    """Publish a product with these variants; how its message was answered."""
    variants = [variant(sku, number) for number, sku in enumerate(skus, 1)]
    document = product("bag", variants, root={"version": version}, name={"en-US": title})
    sandbox.commercetools.put("products", document)
    return function.deliver(message("ProductPublished", "product", "bag", resourceVersion=version)).status


def _titles(sandbox: Sandbox) -> dict[str, Any]:
    return {sku: one["title"] for sku, one in sandbox.klaviyo.state()["variants"].items()}


def test_a_variant_that_was_created(sandbox: Sandbox, function: Function) -> None:
    """The product has it no more by the next message: it is deleted, although no list shows it yet."""
    _publish(sandbox, function, 1, "SMALL")
    sandbox.klaviyo.lag(LONG)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=500, apply=True, count=1)
    sandbox.klaviyo.fail("catalog-variants/", method="GET", status=503)
    assert _publish(sandbox, function, 2, "SMALL", "LARGE") == REFUSED
    assert "LARGE" in _titles(sandbox)
    sandbox.klaviyo.clear_failures()
    _publish(sandbox, function, 3, "SMALL")
    assert _titles(sandbox) == {"SMALL": "Bag"}


def test_a_variant_that_was_updated(sandbox: Sandbox, function: Function) -> None:
    """The title is back by the next message: it is written again, although the list shows it like that."""
    _publish(sandbox, function, 1, "SMALL")
    sandbox.klaviyo.lag(LONG)
    sandbox.klaviyo.fail("catalog-variants/", method="PATCH", **_IN_DOUBT)
    assert _publish(sandbox, function, 2, "SMALL", title="Tote") == REFUSED
    assert _titles(sandbox) == {"SMALL": "Tote"}
    _publish(sandbox, function, 3, "SMALL")
    assert _titles(sandbox) == {"SMALL": "Bag"}


def test_a_variant_that_was_deleted(sandbox: Sandbox, function: Function) -> None:
    """The product has it again by the next message: it is created, although the list shows it still."""
    _publish(sandbox, function, 1, "SMALL", "LARGE")
    sandbox.klaviyo.lag(LONG)
    sandbox.klaviyo.fail("catalog-variants/", method="DELETE", status=500, apply=True, count=1)
    sandbox.klaviyo.fail("catalog-variants/", method="DELETE", status=503)
    assert _publish(sandbox, function, 2, "SMALL") == REFUSED
    assert _titles(sandbox) == {"SMALL": "Bag"}
    sandbox.klaviyo.clear_failures()
    _publish(sandbox, function, 3, "SMALL", "LARGE")
    assert _titles(sandbox) == {"SMALL": "Bag", "LARGE": "Bag"}


def test_a_category_that_moved(sandbox: Sandbox, function: Function) -> None:
    """It is back at its old place by the next message: its items follow, although the list shows its old name."""
    for own in ("women", "men"):
        sandbox.commercetools.put("categories", category(own, own.title()))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    sandbox.commercetools.put("products", product("bag", categories=["bags"]))
    for own in ("women", "men", "bags"):
        function.deliver(message("CategoryCreated", "category", own))
    function.deliver(message("ProductPublished", "product", "bag"))
    sandbox.klaviyo.lag(LONG)
    sandbox.klaviyo.fail("catalog-categories/", method="PATCH", **_IN_DOUBT)
    for version, parent in ((2, "men"), (3, "women")):
        moved = category("bags", "Bags", ancestors=[parent], version=version)
        sandbox.commercetools.put("categories", moved)
        function.deliver(change("ResourceUpdated", "category", "bags", version=version))
        assert set(sandbox.klaviyo.state()["items"]["bag"]["categories"]) == {"bags", parent}
    assert sandbox.klaviyo.state()["categories"]["bags"] == "Women > Bags"
