"""What moves in the catalog while messages are late: SKUs and categories."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import REFUSED, Function
from tests.functional.documents import category, change, message, product, variant
from tests.functional.races import create_category, create_item, create_variant, delete_from_catalog, deliver_while


def _published(product_id: str) -> dict[str, object]:
    return message("ProductPublished", "product", product_id)


def test_a_sku_that_moves_survives_the_product_it_was_of(sandbox: Sandbox, function: Function) -> None:
    """Published under its new product before the old one is handled: it is the new one's, whatever the old one does."""
    sandbox.commercetools.put("products", product("old", variants=[variant("S-1"), variant("S-2", 2)]))
    assert function.deliver(_published("old")).outcome == "synced"
    sandbox.commercetools.put("products", product("old", variants=[variant("S-1")]))
    sandbox.commercetools.put("products", product("new", variants=[variant("S-2")]))
    assert function.deliver(_published("new")).outcome == "synced"
    assert sandbox.klaviyo.state()["variants"]["S-2"]["item"] == "new"
    assert function.deliver(_published("old")).outcome == "synced"
    assert {sku: one["item"] for sku, one in sandbox.klaviyo.state()["variants"].items()} == {
        "S-1": "old",
        "S-2": "new",
    }


def test_a_product_that_was_made_anew_keeps_its_sku(sandbox: Sandbox, function: Function) -> None:
    """A re-import: the new product's message comes first, then the old one is deleted, with its variants."""
    create_item(sandbox, "old")
    create_variant(sandbox, "S-1", "old")
    sandbox.commercetools.put("products", product("new", variants=[variant("S-1")]))
    assert function.deliver(_published("new")).outcome == "synced"
    assert function.deliver(message("ProductDeleted", "product", "old")).outcome == "synced"
    state = sandbox.klaviyo.state()
    assert list(state["items"]) == ["new"]
    assert state["variants"]["S-1"]["item"] == "new"


def test_a_descendant_that_is_deleted_meanwhile_stays_deleted(sandbox: Sandbox, function: Function) -> None:
    """Another instance deletes it between the look and the renaming: it is not made again."""
    sandbox.commercetools.put("categories", category("root", "Women"))
    sandbox.commercetools.put("categories", category("child", "Bags", ancestors=["root"]))
    create_category(sandbox, "root")
    create_category(sandbox, "child")
    sandbox.klaviyo.fail("catalog-categories/?$", method="GET", delay=0.5)
    renamed = change("ResourceUpdated", "category", "root")
    deliver_while(
        function,
        sandbox,
        renamed,
        "get_catalog_categories",
        lambda: delete_from_catalog(sandbox, "catalog-categories", "child"),
    )
    assert sandbox.klaviyo.state()["categories"] == {"root": "Women"}


@pytest.mark.parametrize("body", ["html", {"errors": [{"code": "blocked"}]}])
def test_a_403_that_is_no_missing_scope_leaves_no_product_without_prices(
    sandbox: Sandbox, function: Function, body: Any
) -> None:
    """An edge in front of the standalone prices blocks us: the message is retried, nothing is written."""
    sandbox.commercetools.put("products", product("p", variants=[variant("S-1")], priceMode="Standalone"))
    sandbox.commercetools.fail("standalone-prices", status=403, body=body)
    answered = function.deliver(_published("p"))
    assert (answered.status, answered.reason) == (REFUSED, "commercetools_denied")
    assert sandbox.klaviyo.state()["items"] == {}


@pytest.mark.parametrize("broken", [{"variants": 5}, {"masterVariant": "x"}, {"variants": [{"sku": " "}]}])
def test_a_malformed_product_is_unmappable(sandbox: Sandbox, function: Function, broken: dict[str, object]) -> None:
    """It would go round for ever otherwise; without a dead-letter topic the message stays, with that reason."""
    document = {"id": "p", "version": 1, "name": {"en-US": "P"}, **broken}
    sandbox.commercetools.fail("product-projections", status=200, body=document)
    assert function.deliver(_published("p")).reason == "unmappable"


def test_what_stays_missing_after_it_was_made_is_tried_later(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo goes on to miss a category: its reads may lag, so the message is not given up."""
    error = {"code": "not_found", "source": {"pointer": "/data/relationships/categories/data/0/id"}}
    sandbox.klaviyo.fail("catalog-items", method="POST", status=404, body={"errors": [error]})
    sandbox.commercetools.put("products", product("p", variants=[variant("S-1")]))
    answered = function.deliver(_published("p"))
    assert (answered.outcome, answered.reason) == ("retried", "klaviyo_undecided")
