"""Answers of Klaviyo that have a rule of their own."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function
from tests.functional.documents import category, change, customer, message, money, product, variant
from tests.functional.races import (
    create_category,
    create_item,
    create_profile,
    create_variant,
    delete_from_catalog,
    deliver_while,
)

CREATED = message("CustomerCreated", "customer", "customer-1")
PUBLISHED = message("ProductPublished", "product", "product-1")
EMAIL, PHONE = "customer-1@example.com", "+491713920014"
DELAY = 0.5


def _put_product(sandbox: Sandbox, *skus: str, cents: int = 1000, **fields: Any) -> None:
    """Store a product with these SKUs, the first one at this price."""
    variants = [variant(sku, number) for number, sku in enumerate(skus, 1)]
    variants[0]["prices"] = [{"id": "p", "value": money(cents)}]
    sandbox.commercetools.put("products", product(variants=variants, **fields))


@pytest.mark.parametrize(
    ("taken", "calls", "kept"),
    [(["phone_number"], 2, ["email"]), (["email"], 3, []), (["phone_number", "email"], 3, [])],
    ids=["phone", "e-mail", "both"],
)
def test_an_identifier_of_another_profile_is_dropped(
    sandbox: Sandbox, steady: Function, taken: list[str], calls: int, kept: list[str]
) -> None:
    """While another profile has one of them, first the phone is dropped, then the e-mail, but never the id.

    The other profiles stay, and the log names one of them.
    """
    identifiers = {"email": EMAIL, "phone_number": PHONE}
    create_profile(sandbox, external_id="customer-1")
    others = {name: create_profile(sandbox, **{name: identifiers[name]}) for name in taken}
    sandbox.commercetools.put("customers", customer())
    done = measured(sandbox, steady, CREATED)
    assert (done.outcome, done.calls) == ("synced", (1, calls))
    profile = done.profile("customer-1")
    assert profile["first_name"] == "Annika"
    assert [name for name in identifiers if name in profile] == kept
    assert {one["id"] for one in done.state["profiles"]} == {profile["id"], *others.values()}
    logged = {line["duplicate_profile_id"] for line in steady.lines() if "duplicate_profile_id" in line}
    assert logged == {others[taken[-1]]}


def test_an_identity_conflict_that_remains(sandbox: Sandbox, steady: Function) -> None:
    """If Klaviyo refuses the profile even with the id alone, the message fails after two further calls."""
    error = {"code": "duplicate_profile", "meta": {"duplicate_profile_id": "somebody"}, "source": {"pointer": "/data"}}
    sandbox.klaviyo.fail("profile-import", status=409, body={"errors": [error]})
    sandbox.commercetools.put("customers", customer())
    done = measured(sandbox, steady, CREATED)
    assert (done.answer.status, done.answer.reason, done.calls) == (REFUSED, "klaviyo_refused", (1, 3))
    bodies = [call["body"]["data"]["attributes"] for call in sandbox.klaviyo.requests()]
    assert [sorted(body.keys() & {"email", "phone_number", "external_id"}) for body in bodies] == [
        ["email", "external_id", "phone_number"],
        ["email", "external_id"],
        ["external_id"],
    ]


def test_a_phone_number_that_klaviyo_refuses(sandbox: Sandbox, steady: Function) -> None:
    """The profile is sent again without it."""
    error = {"code": "invalid", "source": {"pointer": "/data/attributes/phone_number"}}
    sandbox.klaviyo.fail("profile-import", status=400, body={"errors": [error]}, count=1)
    sandbox.commercetools.put("customers", customer())
    done = measured(sandbox, steady, CREATED)
    assert (done.outcome, done.calls) == ("synced", (1, 2))
    profile = done.profile("customer-1")
    assert (profile["email"], "phone_number" in profile) == (EMAIL, False)


def test_an_item_deleted_in_the_meantime(sandbox: Sandbox, steady: Function) -> None:
    """Its PATCH gets a 404: the item is created with all its variants, which were deleted with it."""
    _put_product(sandbox, "A", "B")
    steady.deliver(PUBLISHED)
    sandbox.klaviyo.fail("variants$", method="GET", delay=DELAY, count=1)
    answer = deliver_while(
        steady,
        sandbox,
        PUBLISHED,
        "get_variants_for_catalog_item",
        lambda: delete_from_catalog(sandbox, "catalog-items", "product-1"),
    )
    assert answer.outcome == "synced"
    state = sandbox.klaviyo.state()
    assert (set(state["items"]), set(state["variants"])) == ({"product-1"}, {"A", "B"})


def test_an_item_created_in_the_meantime(sandbox: Sandbox, steady: Function) -> None:
    """Its POST gets a 409: the item is updated instead."""
    _put_product(sandbox, "A")
    sandbox.klaviyo.fail("variants$", method="GET", delay=DELAY, count=1)
    answer = deliver_while(
        steady, sandbox, PUBLISHED, "get_variants_for_catalog_item", lambda: create_item(sandbox, "product-1")
    )
    assert answer.outcome == "synced"
    state = sandbox.klaviyo.state()
    assert state["items"]["product-1"]["title"] == "Name of product-1"
    assert set(state["variants"]) == {"A"}


def test_variants_created_and_deleted_in_the_meantime(sandbox: Sandbox, steady: Function) -> None:
    """The variant to update is missing, the one to create exists and the one to delete is gone: all three are fixed."""
    _put_product(sandbox, "CHANGED", "DELETED")
    steady.deliver(PUBLISHED)
    _put_product(sandbox, "CHANGED", "CREATED", cents=4200)
    sandbox.klaviyo.fail("variants$", method="GET", delay=DELAY, count=1)

    def happens() -> None:
        delete_from_catalog(sandbox, "catalog-variants", "CHANGED")
        delete_from_catalog(sandbox, "catalog-variants", "DELETED")
        create_variant(sandbox, "CREATED", "product-1")

    assert deliver_while(steady, sandbox, PUBLISHED, "get_variants_for_catalog_item", happens).outcome == "synced"
    variants = sandbox.klaviyo.state()["variants"]
    assert {sku: one["price"] for sku, one in variants.items()} == {"CHANGED": 42, "CREATED": 10}
    assert {one["title"] for one in variants.values()} == {"Name of product-1"}


@pytest.mark.parametrize("new", ["A", "B"], ids=["one to change", "one to create"])
def test_a_variant_whose_item_was_deleted(sandbox: Sandbox, steady: Function, new: str) -> None:
    """The item is re-created from commercetools with all its variants: unchanged ones were deleted with it."""
    _put_product(sandbox, "A", "STAYS")
    steady.deliver(PUBLISHED)
    _put_product(sandbox, *dict.fromkeys(["A", new, "STAYS"]), cents=4200 if new == "A" else 1000)
    sandbox.klaviyo.fail("catalog-items/", method="PATCH", delay=DELAY, count=1)
    answer = deliver_while(
        steady,
        sandbox,
        PUBLISHED,
        "update_catalog_item",
        lambda: delete_from_catalog(sandbox, "catalog-items", "product-1"),
    )
    assert answer.outcome == "synced"
    state = sandbox.klaviyo.state()
    assert (set(state["items"]), set(state["variants"])) == ({"product-1"}, {"A", new, "STAYS"})


@pytest.mark.parametrize("exists", [True, False], ids=["deleted", "created"])
def test_a_category_created_or_deleted_in_the_meantime(sandbox: Sandbox, steady: Function, *, exists: bool) -> None:
    """A 404 turns the PATCH into a create, a 409 turns the POST into an update."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    if exists:
        create_category(sandbox, "women")
    sandbox.klaviyo.fail("catalog-categories$", method="GET", delay=DELAY, count=1)

    def happens() -> None:
        if exists:
            delete_from_catalog(sandbox, "catalog-categories", "women")
        else:
            create_category(sandbox, "women")

    created = message("CategoryCreated", "category", "women")
    assert deliver_while(steady, sandbox, created, "get_catalog_categories", happens).outcome == "synced"
    assert sandbox.klaviyo.state()["categories"] == {"women": "Women"}


