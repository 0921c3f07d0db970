"""Resources deleted during their write, after another instance has already handled the deletion."""

from datetime import timedelta
from typing import Any

import pytest

import clients.klaviyo
from commands.processes import Sandbox
from tests.functional.conftest import Answer, Function, Serve
from tests.functional.documents import category, change, customer, entry, message, product, variant
from tests.functional.races import create_profile, deliver_while

CREATED = message("CustomerCreated", "customer", "customer-1")


def _delete_during_write(
    sandbox: Sandbox, function: Function, collection: str, delivery: Any, operation: str
) -> Answer:
    """Deliver, and delete the document after Klaviyo has accepted the write, before it answers."""
    sandbox.klaviyo.fail(method="PATCH" if operation.startswith("update") else "POST", delay=0.6, count=1)
    resource_id = delivery["resource"]["id"]
    return deliver_while(
        function, sandbox, delivery, operation, lambda: sandbox.commercetools.delete(collection, resource_id)
    )


def test_a_profile_created_after_the_erasure_is_erased(sandbox: Sandbox, function: Function) -> None:
    """The erasure found no profile, so the profile that this message created is erased."""
    sandbox.commercetools.put("customers", customer())
    done = _delete_during_write(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert (done.outcome, done.reason) == ("ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.state()["profiles"] == []


def test_an_older_profile_stays(sandbox: Sandbox, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile older than the message stays: only the deletion's own message says if the customer is to be erased."""
    monkeypatch.setattr(clients.klaviyo, "CLOCK_SKEW", timedelta(0))  # instead of waiting
    create_profile(sandbox, external_id="customer-1")
    sandbox.commercetools.put("customers", customer())
    done = _delete_during_write(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert (done.outcome, len(sandbox.klaviyo.state()["profiles"])) == ("ignored", 1)


def test_without_erasure_nothing_is_erased(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """With `[customer] erase = false` the created profile stays too."""
    function = serve(SYNC_CONFIG=settings_file("[customer]\nerase = false\n"))
    sandbox.commercetools.put("customers", customer())
    _delete_during_write(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


def test_a_category_created_after_its_deletion_is_deleted(sandbox: Sandbox, function: Function) -> None:
    """The deletion found no category, so the category that this message created is deleted."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    created = message("CategoryCreated", "category", "women")
    done = _delete_during_write(sandbox, function, "categories", created, "create_catalog_category")
    assert (done.reason, sandbox.klaviyo.state()["categories"]) == ("deleted_meanwhile", {})


@pytest.mark.parametrize(("others", "stock"), [([], (0, 2)), ([("entry-2", 7)], (7, 1))], ids=["none left", "another"])
def test_stock_written_after_its_deletion_is_written_again(
    sandbox: Sandbox, function: Function, others: list[tuple[str, int]], stock: tuple[int, int]
) -> None:
    """If an entry is deleted during its write, the SKU's stock is written again, from its remaining entries."""
    sandbox.commercetools.put("products", product(variants=[variant("A")]))
    function.deliver(message("ProductPublished", "product", "product-1"))
    sandbox.commercetools.put("inventory", entry("entry-1", "A", 3))
    for entry_id, quantity in others:
        sandbox.commercetools.put("inventory", entry(entry_id, "A", quantity))
    updated = change("ResourceUpdated", "inventory-entry", "entry-1")
    done = _delete_during_write(sandbox, function, "inventory", updated, "update_catalog_variant")
    assert done.outcome == "synced"
    written = sandbox.klaviyo.state()["variants"]["A"]
    assert (written["inventory_quantity"], written["inventory_policy"]) == stock
