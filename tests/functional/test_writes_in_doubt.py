"""Catalog writes that take effect although the call fails, while Klaviyo's lists lag behind."""

from typing import Any

from commands.processes import Sandbox
from tests.functional.conftest import REFUSED, Function
from tests.functional.documents import category, change, message, product, variant

LAG_SECONDS = 60
"""Seconds by which lists lag: longer than the test."""

_IN_DOUBT: dict[str, Any] = {"status": 500, "apply": True, "count": 3}
"""All three attempts of a call fail, but take effect."""


def _publish(sandbox: Sandbox, function: Function, version: int, *skus: str, title: str = "Bag") -> int:
    """Publish a product with these variants, and deliver its message. Return the HTTP status."""
    variants = [variant(sku, number) for number, sku in enumerate(skus, 1)]
    document = product("bag", variants, root={"version": version}, name={"en-US": title})
    sandbox.commercetools.put("products", document)
    return function.deliver(message("ProductPublished", "product", "bag", resourceVersion=version)).status


def _titles(sandbox: Sandbox) -> dict[str, Any]:
    return {sku: attributes["title"] for sku, attributes in sandbox.klaviyo.state()["variants"].items()}


def test_a_variant_that_was_created(sandbox: Sandbox, function: Function) -> None:
    """A variant whose create may have succeeded is deleted when the product drops it, though no list shows it."""
    _publish(sandbox, function, 1, "SMALL")
    sandbox.klaviyo.lag(LAG_SECONDS)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=500, apply=True, count=1)
    sandbox.klaviyo.fail("catalog-variants/", method="GET", status=503)
    assert _publish(sandbox, function, 2, "SMALL", "LARGE") == REFUSED
    assert "LARGE" in _titles(sandbox)
    sandbox.klaviyo.clear_failures()
    _publish(sandbox, function, 3, "SMALL")
    assert _titles(sandbox) == {"SMALL": "Bag"}


def test_a_variant_that_was_updated(sandbox: Sandbox, function: Function) -> None:
    """After an update that may have succeeded, the old title is written again, though the list still shows it."""
    _publish(sandbox, function, 1, "SMALL")
    sandbox.klaviyo.lag(LAG_SECONDS)
    sandbox.klaviyo.fail("catalog-variants/", method="PATCH", **_IN_DOUBT)
    assert _publish(sandbox, function, 2, "SMALL", title="Tote") == REFUSED
    assert _titles(sandbox) == {"SMALL": "Tote"}
    _publish(sandbox, function, 3, "SMALL")
    assert _titles(sandbox) == {"SMALL": "Bag"}


def test_a_variant_that_was_deleted(sandbox: Sandbox, function: Function) -> None:
    """A variant whose delete may have succeeded is created when the product has it again, though the list shows it."""
    _publish(sandbox, function, 1, "SMALL", "LARGE")
    sandbox.klaviyo.lag(LAG_SECONDS)
    sandbox.klaviyo.fail("catalog-variants/", method="DELETE", status=500, apply=True, count=1)
    sandbox.klaviyo.fail("catalog-variants/", method="DELETE", status=503)
    assert _publish(sandbox, function, 2, "SMALL") == REFUSED
    assert _titles(sandbox) == {"SMALL": "Bag"}
    sandbox.klaviyo.clear_failures()
    _publish(sandbox, function, 3, "SMALL", "LARGE")
    assert _titles(sandbox) == {"SMALL": "Bag", "LARGE": "Bag"}


def test_a_category_that_moved(sandbox: Sandbox, function: Function) -> None:
    """After a move that may have succeeded, a category can move back with its items, though the list lags."""
    for category_id in ("women", "men"):
        sandbox.commercetools.put("categories", category(category_id, category_id.title()))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    sandbox.commercetools.put("products", product("bag", categories=["bags"]))
    for category_id in ("women", "men", "bags"):
        function.deliver(message("CategoryCreated", "category", category_id))
    function.deliver(message("ProductPublished", "product", "bag"))
    sandbox.klaviyo.lag(LAG_SECONDS)
    sandbox.klaviyo.fail("catalog-categories/", method="PATCH", **_IN_DOUBT)
    for version, parent in ((2, "men"), (3, "women")):
        moved = category("bags", "Bags", ancestors=[parent], version=version)
        sandbox.commercetools.put("categories", moved)
        function.deliver(change("ResourceUpdated", "category", "bags", version=version))
        assert set(sandbox.klaviyo.state()["items"]["bag"]["categories"]) == {"bags", parent}
    assert sandbox.klaviyo.state()["categories"]["bags"] == "Women > Bags"
