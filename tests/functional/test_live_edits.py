"""Products that are edited live, without a publish: only differences are written, and staged edits are ignored."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import Measured, measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import category, message, money, product, reference, too_large, variant
from tests.functional.races import create_category

STAGED_OR_LIVE: Mapping[str, Mapping[str, Any]] = {
    "ProductPriceAdded": {"variantId": 1, "price": {"id": "price-1", "value": money(2000)}},
    "ProductPriceChanged": {"variantId": 1, "newPrice": {"id": "price-1", "value": money(2000)}},
    "ProductPriceRemoved": {"variantId": 1, "price": {"id": "price-2", "value": money(2000)}},
    "ProductPricesSet": {"variantId": 1, "prices": [{"id": "price-1", "value": money(2000)}]},
    "ProductPriceExternalDiscountSet": {"variantId": 1, "priceId": "price-1"},
    "ProductVariantAdded": {"variant": variant("B", 2)},
    "ProductAddedToCategory": {"category": reference("category", "women")},
    "ProductRemovedFromCategory": {"category": reference("category", "women")},
    "ProductImageAdded": {"variantId": 1, "image": {"url": "https://cdn.example.com/2.jpg"}},
}
"""Messages with a field `staged`."""
WITHOUT_STAGED: Mapping[str, Mapping[str, Any]] = {
    "ProductPriceModeSet": {"to": "Standalone"},
    "ProductVariantDeleted": {"variant": variant("B", 2)},
    "ProductSlugChanged": {"slug": {"en-US": "new"}},
    "ProductPriceDiscountsSet": {"updatedPrices": []},
}
"""Messages without it. In ProductPriceDiscountsSet, each price has one."""
EDITS = [*STAGED_OR_LIVE, *WITHOUT_STAGED]


def _product_message(name: str, **payload: Any) -> dict[str, Any]:
    return message(name, "product", "product-1", **payload)


PUBLISHED = _product_message("ProductPublished")


def _variant(sku: str, number: int, cents: int, before: int | None = None) -> dict[str, Any]:
    """A variant at a price, or discounted from `before`. All share an image, so adding one keeps the item as it is."""
    price: dict[str, Any] = {"id": f"price-{number}", "value": money(before or cents)}
    if before:
        price["discounted"] = {"value": money(cents), "discount": reference("product-discount", "sale")}
    return variant(sku, number, prices=[price], images=[{"url": "https://cdn.example.com/1.jpg"}])


def _put(sandbox: Sandbox, *variants: dict[str, Any], version: int = 1, **fields: Any) -> None:
    sandbox.commercetools.put("products", product(variants=variants, root={"version": version}, **fields))


@pytest.mark.parametrize("name", STAGED_OR_LIVE)
def test_staged_edits_are_ignored(sandbox: Sandbox, function: Function, name: str) -> None:
    """Shoppers don't see staged edits, so neither backend is called."""
    _put(sandbox, _variant("A", 1, 1000))
    done = measured(sandbox, function, _product_message(name, staged=True, **STAGED_OR_LIVE[name]))
    assert (done.outcome, done.calls) == ("ignored staged", (0, 0))


@pytest.mark.parametrize(
    ("staged", "outcome"),
    [
        ((True, True), "ignored staged"),
        ((True, False), "synced"),
        ((False,), "synced"),
        ((), "synced"),
        ((None,), "synced"),
    ],
)
def test_a_discount_is_staged_if_all_its_prices_are(
    sandbox: Sandbox, function: Function, staged: tuple[bool | None, ...], outcome: str
) -> None:
    """One live price is enough to copy the product; a price without `staged` is live."""
    _put(sandbox, _variant("A", 1, 1000))
    updated = [{"variantId": 1, "priceId": "p"} | ({} if one is None else {"staged": one}) for one in staged]
    assert (
        measured(sandbox, function, _product_message("ProductPriceDiscountsSet", updatedPrices=updated)).outcome
        == outcome
    )


@pytest.mark.parametrize(
    "make_message",
    [_product_message, lambda name, **_: too_large(name, "product", "product-1")],
    ids=["included", "too large"],
)
@pytest.mark.parametrize("name", EDITS)
def test_a_live_edit_copies_the_product(
    sandbox: Sandbox, function: Function, name: str, make_message: Callable[..., dict[str, Any]]
) -> None:
    """The product is copied as it is now, whatever the payload says, and also if the payload was too large."""
    _put(sandbox, _variant("A", 1, 1000))
    function.deliver(PUBLISHED)
    _put(sandbox, _variant("A", 1, 3000), _variant("B", 2, 4000), version=2)
    payload = {**STAGED_OR_LIVE, **WITHOUT_STAGED}[name]
    live = {"staged": False} if name in STAGED_OR_LIVE else {}
    done = measured(sandbox, function, make_message(name, **payload, **live, resourceVersion=2))
    assert done.outcome == "synced"
    assert done.state["items"]["product-1"]["price"] == 30
    assert {sku: one["price"] for sku, one in done.state["variants"].items()} == {"A": 30, "B": 40}


