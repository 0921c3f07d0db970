"""A resource that is deleted while it is written, by another instance that handled its deletion first."""

from datetime import timedelta
from typing import Any

import pytest

import clients.klaviyo
from commands.processes import Sandbox
from tests.functional.conftest import Answer, Function, Serve
from tests.functional.documents import category, change, customer, entry, message, product, variant
from tests.functional.races import create_profile, deliver_while

CREATED = message("CustomerCreated", "customer", "customer-1")


def _gone_while_written(sandbox: Sandbox, function: Function, collection: str, told: Any, operation: str) -> Answer:
    """Deliver; when Klaviyo has taken the write and before it answers, the document is deleted."""
    sandbox.klaviyo.fail(method="PATCH" if operation.startswith("update") else "POST", delay=0.6, count=1)
    resource_id = told["resource"]["id"]
    return deliver_while(
        function, sandbox, told, operation, lambda: sandbox.commercetools.delete(collection, resource_id)
    )


def test_a_profile_that_was_created_too_late_is_erased(sandbox: Sandbox, function: Function) -> None:
    """The erasure found no profile yet, so the one that this message made must go."""
    sandbox.commercetools.put("customers", customer())
    done = _gone_while_written(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert (done.outcome, done.reason) == ("ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_profile_that_was_there_before_stays(
    sandbox: Sandbox, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the customer was deleted with erasure, only the deletion's own message says."""
    monkeypatch.setattr(clients.klaviyo, "CLOCK_SKEW", timedelta(0))  # instead of waiting
    create_profile(sandbox, external_id="customer-1")
    sandbox.commercetools.put("customers", customer())
    done = _gone_while_written(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert (done.outcome, len(sandbox.klaviyo.state()["profiles"])) == ("ignored", 1)


def test_without_erasure_nothing_is_erased(sandbox: Sandbox, serve: Serve, settings_file: Any) -> None:
    """`[customer] erase = false` holds here too."""
    function = serve(SYNC_CONFIG=settings_file("[customer]\nerase = false\n"))
    sandbox.commercetools.put("customers", customer())
    _gone_while_written(sandbox, function, "customers", CREATED, "create_or_update_profile")
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


def test_a_category_that_was_put_too_late_is_deleted(sandbox: Sandbox, function: Function) -> None:
    """Its deletion found no category yet."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    told = message("CategoryCreated", "category", "women")
    done = _gone_while_written(sandbox, function, "categories", told, "create_catalog_category")
    assert (done.reason, sandbox.klaviyo.state()["categories"]) == ("deleted_meanwhile", {})


@pytest.mark.parametrize(("others", "stock"), [([], (0, 2)), ([("entry-2", 7)], (7, 1))], ids=["none left", "another"])
def test_stock_that_was_set_too_late_is_set_again(
    sandbox: Sandbox, function: Function, others: list[tuple[str, int]], stock: tuple[int, int]
) -> None:
    """What the SKU's remaining entries say counts."""
    sandbox.commercetools.put("products", product(variants=[variant("A")]))
    function.deliver(message("ProductPublished", "product", "product-1"))
    sandbox.commercetools.put("inventory", entry("entry-1", "A", 3))
    for entry_id, quantity in others:
        sandbox.commercetools.put("inventory", entry(entry_id, "A", quantity))
    told = change("ResourceUpdated", "inventory-entry", "entry-1")
    done = _gone_while_written(sandbox, function, "inventory", told, "update_catalog_variant")
    assert done.outcome == "synced"
    written = sandbox.klaviyo.state()["variants"]["A"]
    assert (written["inventory_quantity"], written["inventory_policy"]) == stock
