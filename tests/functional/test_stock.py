"""Stock is that of the inventory entries, whatever lags, for product and inventory messages alike."""

from datetime import UTC, datetime
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import Measured, measured
from tests.functional.conftest import Function
from tests.functional.documents import change, entry, message, product, reference, variant
from tests.functional.races import deliver_while

PUBLISHED = message("ProductPublished", "product", "product-1")
SKU = {"sku": "A"}


def _entry(number: int, quantity: int, channel: str = "", sku: str = "A", **fields: Any) -> Any:
    own = {"supplyChannel": reference("channel", channel)} if channel else {}
    return entry(f"entry-{number}", sku, quantity, **own, **fields)


def _inventory_change(kind: str, number: int = 1, *, version: int = 1, **fields: Any) -> Any:
    identifiers = {"resourceUserProvidedIdentifiers": SKU}
    return change(kind, "inventory-entry", f"entry-{number}", version=version, **identifiers, **fields)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _put_product(sandbox: Sandbox, *skus: str, **fields: Any) -> None:
    variants = [variant(sku, number, **fields) for number, sku in enumerate(skus or ["A"], 1)]
    sandbox.commercetools.put("products", product(variants=variants))


def _stock(done: Measured, sku: str = "A") -> tuple[int, int]:
    """The variant's quantity and inventory policy: 1 if stock is tracked, 2 if not."""
    shown = done.state["variants"][sku]
    return shown["inventory_quantity"], shown["inventory_policy"]


def _queries_show(sandbox: Sandbox, *entries: Any, count: int | None = None) -> None:
    """Make inventory queries show these entries, although they have changed since."""
    body = {"limit": 500, "offset": 0, "count": len(entries), "results": list(entries)}
    sandbox.commercetools.fail("/inventory$", status=200, body=body, count=count)


def test_a_publish_takes_stock_from_entries(sandbox: Sandbox, function: Function) -> None:
    """The projection says sold out because it lags. The entries count: 3 of A, 0 of B, and none for C."""
    _put_product(sandbox, "A", "B", "C", availability={"isOnStock": False, "availableQuantity": 0})
    sandbox.commercetools.put("inventory", _entry(1, 3))
    sandbox.commercetools.put("inventory", _entry(2, 0, sku="B"))
    done = measured(sandbox, function, PUBLISHED)
    assert [_stock(done, sku) for sku in ("A", "B", "C")] == [(3, 1), (0, 1), (0, 2)]


def test_all_channels_count_unless_an_entry_has_no_channel(sandbox: Sandbox, function: Function) -> None:
    """Product and inventory messages agree. Once there is an entry without a channel, it alone counts."""
    _put_product(sandbox)
    for number, channel in enumerate(("berlin", "paris"), 1):
        sandbox.commercetools.put("inventory", _entry(number, 4, channel))
    assert _stock(measured(sandbox, function, PUBLISHED)) == (8, 1)
    sandbox.commercetools.put("inventory", _entry(2, 1, "paris", version=2))
    assert _stock(measured(sandbox, function, _inventory_change("ResourceUpdated", 2, version=2))) == (5, 1)
    sandbox.commercetools.put("inventory", _entry(3, 9))
    assert _stock(measured(sandbox, function, _inventory_change("ResourceCreated", 3))) == (9, 1)


def test_calls_of_a_publish(sandbox: Sandbox, function: Function) -> None:
    """Two projections, and stock twice: one query each if every SKU has an entry without channel, else two.

    If nothing is written: one projection, stock once, and one projection for the check.
    """
    _put_product(sandbox, "A", "B")
    for number, sku in enumerate(("A", "B"), 1):
        sandbox.commercetools.put("inventory", _entry(number, 1, sku=sku))
    done = measured(sandbox, function, PUBLISHED)
    assert (done.outcome, done.calls) == ("synced", (2 + 1 + 1, 2 + 2))
    unchanged = measured(sandbox, function, PUBLISHED)
    assert (unchanged.outcome, unchanged.calls) == ("synced", (2 + 1, 2))
    sandbox.commercetools.delete("inventory", "entry-2")
    done = measured(sandbox, function, PUBLISHED)
    assert (done.outcome, done.calls) == ("synced", (2 + 2 + 2, 2 + 1))