@pytest.mark.parametrize(
    "delivery",
    [
        message("ProductUnpublished", "product", "product-1"),
        message("ProductDeleted", "product", "product-1"),
        change("ResourceDeleted", "category", "women"),
    ],
    ids=["unpublished", "deleted", "category"],
)
def test_deleting_what_is_missing_succeeds(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """A DELETE that gets a 404 counts as successful."""
    done = measured(sandbox, steady, delivery)
    assert (done.answer.status, done.outcome, len(done.written)) == (ACKNOWLEDGED, "synced", 1)


@pytest.mark.parametrize("known", [True, False], ids=["known item", "new item"])
def test_an_item_in_categories_that_klaviyo_lacks(sandbox: Sandbox, steady: Function, *, known: bool) -> None:
    """The categories are created with their ancestors. A category that commercetools lacks too is left out."""
    if known:
        _put_product(sandbox, "A")
        steady.deliver(PUBLISHED)
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    _put_product(sandbox, "A", categories=["bags", "gone"])
    done = measured(sandbox, steady, PUBLISHED)
    assert done.outcome == "synced"
    assert done.state["categories"] == {"women": "Women", "bags": "Women > Bags"}
    assert set(done.state["items"]["product-1"]["categories"]) == {"women", "bags"}
    assert set(done.state["variants"]) == {"A"}