def _sale(sandbox: Sandbox, function: Function, **prices: int) -> Measured:
    """Publish two variants at 10.00 and 20.00 EUR, then discount some of them."""
    _put(sandbox, _variant("A", 1, 1000), _variant("B", 2, 2000))
    function.deliver(PUBLISHED)
    reduced = [_variant(sku, number, prices.get(sku, was), was) if sku in prices else _variant(sku, number, was)
               for sku, number, was in (("A", 1, 1000), ("B", 2, 2000))]  # fmt: skip
    _put(sandbox, *reduced, version=2)
    updated = [{"variantId": 1, "priceId": "price", "staged": False}]
    return measured(
        sandbox, function, _product_message("ProductPriceDiscountsSet", updatedPrices=updated, resourceVersion=2)
    )


def test_a_discount_on_one_variant_writes_that_variant(sandbox: Sandbox, steady: Function) -> None:
    """The item shows another variant's price, so it is compared but not written."""
    done = _sale(sandbox, steady, B=1500)
    assert (done.outcome, done.calls) == ("synced", (1 + 2, 2 + 1))
    assert sorted(done.written) == ["get_catalog_item", "get_variants_for_catalog_item", "update_catalog_variant"]
    assert done.state["variants"]["B"]["price"] == 15
    assert done.state["variants"]["B"]["custom_metadata"]["compare_at_price"] == 20
    assert done.state["items"]["product-1"]["price"] == 10


def test_a_discount_on_the_variant_of_the_item_writes_both(sandbox: Sandbox, steady: Function) -> None:
    """The item shows the price and the tables of this variant."""
    done = _sale(sandbox, steady, A=800)
    assert (done.outcome, done.calls) == ("synced", (1 + 2, 2 + 1 + 1))
    item = done.state["items"]["product-1"]
    assert (item["price"], item["custom_metadata"]["compare_at_price"]) == (8, 10)


def test_after_the_sale_the_old_price_is_removed(sandbox: Sandbox, steady: Function) -> None:
    """The unused key is sent as null to the item and the variant, because Klaviyo may merge metadata."""
    _sale(sandbox, steady, A=800)
    _put(sandbox, _variant("A", 1, 1000), _variant("B", 2, 2000), version=3)
    done = measured(sandbox, steady, _product_message("ProductPriceDiscountsSet", updatedPrices=[], resourceVersion=3))
    for shown in (done.state["items"]["product-1"], done.state["variants"]["A"]):
        assert shown["price"] == 10
        assert shown["custom_metadata"]["compare_at_price"] is None
    again = measured(sandbox, steady, _product_message("ProductPriceDiscountsSet", updatedPrices=[], resourceVersion=3))
    assert not [name for name in again.written if name.startswith("update")], "null counts as absent"


def test_the_old_price_is_removed_though_nothing_else_changed(
    sandbox: Sandbox, serve: Serve, settings_file: Any
) -> None:
    """If a shop switches `compare_at` off, the price stays the same, but the leftover key is still a difference."""
    _sale(sandbox, serve(), A=800)
    without = serve(SYNC_CONFIG=settings_file('[price]\ncompare_at = ""\n[limits]\nstale_after = 30\n'))
    done = measured(sandbox, without, PUBLISHED | {"resourceVersion": 2})
    assert (done.written.count("update_catalog_item"), done.written.count("update_catalog_variant")) == (1, 1)
    for shown in (done.state["items"]["product-1"], done.state["variants"]["A"]):
        assert (shown["price"], shown["custom_metadata"]["compare_at_price"]) == (8, None)
    again = measured(sandbox, without, _product_message("ProductPricesSet", resourceVersion=2))
    assert not [name for name in again.written if name.startswith("update")]


@pytest.mark.parametrize("name", EDITS)
def test_a_live_edit_of_an_unpublished_product(sandbox: Sandbox, function: Function, name: str) -> None:
    """It creates nothing, and deletes an item that was left over."""
    _put(sandbox, _variant("A", 1, 1000))
    function.deliver(PUBLISHED)
    _put(sandbox, _variant("A", 1, 1000), version=2, published=False)
    done = measured(sandbox, function, _product_message(name, resourceVersion=2))
    assert (done.outcome, done.state["items"], done.state["variants"]) == ("synced", {}, {})
    again = measured(sandbox, function, _product_message(name, resourceVersion=2))
    assert (again.outcome, again.state["items"]) == ("synced", {})


def test_an_edit_that_reads_do_not_show_yet_is_retried(sandbox: Sandbox, function: Function) -> None:
    """The projection is older than the message, so nothing is written."""
    _put(sandbox, _variant("A", 1, 1000))
    done = measured(sandbox, function, _product_message("ProductPriceChanged", staged=False, resourceVersion=2))
    assert (done.outcome, done.written) == ("retried stale_read", ())


def _publish_in_women(sandbox: Sandbox, function: Function) -> None:
    sandbox.commercetools.put_all({"categories": [category("women", "Women"), category("men", "Men")]})
    for known in ("women", "men"):
        create_category(sandbox, known)
    _put(sandbox, _variant("A", 1, 1000), categories=["women"])
    assert function.deliver(PUBLISHED).outcome == "synced"