def test_stores_are_not_read_where_they_do_not_count(sandbox: Sandbox, function: Function) -> None:
    """20 SKUs, each with an entry without channel and one in each of 60 stores: one page, and one for the check."""
    skus = [f"S-{number}" for number in range(20)]
    _put_product(sandbox, *skus)
    general = [_entry(number, 7, sku=sku) for number, sku in enumerate(skus)]
    stores = [
        entry(f"store-{store}-{sku}", sku, 1, supplyChannel=reference("channel", f"store-{store}"))
        for sku in skus
        for store in range(60)
    ]
    sandbox.commercetools.put_all({"inventory": [*general, *stores]})
    done = measured(sandbox, function, PUBLISHED)
    assert done.read.count("inventory.query") == 2
    assert {_stock(done, sku) for sku in skus} == {(7, 1)}


@pytest.mark.parametrize("kind", ["ResourceCreated", "ResourceUpdated", "ResourceDeleted"])
def test_calls_of_an_inventory_message(sandbox: Sandbox, function: Function, kind: str) -> None:
    """One query for all entries of the SKU, one write, and one query for the check."""
    _put_product(sandbox)
    measured(sandbox, function, PUBLISHED)
    sandbox.commercetools.put_all({"inventory": [_entry(1, 3), _entry(2, 9, "berlin")]})
    done = measured(sandbox, function, _inventory_change(kind))
    assert (done.outcome, done.calls) == ("synced", (2, 1))


def test_an_entry_that_changes_its_channel(sandbox: Sandbox, function: Function) -> None:
    """The new stock is that of the entries that count now."""
    _put_product(sandbox)
    sandbox.commercetools.put_all({"inventory": [_entry(1, 5), _entry(2, 3, "paris")]})
    assert _stock(measured(sandbox, function, PUBLISHED)) == (5, 1)
    sandbox.commercetools.put("inventory", _entry(1, 5, "berlin", version=2))
    assert _stock(measured(sandbox, function, _inventory_change("ResourceUpdated", version=2))) == (8, 1)


@pytest.mark.parametrize("listed", [[_entry(1, 5)], []], ids=["older", "missing"])
def test_a_query_that_shows_a_stale_entry(sandbox: Sandbox, function: Function, listed: list[Any]) -> None:
    """A message about version 2 sets version 2's stock: the entry is read by its id and replaces the query's."""
    _put_product(sandbox)
    measured(sandbox, function, PUBLISHED)
    sandbox.commercetools.put("inventory", _entry(1, 2, version=2))
    _queries_show(sandbox, *listed)
    done = measured(sandbox, function, _inventory_change("ResourceUpdated", version=2))
    assert (done.outcome, _stock(done)) == ("synced", (2, 1))


def test_a_deleted_entry_that_the_query_still_shows(sandbox: Sandbox, function: Function) -> None:
    """It is removed from the query's result, and the other entries count."""
    _put_product(sandbox)
    measured(sandbox, function, PUBLISHED)
    _queries_show(sandbox, _entry(1, 5, version=3), _entry(2, 4, "paris"))
    done = measured(sandbox, function, _inventory_change("ResourceDeleted", version=3))
    assert (done.outcome, _stock(done)) == ("synced", (4, 1))


def test_an_entry_that_reads_older_than_its_message(sandbox: Sandbox, function: Function) -> None:
    """Neither query nor read by id shows the change yet: the message is retried, and nothing is written."""
    _put_product(sandbox)
    sandbox.commercetools.put("inventory", _entry(1, 5))
    measured(sandbox, function, PUBLISHED)
    done = measured(sandbox, function, _inventory_change("ResourceUpdated", version=2))
    assert (done.outcome, done.written) == ("retried stale_read", ())


def test_a_new_entry_that_reads_do_not_show_yet(sandbox: Sandbox, function: Function) -> None:
    """A young message is retried. An old one finds that the entry was deleted, and the other entries count."""
    _put_product(sandbox)
    sandbox.commercetools.put("inventory", _entry(2, 4, "paris"))
    measured(sandbox, function, PUBLISHED)
    young = measured(sandbox, function, _inventory_change("ResourceCreated", modifiedAt=_now()))
    assert (young.outcome, young.written) == ("retried not_there_yet", ())
    old = measured(sandbox, function, _inventory_change("ResourceCreated"))
    assert (old.outcome, _stock(old)) == ("synced", (4, 1))


def test_stock_that_changes_while_a_product_is_written(sandbox: Sandbox, function: Function) -> None:
    """Another instance handled the entry's message before the variant existed; the check finds the new stock."""
    _put_product(sandbox)
    sandbox.commercetools.put("inventory", _entry(1, 5))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.4, count=1)
    changed = _entry(1, 1, version=2)
    answer = deliver_while(
        function, sandbox, PUBLISHED, "create_catalog_variant", lambda: sandbox.commercetools.put("inventory", changed)
    )
    assert answer.outcome == "synced"
    assert sandbox.klaviyo.state()["variants"]["A"]["inventory_quantity"] == 1
