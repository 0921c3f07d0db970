"""SKUs that move between products while reads lag or two instances write: no variant is lost or duplicated."""

from collections.abc import Mapping
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import message, money, product, recent, variant
from tests.functional.races import create_item, create_variant, delete_from_catalog, deliver_while, push

_VARIANT_PATH = "catalog-variants/"


def _published(product_id: str, version: int = 1) -> dict[str, Any]:
    return message("ProductPublished", "product", product_id, resourceVersion=version)


def _just_published(product_id: str) -> dict[str, Any]:
    return recent(_published(product_id))


def _put(sandbox: Sandbox, product_id: str, *skus: str, version: int = 1, cents: int = 1000) -> None:
    prices = [{"id": "p", "value": money(cents)}]
    variants = [variant(sku, number, prices=prices) for number, sku in enumerate(skus, 1)]
    sandbox.commercetools.put("products", product(product_id, variants, root={"version": version}))


def _post(function: Function, delivery: Mapping[str, Any]) -> None:
    """Deliver to an instance whose log the test does not read."""
    assert push(function, delivery) == ACKNOWLEDGED


def _owners(sandbox: Sandbox) -> dict[str, str]:
    return {sku: one["item"] for sku, one in sandbox.klaviyo.state()["variants"].items()}


def _move(sandbox: Sandbox) -> None:
    """Move the SKU MOVES from the old product to the new one."""
    _put(sandbox, "old", "STAYS", version=2)
    _put(sandbox, "new", "MOVES")


def test_a_sku_moved_between_the_check_and_the_delete(sandbox: Sandbox, serve: Serve) -> None:
    """Another instance re-creates the variant under its new product. The delete hits it, so it is created again."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    assert function.deliver(_published("old")).outcome == "synced"
    _put(sandbox, "old", "STAYS", version=2)

    def take_over() -> None:
        _put(sandbox, "new", "MOVES")
        _post(other, _published("new"))

    sandbox.klaviyo.fail(_VARIANT_PATH, method="GET", delay=1, count=1)
    done = deliver_while(function, sandbox, _published("old", 2), "get_catalog_variant", take_over)
    assert done.outcome == "synced"
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "new"}


def test_a_sku_moved_while_the_list_lags(sandbox: Sandbox, serve: Serve) -> None:
    """Klaviyo's list still shows the variant under its old product, but its read by id shows the new one."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    _post(other, _published("old"))
    sandbox.klaviyo.lag(20)
    _move(sandbox)
    _post(other, _published("new"))
    done = measured(sandbox, function, _published("old", 2))
    assert done.outcome == "synced"
    assert "delete_catalog_variant" not in done.written
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "new"}


def test_a_sku_moved_while_the_list_and_the_query_lag(sandbox: Sandbox, serve: Serve) -> None:
    """No query shows that another product has the SKU, but the variant itself names its item, so it stays."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    _post(other, _published("old"))
    sandbox.klaviyo.lag(20)
    _move(sandbox)
    _post(other, _published("new"))
    nothing = {"limit": 500, "offset": 0, "count": 0, "results": []}
    sandbox.commercetools.fail("/product-projections$", status=200, body=nothing)
    assert function.deliver(_published("old", 2)).outcome == "synced"
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "new"}


def test_a_sku_moved_while_the_variant_lags(sandbox: Sandbox, serve: Serve) -> None:
    """Klaviyo still shows the variant under its old product, but the shop does not: nothing is deleted."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    _post(other, _published("old"))
    sandbox.klaviyo.lag(20)
    _move(sandbox)
    _post(other, _published("new"))
    item = {"item": {"data": {"type": "catalog-item", "id": "$custom:::$default:::old"}}}
    stale = {"type": "catalog-variant", "id": "$custom:::$default:::MOVES", "attributes": {}, "relationships": item}
    sandbox.klaviyo.fail(f"{_VARIANT_PATH}.*MOVES$", method="GET", status=200, body={"data": stale}, count=1)
    done = measured(sandbox, function, _published("old", 2))
    assert (done.outcome, done.written.count("delete_catalog_variant")) == ("synced", 0)
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "new"}