@pytest.mark.parametrize("name", ["ProductAddedToCategory", "ProductRemovedFromCategory"])
def test_a_move_writes_the_item(sandbox: Sandbox, serve: Serve, name: str) -> None:
    """An instance that knows nothing of the item writes its categories without reading them first."""
    _publish_in_women(sandbox, serve())
    _put(sandbox, _variant("A", 1, 1000), version=2, categories=["men"])
    done = measured(sandbox, serve(), _product_message(name, staged=False, resourceVersion=2))
    assert sorted(done.written) == ["get_catalog_item", "get_variants_for_catalog_item", "update_catalog_item"]
    assert done.state["items"]["product-1"]["categories"] == ["men"]


def test_a_price_edit_does_not_move_the_item(sandbox: Sandbox, serve: Serve) -> None:
    """ProductAddedToCategory moves the item, so a message about a price need not read its categories."""
    _publish_in_women(sandbox, serve())
    _put(sandbox, _variant("A", 1, 1000), version=2, categories=["men"])
    done = measured(sandbox, serve(), _product_message("ProductPriceChanged", staged=False, resourceVersion=2))
    assert sorted(done.written) == ["get_catalog_item", "get_variants_for_catalog_item"]


@pytest.mark.parametrize(("now_in", "writes"), [("women", 0), ("men", 1)])
def test_a_publish_reads_the_categories_of_the_item(sandbox: Sandbox, serve: Serve, now_in: str, writes: int) -> None:
    """The categories are read if nothing else differs, unless this instance wrote the item within the last minute."""
    one = serve()
    _publish_in_women(sandbox, one)
    known = measured(sandbox, one, PUBLISHED)
    assert sorted(known.written) == ["get_catalog_item", "get_variants_for_catalog_item"]
    _put(sandbox, _variant("A", 1, 1000), version=2, categories=[now_in])
    done = measured(sandbox, serve(), PUBLISHED | {"resourceVersion": 2})
    reads = ["get_catalog_item", "get_category_ids_for_catalog_item", "get_variants_for_catalog_item"]
    assert sorted(done.written) == [*reads, *["update_catalog_item"] * writes]
    assert done.state["items"]["product-1"]["categories"] == [now_in]


def _klaviyo_shows(sandbox: Sandbox, item: Mapping[str, Any]) -> None:
    """Make Klaviyo show the item like this, although it has changed since."""
    body = {"data": {"type": "catalog-item", "id": "$custom:::$default:::product-1", "attributes": dict(item)}}
    sandbox.klaviyo.fail("catalog-items/[^/]*$", method="GET", status=200, body=body)


def test_a_recent_write_is_not_repeated(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo's read is older than this instance's write, so the write counts."""
    _put(sandbox, _variant("A", 1, 1000))
    function.deliver(PUBLISHED)
    older = sandbox.klaviyo.state()["items"]["product-1"]
    _put(sandbox, _variant("A", 1, 2000), version=2)
    function.deliver(_product_message("ProductPriceChanged", resourceVersion=2))
    _klaviyo_shows(sandbox, older)
    done = measured(sandbox, function, _product_message("ProductPriceChanged", resourceVersion=2))
    assert (done.outcome, "update_catalog_item" in done.written) == ("synced", False)


def test_a_deleted_item_is_created_again(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo still shows the item and its variants unchanged, but this instance has deleted them."""
    sandbox.klaviyo.lag(2)
    _put(sandbox, _variant("A", 1, 1000))
    function.deliver(PUBLISHED)
    before = sandbox.klaviyo.state()
    _put(sandbox, _variant("A", 1, 1000), version=2, published=False)
    function.deliver(_product_message("ProductUnpublished", resourceVersion=2))
    assert sandbox.klaviyo.state()["items"] == {}
    _put(sandbox, _variant("A", 1, 1000), version=3)
    _klaviyo_shows(sandbox, before["items"]["product-1"])
    done = measured(sandbox, function, PUBLISHED | {"resourceVersion": 3})
    assert done.outcome == "synced"
    assert (list(done.state["items"]), list(done.state["variants"])) == (["product-1"], ["A"])


def test_a_failed_write_is_repeated(sandbox: Sandbox, function: Function) -> None:
    """It may have taken effect, or may still do so, so Klaviyo's reads are not trusted for a while."""
    _put(sandbox, _variant("A", 1, 1000))
    function.deliver(PUBLISHED)
    before = sandbox.klaviyo.state()["items"]["product-1"]
    _put(sandbox, _variant("A", 1, 2000), version=2)
    sandbox.klaviyo.fail("catalog-items/", method="PATCH", status=503, count=3, apply=True)
    assert (
        measured(sandbox, function, _product_message("ProductPriceChanged", resourceVersion=2)).answer.outcome
        == "retried"
    )
    _put(sandbox, _variant("A", 1, 1000), version=3)
    _klaviyo_shows(sandbox, before)
    done = measured(sandbox, function, _product_message("ProductPriceChanged", resourceVersion=3))
    assert (done.outcome, done.state["items"]["product-1"]["price"]) == ("synced", 10)
