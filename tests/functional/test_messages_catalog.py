"""Categories, products and stock: their messages have the effect that docs/messages.md says, within their budget."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function
from tests.functional.documents import category, change, entry, message, money, product, recent, too_large, variant

CATEGORY_CREATED = message("CategoryCreated", "category", "women")
CATEGORY_CHANGED = change("ResourceUpdated", "category", "women")
PUBLISHED = message("ProductPublished", "product", "product-1")


@pytest.mark.parametrize(
    "delivery",
    [CATEGORY_CREATED, too_large("CategoryCreated", "category", "women"), CATEGORY_CHANGED],
    ids=["created", "too large", "updated"],
)
def test_a_category_is_created(sandbox: Sandbox, function: Function, delivery: Any) -> None:
    """A new category, or an updated one that Klaviyo lacks, is written under its path, after missing ancestors.

    The category is read, then its descendants, then the category again. A missing ancestor costs two reads and a write.
    """
    sandbox.commercetools.put("categories", category("all", "All"))
    sandbox.commercetools.put("categories", category("women", "Women", ancestors=["all"]))
    done = measured(sandbox, function, delivery)
    assert (done.outcome, done.calls) == ("synced", (3 + 2, 2 + 1))
    assert done.state["categories"] == {"all": "All", "women": "All > Women"}
    assert list(done.state["categories"]) == ["all", "women"], "the ancestor is created first"


def test_an_unchanged_category_is_not_written(sandbox: Sandbox, function: Function) -> None:
    """If another of its fields changed, the category is read, compared, and read again."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_CREATED)
    sandbox.commercetools.patch("categories", "women", {"orderHint": "0.9"})
    done = measured(sandbox, function, CATEGORY_CHANGED)
    assert (done.outcome, done.calls) == ("synced", (2, 1))
    assert done.written == ("get_catalog_categories",)


def test_a_young_message_writes_an_unchanged_category(sandbox: Sandbox, function: Function) -> None:
    """All names of the branch are written, as Klaviyo's list may lag and another instance may be writing too."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_CREATED)
    alone = measured(sandbox, function, recent(CATEGORY_CHANGED))
    assert (alone.outcome, alone.calls) == ("synced", (2 + 1, 1 + 1))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    measured(sandbox, function, message("CategoryCreated", "category", "bags"))
    done = measured(sandbox, function, recent(CATEGORY_CHANGED))
    assert (done.outcome, done.calls) == ("synced", (2 + 2, 1 + 1 + 2)), "the descendants and their names are read too"
    assert done.written.count("update_catalog_category") == 2


def test_a_renamed_category_renames_its_descendants(sandbox: Sandbox, function: Function) -> None:
    """The paths of three descendants change, one write each; nothing outside the branch is touched.

    The category's own name is written last. Nothing moved, so no product is read.
    """
    tree = [
        category("women", "Women"),
        category("bags", "Bags", ancestors=["women"]),
        category("handbags", "Handbags", ancestors=["women", "bags"]),
        category("shoes", "Shoes", ancestors=["women"]),
        category("home", "Home"),
    ]
    sandbox.commercetools.put_all({"categories": tree})
    for one in tree:
        measured(sandbox, function, message("CategoryCreated", "category", one["id"]))
    sandbox.commercetools.patch("categories", "women", {"name": {"en-US": "Ladies"}})
    done = measured(sandbox, function, CATEGORY_CHANGED)
    assert done.outcome == "synced"
    assert done.calls == (2 + 2, 2 + 3 + 1), "the descendants are read again before the category's own name is written"
    assert set(done.read) == {"categories.get", "categories.query"}
    assert sandbox.klaviyo.requests()[-1]["path"].endswith("women")
    assert done.state["categories"] == {
        "women": "Ladies",
        "bags": "Ladies > Bags",
        "handbags": "Ladies > Bags > Handbags",
        "shoes": "Ladies > Shoes",
        "home": "Home",
    }


def test_a_deleted_category_is_deleted(sandbox: Sandbox, function: Function) -> None:
    """A deletion costs one write and no read, and may be repeated."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_CREATED)
    sandbox.commercetools.delete("categories", "women")
    for _ in range(2):
        done = measured(sandbox, function, change("ResourceDeleted", "category", "women"))
        assert (done.outcome, done.calls) == ("synced", (0, 1))
        assert done.state["categories"] == {}


