"""The mapping's table "Messages": categories, products and stock. Each row has its effect, within its budget."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function
from tests.functional.documents import category, change, entry, message, money, product, recent, too_large, variant

CATEGORY_IS_NEW = message("CategoryCreated", "category", "women")
CATEGORY_CHANGED = change("ResourceUpdated", "category", "women")
PUBLISHED = message("ProductPublished", "product", "product-1")


@pytest.mark.parametrize(
    "delivery",
    [CATEGORY_IS_NEW, too_large("CategoryCreated", "category", "women"), CATEGORY_CHANGED],
    ids=["created", "too large", "updated"],
)
def test_a_category_appears(sandbox: Sandbox, function: Function, delivery: Any) -> None:
    """Created, or updated before that was heard of, it is put under its path, after the ancestors that are missing.

    Read are the category, its descendants, and the category once more; a missing ancestor costs two reads and a write.
    """
    sandbox.commercetools.put("categories", category("all", "All"))
    sandbox.commercetools.put("categories", category("women", "Women", ancestors=["all"]))
    done = measured(sandbox, function, delivery)
    assert (done.outcome, done.calls) == ("synced", (3 + 2, 2 + 1))
    assert done.state["categories"] == {"all": "All", "women": "All > Women"}
    assert list(done.state["categories"]) == ["all", "women"], "the ancestor comes first"


def test_an_unchanged_category_is_not_written(sandbox: Sandbox, function: Function) -> None:
    """Another field of the category changed: it is read, compared, and read once more."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_IS_NEW)
    sandbox.commercetools.patch("categories", "women", {"orderHint": "0.9"})
    done = measured(sandbox, function, CATEGORY_CHANGED)
    assert (done.outcome, done.calls) == ("synced", (2, 1))
    assert done.written == ("get_catalog_categories",)


def test_a_young_message_writes_an_unchanged_category(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo's list may lag, and another instance may be at it: all names of the branch are written again."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_IS_NEW)
    alone = measured(sandbox, function, recent(CATEGORY_CHANGED))
    assert (alone.outcome, alone.calls) == ("synced", (2 + 1, 1 + 1))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    measured(sandbox, function, message("CategoryCreated", "category", "bags"))
    done = measured(sandbox, function, recent(CATEGORY_CHANGED))
    assert (done.outcome, done.calls) == ("synced", (2 + 2, 1 + 1 + 2)), "the descendants' page and their names, read"
    assert done.written.count("update_catalog_category") == 2


def test_a_renamed_category_renames_its_descendants(sandbox: Sandbox, function: Function) -> None:
    """Three descendants: their paths change with it, one write each, and nothing beside the branch is touched.

    The own name comes last. Nothing moved, so no product is read.
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
    assert done.calls == (2 + 2, 2 + 3 + 1), "the descendants are read once more before the own name is written"
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
    """One write, without a read; twice is as good as once."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, function, CATEGORY_IS_NEW)
    sandbox.commercetools.delete("categories", "women")
    for _ in range(2):
        done = measured(sandbox, function, change("ResourceDeleted", "category", "women"))
        assert (done.outcome, done.calls) == ("synced", (0, 1))
        assert done.state["categories"] == {}


@pytest.mark.parametrize("delivery", [PUBLISHED, too_large("ProductPublished", "product", "product-1")])
def test_a_product_appears(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """An item in its categories, and a variant for each SKU with price and stock."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    measured(sandbox, steady, CATEGORY_IS_NEW)
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


def test_only_what_differs_of_a_product_is_written(sandbox: Sandbox, steady: Function) -> None:
    """Of 100 variants one has another price, one is new and one is gone: three writes, and the item has other images.

    The one that is gone costs a look whose it is, and two queries for another product that has it.
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
def test_a_product_that_is_not_published_disappears(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """The item goes, its variants with it: a look at commercetools and one write. One published by now stays."""
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
    """The variant has the entry's quantity, and nothing else of it changes: one read more to learn the SKU."""
    sandbox.commercetools.put("products", product())
    before = measured(sandbox, steady, PUBLISHED).state["variants"]["product-1-sku"]
    sandbox.commercetools.put("inventory", entry(quantity=3))
    done = measured(sandbox, steady, change(kind, "inventory-entry", "entry-1"))
    assert (done.outcome, done.calls) == ("synced", (2, 1))
    stock = {"inventory_quantity": 3, "inventory_policy": 1, "updated": None}
    assert done.state["variants"]["product-1-sku"] | {"updated": None} == before | stock


def test_stock_of_a_deleted_entry(sandbox: Sandbox, steady: Function) -> None:
    """Without any entry left the variant is not tracked any more; with one left, it says the quantity."""
    sandbox.commercetools.put("products", product())
    sandbox.commercetools.put("inventory", entry(quantity=3))
    measured(sandbox, steady, PUBLISHED)
    sandbox.commercetools.put("inventory", entry("entry-2", quantity=8))
    deleted = change(
        "ResourceDeleted", "inventory-entry", "entry-1", resourceUserProvidedIdentifiers={"sku": "product-1-sku"}
    )
    for quantity, policy, gone in ((8, 1, "entry-1"), (0, 2, "entry-2")):
        sandbox.commercetools.delete("inventory", gone)
        done = measured(sandbox, steady, deleted)
        assert (done.outcome, done.calls) == ("synced", (1, 1))
        shown = done.state["variants"]["product-1-sku"]
        assert (shown["inventory_quantity"], shown["inventory_policy"]) == (quantity, policy)


@pytest.mark.parametrize("kind", ["ResourceCreated", "ResourceUpdated", "ResourceDeleted"])
def test_stock_of_an_unknown_variant_is_ignored(sandbox: Sandbox, steady: Function, kind: str) -> None:
    """Klaviyo has no such variant: nothing comes into being."""
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
def test_what_was_deleted_meanwhile_is_ignored(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """The message that deletes it comes, or came: nothing is written, but a category is deleted once more.

    Another instance may have deleted it before an earlier delivery of this message wrote it.
    """
    done = measured(sandbox, steady, delivery)
    again = 1 if delivery["resource"]["typeId"] == "category" else 0
    assert (done.outcome, done.calls) == ("ignored deleted_meanwhile", (1, again))
    assert sandbox.klaviyo.state()["categories"] == {}