def test_a_sku_moved_there_and_back_while_the_list_lags(sandbox: Sandbox, serve: Serve) -> None:
    """The list shows the original item. The answer to the PATCH shows that the variant belongs to another one."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    _post(other, _published("old"))
    sandbox.klaviyo.lag(20)
    _move(sandbox)
    _post(other, _published("new"))
    _put(sandbox, "new", "ELSE", version=2)
    _put(sandbox, "old", "STAYS", "MOVES", version=3, cents=4200)
    assert function.deliver(_published("old", 3)).outcome == "synced"
    assert _owners(sandbox)["MOVES"] == "old"
    _post(other, _published("new", 2))
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "old", "ELSE": "new"}


def test_a_sku_moved_back_by_a_late_write_of_an_unpublished_product(sandbox: Sandbox, serve: Serve) -> None:
    """A write in flight moves the variant back to its old product; it is returned to the new one."""
    function, other = serve(), serve()
    _put(sandbox, "old", "STAYS", "MOVES")
    assert function.deliver(_published("old")).outcome == "synced"
    _put(sandbox, "old", "STAYS", "MOVES", version=2, cents=4200)
    sandbox.klaviyo.fail(f"{_VARIANT_PATH}.*MOVES$", method="PATCH", delay=2, late=True, count=1)

    def move() -> None:
        sandbox.commercetools.delete("products", "old")
        _post(other, message("ProductUnpublished", "product", "old", resourceVersion=3))
        _put(sandbox, "new", "MOVES")
        _post(other, _published("new"))

    deliver_while(function, sandbox, _published("old", 2), "update_catalog_item", move)
    assert _owners(sandbox)["MOVES"] == "new"
    function.deliver(_published("old", 2))
    assert _owners(sandbox) == {"MOVES": "new"}


def test_the_message_of_the_old_product_arrives_first(sandbox: Sandbox, function: Function) -> None:
    """The variant moves to the product that has the SKU now, before that product's own message arrives."""
    _put(sandbox, "old", "STAYS", "MOVES")
    function.deliver(_published("old"))
    _move(sandbox)
    assert function.deliver(_published("old", 2)).outcome == "synced"
    assert _owners(sandbox) == {"STAYS": "old", "MOVES": "new"}


def test_a_product_that_the_query_still_shows_with_the_sku(sandbox: Sandbox, function: Function) -> None:
    """Queries lag, but the product itself no longer has the SKU, so the variant is deleted."""
    _put(sandbox, "old", "STAYS", "MOVES")
    function.deliver(_published("old"))
    _put(sandbox, "old", "STAYS", version=2)
    _put(sandbox, "new", "ELSE", version=2)
    shown = {"id": "new", "version": 1, "masterVariant": variant("MOVES")}
    body = {"limit": 500, "offset": 0, "count": 1, "results": [shown]}
    sandbox.commercetools.fail("/product-projections$", status=200, body=body)
    assert function.deliver(_published("old", 2)).outcome == "synced"
    assert _owners(sandbox) == {"STAYS": "old"}


def test_a_conflict_with_its_own_variant(sandbox: Sandbox, serve: Serve) -> None:
    """Another instance created it and the list lags: it is updated. Deleting it would lose back-in-stock requests."""
    function, other = serve(), serve()
    sandbox.klaviyo.lag(20)
    _put(sandbox, "own", "A")
    _post(other, _published("own"))
    _put(sandbox, "own", "A", version=2, cents=4200)
    done = measured(sandbox, function, _published("own", 2))
    assert done.outcome == "synced"
    assert "delete_catalog_variant" not in done.written
    assert done.state["variants"]["A"]["price"] == 42


def test_a_variant_that_does_not_name_its_item(sandbox: Sandbox, serve: Serve) -> None:
    """The item's variants are listed instead. The variant is among them, so it is updated."""
    function, other = serve(), serve()
    _put(sandbox, "own", "A")
    _post(other, _published("own"))
    _put(sandbox, "own", "A", version=2, cents=4200)
    sandbox.klaviyo.fail("catalog-items/[^/]*/variants", method="GET", status=200, body={"data": []}, count=1)
    bare = {"data": {"type": "catalog-variant", "id": "$custom:::$default:::A", "attributes": {}}}
    sandbox.klaviyo.fail(_VARIANT_PATH, method="GET", status=200, body=bare)
    done = measured(sandbox, function, _published("own", 2))
    assert (done.outcome, done.state["variants"]["A"]["price"]) == ("synced", 42)
    assert "delete_catalog_variant" not in done.written


def test_a_conflict_with_a_variant_that_is_not_shown(sandbox: Sandbox, serve: Serve) -> None:
    """A young message is retried; an old one deletes the variant and creates it."""
    function = serve()
    create_item(sandbox, "own")
    create_item(sandbox, "another")
    create_variant(sandbox, "A", "another")
    _put(sandbox, "own", "A")
    sandbox.klaviyo.fail(_VARIANT_PATH, method="GET", status=404)
    young = measured(sandbox, function, _just_published("own"))
    assert young.outcome == "retried klaviyo_undecided"
    assert _owners(sandbox) == {"A": "another"}
    assert measured(sandbox, function, _published("own")).outcome == "synced"
    assert _owners(sandbox) == {"A": "own"}