@pytest.mark.parametrize(
    "delivery", [PUBLISHED, too_large("ProductPublished", "product", "product-1")], ids=["included", "too large"]
)
def test_a_product_is_created(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """It becomes an item in its categories and one variant per SKU, with price and stock."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, steady, CATEGORY_CREATED)
    variants = [variant("RED", 1), variant("BLUE", 2, prices=[{"id": "p", "value": money(1250)}])]
    sandbox.commercetools.put("products", product(variants=variants, categories=["women"]))
    sandbox.commercetools.put("inventory", entry(sku="RED", quantity=7))
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", (3, 2 + 2))
    item = done.state["items"]["product-1"]
    assert (item["title"], item["description"]) == ("Name of product-1", "What product-1 is")
    assert (item["price"], item["published"], item["categories"]) == (10, True, ["women"])
    assert item["url"] == "https://shop.example/p/slug-of-product-1"
    assert item["image_full_url"] == "https://cdn.example.com/1.jpg"
    red, blue = done.state["variants"]["RED"], done.state["variants"]["BLUE"]
    assert (red["price"], red["inventory_quantity"], red["inventory_policy"]) == (10, 7, 1)
    assert (blue["price"], blue["inventory_quantity"], blue["inventory_policy"]) == (12.5, 0, 2)
    assert red["item"] == blue["item"] == "product-1"


def test_only_differences_of_a_product_are_written(sandbox: Sandbox, steady: Function) -> None:
    """Of 100 variants one is repriced, one is new and one is removed: three writes, and one for the item's images.

    The removed variant costs a read of which item it belongs to, and two queries for another product with its SKU.
    """
    before = [variant(f"SKU-{number}", number) for number in range(1, 101)]
    sandbox.commercetools.put("products", product(variants=before))
    measured(sandbox, steady, PUBLISHED)
    after = [*before[:99], variant("SKU-NEW", 101)]
    after[41] = variant("SKU-42", 42, prices=[{"id": "price-42", "value": money(4200)}])
    sandbox.commercetools.put("products", product(variants=after))
    done = measured(sandbox, steady, PUBLISHED)
    assert (done.outcome, done.calls) == ("synced", (1 + 2 + 2, 2 + 1 + 3 + 1))
    assert sorted(done.written) == [
        "create_catalog_variant",
        "delete_catalog_variant",
        "get_catalog_item",
        "get_catalog_variant",
        "get_variants_for_catalog_item",
        "update_catalog_item",
        "update_catalog_variant",
    ]
    assert set(done.state["variants"]) == {one["sku"] for one in after}
    assert done.state["variants"]["SKU-42"]["price"] == 42


@pytest.mark.parametrize(
    "delivery",
    [
        message("ProductUnpublished", "product", "product-1"),
        message("ProductDeleted", "product", "product-1"),
        change("ResourceDeleted", "product", "product-1"),
        too_large("ProductUnpublished", "product", "product-1"),
        too_large("ProductDeleted", "product", "product-1"),
    ],
    ids=["unpublished", "deleted", "deleted, as a change", "unpublished, too large", "deleted, too large"],
)
def test_an_unpublished_product_is_deleted(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """The item is deleted with its variants: one read of commercetools, one write. If published again, it stays."""
    sandbox.commercetools.put("products", product(root={"version": 2}))
    before = measured(sandbox, steady, PUBLISHED).state
    stays = measured(sandbox, steady, delivery)
    assert (stays.outcome, stays.calls) == ("ignored published_again", (1, 0))
    assert stays.state == before
    sandbox.commercetools.put("products", product(published=False))
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", (1, 1))
    assert (done.state["items"], done.state["variants"]) == ({}, {})


@pytest.mark.parametrize("kind", ["ResourceCreated", "ResourceUpdated"])
def test_stock_is_set(sandbox: Sandbox, steady: Function, kind: str) -> None:
    """The variant gets the entry's quantity, and nothing else of it changes. One extra read finds the SKU."""
    sandbox.commercetools.put("products", product())
    before = measured(sandbox, steady, PUBLISHED).state["variants"]["product-1-sku"]
    sandbox.commercetools.put("inventory", entry(quantity=3))
    done = measured(sandbox, steady, change(kind, "inventory-entry", "entry-1"))
    assert (done.outcome, done.calls) == ("synced", (2, 1))
    stock = {"inventory_quantity": 3, "inventory_policy": 1, "updated": None}
    assert done.state["variants"]["product-1-sku"] | {"updated": None} == before | stock


def test_stock_of_a_deleted_entry(sandbox: Sandbox, steady: Function) -> None:
    """If no entry is left, the variant's stock is no longer tracked; if one is left, its quantity counts."""
    sandbox.commercetools.put("products", product())
    sandbox.commercetools.put("inventory", entry(quantity=3))
    measured(sandbox, steady, PUBLISHED)
    sandbox.commercetools.put("inventory", entry("entry-2", quantity=8))
    deleted = change(
        "ResourceDeleted", "inventory-entry", "entry-1", resourceUserProvidedIdentifiers={"sku": "product-1-sku"}
    )
    for quantity, policy, entry_id in ((8, 1, "entry-1"), (0, 2, "entry-2")):
        sandbox.commercetools.delete("inventory", entry_id)
        done = measured(sandbox, steady, deleted)
        assert (done.outcome, done.calls) == ("synced", (1, 1))
        shown = done.state["variants"]["product-1-sku"]
        assert (shown["inventory_quantity"], shown["inventory_policy"]) == (quantity, policy)


@pytest.mark.parametrize("kind", ["ResourceCreated", "ResourceUpdated", "ResourceDeleted"])
def test_stock_of_an_unknown_variant_is_ignored(sandbox: Sandbox, steady: Function, kind: str) -> None:
    """Klaviyo has no such variant, and none is created."""
    sandbox.commercetools.put("inventory", entry())
    identifiers = {"sku": "product-1-sku"}
    done = measured(
        sandbox, steady, change(kind, "inventory-entry", "entry-1", resourceUserProvidedIdentifiers=identifiers)
    )
    assert (done.outcome, done.calls) == ("ignored no_variant", (1, 1))
    assert done.state["variants"] == {}


@pytest.mark.parametrize(
    "delivery",
    [
        message("CustomerCreated", "customer", "gone"),
        change("ResourceUpdated", "customer", "gone"),
        message("CategoryCreated", "category", "gone"),
        change("ResourceUpdated", "category", "gone"),
        change("ResourceUpdated", "inventory-entry", "gone"),
    ],
    ids=lambda delivery: delivery["resource"]["typeId"],
)
def test_a_resource_deleted_in_the_meantime_is_ignored(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """The deletion has its own message, so nothing is written. Only a category is deleted once more.

    Another instance may have deleted it before an earlier delivery of this message wrote it.
    """
    done = measured(sandbox, steady, delivery)
    again = 1 if delivery["resource"]["typeId"] == "category" else 0
    assert (done.outcome, done.calls) == ("ignored deleted_meanwhile", (1, again))
    assert sandbox.klaviyo.state()["categories"] == {}
