"""SKUs that move, categories deleted by others, and products that can't be copied."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import REFUSED, Function
from tests.functional.documents import category, change, message, product, variant
from tests.functional.races import create_category, create_item, create_variant, delete_from_catalog, deliver_while


def _published(product_id: str) -> dict[str, object]:
    return message("ProductPublished", "product", product_id)


def test_a_moved_sku_stays_when_its_old_product_is_synced(sandbox: Sandbox, function: Function) -> None:
    """A SKU published under its new product stays there when the old product's message is handled later."""
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


def test_a_recreated_product_keeps_its_sku(sandbox: Sandbox, function: Function) -> None:
    """A re-imported product keeps its SKU if its message is handled before the deletion of the old product."""
    create_item(sandbox, "old")
    create_variant(sandbox, "S-1", "old")
    sandbox.commercetools.put("products", product("new", variants=[variant("S-1")]))
    assert function.deliver(_published("new")).outcome == "synced"
    assert function.deliver(message("ProductDeleted", "product", "old")).outcome == "synced"
    state = sandbox.klaviyo.state()
    assert list(state["items"]) == ["new"]
    assert state["variants"]["S-1"]["item"] == "new"


def test_a_descendant_deleted_during_a_rename_stays_deleted(sandbox: Sandbox, function: Function) -> None:
    """A descendant that another instance deletes between the read and the rename is not created again."""
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
def test_a_403_without_a_missing_scope_is_retried(sandbox: Sandbox, function: Function, body: Any) -> None:
    """If a proxy blocks reads of standalone prices, the message is retried: nothing is written without prices."""
    sandbox.commercetools.put("products", product("p", variants=[variant("S-1")], priceMode="Standalone"))
    sandbox.commercetools.fail("standalone-prices", status=403, body=body)
    answer = function.deliver(_published("p"))
    assert (answer.status, answer.reason) == (REFUSED, "commercetools_denied")
    assert sandbox.klaviyo.state()["items"] == {}


@pytest.mark.parametrize("broken", [{"variants": 5}, {"masterVariant": "x"}, {"variants": [{"sku": " "}]}])
def test_a_malformed_product_is_unmappable(sandbox: Sandbox, function: Function, broken: dict[str, object]) -> None:
    """A malformed product fails as `unmappable`: this reason is dead-lettered, and not retried forever."""
    document = {"id": "p", "version": 1, "name": {"en-US": "P"}, **broken}
    sandbox.commercetools.fail("product-projections", status=200, body=document)
    assert function.deliver(_published("p")).reason == "unmappable"


def test_a_category_that_stays_missing_is_retried(sandbox: Sandbox, function: Function) -> None:
    """If Klaviyo keeps missing a category after it was created, the message is retried: Klaviyo may lag."""
    error = {"code": "not_found", "source": {"pointer": "/data/relationships/categories/data/0/id"}}
    sandbox.klaviyo.fail("catalog-items", method="POST", status=404, body={"errors": [error]})
    sandbox.commercetools.put("products", product("p", variants=[variant("S-1")]))
    answer = function.deliver(_published("p"))
    assert (answer.outcome, answer.reason) == ("retried", "klaviyo_undecided")