def test_a_variant_deleted_in_the_meantime(sandbox: Sandbox, function: Function) -> None:
    """Another client deletes the variant before the function does: the 404 counts as success."""
    _put(sandbox, "old", "STAYS", "GOES")
    function.deliver(_published("old"))
    _put(sandbox, "old", "STAYS", version=2)
    sandbox.klaviyo.fail("catalog-items/[^/]*/variants", method="GET", delay=0.4, count=1)
    done = deliver_while(
        function,
        sandbox,
        _published("old", 2),
        "get_variants_for_catalog_item",
        lambda: delete_from_catalog(sandbox, "catalog-variants", "GOES"),
    )
    assert (done.outcome, _owners(sandbox)) == ("synced", {"STAYS": "old"})


@pytest.mark.parametrize("refused", ["item", "variant A"])
def test_a_refused_part_does_not_block_the_rest(sandbox: Sandbox, function: Function, refused: str) -> None:
    """If Klaviyo refuses the item or a variant, the others are written and the removed SKU is deleted."""
    _put(sandbox, "own", "A", "B", "GOES")
    function.deliver(_published("own"))
    _put(sandbox, "own", "A", "B", version=2, cents=4200)
    sandbox.klaviyo.fail("catalog-items/" if refused == "item" else f"{_VARIANT_PATH}.*A$", method="PATCH", status=400)
    done = function.deliver(_published("own", 2))
    assert (done.reason, done.line["part"]) == ("klaviyo_refused", refused)
    prices = {sku: one["price"] for sku, one in sandbox.klaviyo.state()["variants"].items()}
    assert prices == {"A": 42 if refused == "item" else 10, "B": 42}


def test_a_projection_that_is_not_published(sandbox: Sandbox, function: Function) -> None:
    """If the projection says `published: false`, the item is deleted."""
    _put(sandbox, "own", "A")
    function.deliver(_published("own"))
    body = {"id": "own", "version": 1, "name": {"en-US": "Own"}, "published": False, "masterVariant": variant("A")}
    sandbox.commercetools.fail("product-projections/own", status=200, body=body)
    assert function.deliver(_published("own")).outcome == "synced"
    assert sandbox.klaviyo.state()["items"] == {}


def test_a_publish_that_is_not_shown_yet(sandbox: Sandbox, function: Function) -> None:
    """Neither an older version nor, for a young message, a missing product is trusted."""
    _put(sandbox, "own", "A")
    function.deliver(_published("own"))
    done = measured(sandbox, function, _published("own", 2))
    assert (done.outcome, done.written) == ("retried stale_read", ())
    sandbox.commercetools.put("products", product("own", published=False))
    done = measured(sandbox, function, _just_published("own"))
    assert (done.outcome, done.written) == ("retried not_there_yet", ())


def test_a_publish_that_the_check_after_the_write_does_not_show(sandbox: Sandbox, function: Function) -> None:
    """The check may lag, so the message is retried. Deleting the variants would lose back-in-stock requests."""
    _put(sandbox, "own", "A", "B")
    sandbox.commercetools.fail("product-projections/own", status=404, skip=1, count=1)
    done = measured(sandbox, function, _just_published("own"))
    assert done.outcome == "retried not_there_yet"
    assert done.read.count("product-projections.get") == 2
    assert (_owners(sandbox), list(done.state["items"])) == ({"A": "own", "B": "own"}, ["own"])
    assert function.deliver(_just_published("own")).outcome == "synced"


def test_an_old_publish_that_the_check_after_the_write_does_not_show(sandbox: Sandbox, function: Function) -> None:
    """After a minute a missing product counts as unpublished: what was written is deleted."""
    _put(sandbox, "own", "A")
    sandbox.commercetools.fail("product-projections/own", status=404, skip=1)
    done = measured(sandbox, function, _published("own"))
    assert (done.outcome, done.state["items"]) == ("synced", {})


@pytest.mark.parametrize("name", ["ProductUnpublished", "ProductDeleted"])
def test_a_removal_that_is_not_shown_yet(sandbox: Sandbox, function: Function, name: str) -> None:
    """The product is shown in a version before its removal: retried, not ignored as published again."""
    _put(sandbox, "own", "A")
    function.deliver(_published("own"))
    done = measured(sandbox, function, message(name, "product", "own", resourceVersion=2))
    assert (done.outcome, done.written) == ("retried stale_read", ())
