"""Concurrency: lagging reads, documents that change while they are written, and parallel deliveries."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import category, change, customer, entry, message, money, product, variant
from tests.functional.klaviyo_state import comparable
from tests.functional.races import deliver_while, push_body

PUBLISHED = message("ProductPublished", "product", "product-1")
CATALOG_READS = {"get_variants_for_catalog_item", "get_catalog_categories"}


def _product(*skus: str, cents: int = 1000, version: int = 1) -> dict[str, Any]:
    variants = [variant(sku, number, prices=[{"id": "p", "value": money(cents)}]) for number, sku in enumerate(skus, 1)]
    return product(variants=variants, root={"version": version})


def test_republishing_while_reads_lag(sandbox: Sandbox, steady: Function) -> None:
    """While Klaviyo's lists lag by two seconds, a republished product still gets the right variants.

    A variant missing from the list may have been deleted by another instance, so it is written again. The
    expected calls are those to commercetools, then those to Klaviyo: two reads, and a write per variant.
    """
    sandbox.klaviyo.lag(2)
    sandbox.commercetools.put("products", _product("A", "B", "GOES"))
    assert measured(sandbox, steady, PUBLISHED).calls == (1 + 2, 2 + 3)
    assert measured(sandbox, steady, PUBLISHED).calls == (1 + 2, 2 + 3)

    sandbox.commercetools.put("products", _product("A", "B", "COMES", cents=4200, version=2))
    changed = measured(sandbox, steady, PUBLISHED)
    assert changed.calls == (1 + 2 + 2, 2 + 1 + 4 + 1)
    assert {sku: one["price"] for sku, one in changed.state["variants"].items()} == {"A": 42, "B": 42, "COMES": 42}
    again = measured(sandbox, steady, PUBLISHED)
    assert (again.outcome, again.calls) == ("synced", (1 + 2, 2 + 3))
    assert comparable(again.state) == comparable(changed.state)


def test_stock_set_while_lists_lag_stays(sandbox: Sandbox, steady: Function) -> None:
    """Publishing keeps stock that was written just before, although Klaviyo's list does not show it yet."""
    sandbox.commercetools.put("products", _product("A"))
    steady.deliver(PUBLISHED)
    sandbox.klaviyo.lag(2)
    sandbox.commercetools.put("inventory", entry(sku="A", quantity=3))
    steady.deliver(change("ResourceCreated", "inventory-entry", "entry-1"))
    done = measured(sandbox, steady, PUBLISHED)
    assert done.calls == (1 + 1, 2)
    assert done.state["variants"]["A"]["inventory_quantity"] == 3


@dataclass(frozen=True, slots=True)
class SlowWrite:
    """A slow write, the change of its document in the meantime, and the correct final state."""

    delivery: Mapping[str, Any]
    before: Mapping[str, Any]
    slow_path: str
    operation: str
    after: tuple[str, Mapping[str, Any]]
    value: Callable[[Mapping[str, Any]], Any]
    expected: Any


SLOW_WRITES = {
    "customer": SlowWrite(
        message("CustomerCreated", "customer", "customer-1"),
        {"customers": [customer(firstName="Older")]},
        "profile-import",
        "create_or_update_profile",
        ("customers", customer(firstName="Newer", version=2)),
        lambda state: state["profiles"][0]["first_name"],
        "Newer",
    ),
    "category": SlowWrite(
        message("CategoryCreated", "category", "women"),
        {"categories": [category("women", "Older")]},
        "catalog-categories$",
        "create_catalog_category",
        ("categories", category("women", "Newer", version=2)),
        lambda state: state["categories"],
        {"women": "Newer"},
    ),
    "product": SlowWrite(
        PUBLISHED,
        {"products": [_product("A")]},
        "catalog-variants$",
        "create_catalog_variant",
        ("products", _product("A", cents=4200, version=2)),
        lambda state: state["variants"]["A"]["price"],
        42,
    ),
    "product, unpublished": SlowWrite(
        PUBLISHED,
        {"products": [_product("A")]},
        "catalog-variants$",
        "create_catalog_variant",
        ("products", product(published=False, root={"version": 2})),
        lambda state: (state["items"], state["variants"]),
        ({}, {}),
    ),
    "stock": SlowWrite(
        change("ResourceUpdated", "inventory-entry", "entry-1"),
        {"products": [_product("A")], "inventory": [entry(sku="A", quantity=3)]},
        "catalog-variants/",
        "update_catalog_variant",
        ("inventory", entry(sku="A", quantity=2, version=2)),
        lambda state: state["variants"]["A"]["inventory_quantity"],
        2,
    ),
}


@pytest.mark.parametrize("case", SLOW_WRITES.values(), ids=SLOW_WRITES)
def test_a_document_that_changes_during_its_write_is_written_again(
    sandbox: Sandbox, function: Function, case: SlowWrite
) -> None:
    """A document that changed during a slow write is written again: the last state wins without another message."""
    sandbox.commercetools.put_all(case.before)
    if case.delivery["resource"]["typeId"] == "inventory-entry":
        function.deliver(PUBLISHED)
    sandbox.klaviyo.fail(case.slow_path, delay=0.6, count=1, method=_method(case.operation))
    collection, document = case.after
    answer = deliver_while(
        function, sandbox, case.delivery, case.operation, lambda: sandbox.commercetools.put(collection, document)
    )
    assert answer.outcome == "synced"
    assert case.value(sandbox.klaviyo.state()) == case.expected


def _method(operation: str) -> str:
    return "PATCH" if operation.startswith("update") else "POST"


def test_a_document_that_keeps_changing_is_retried(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """If the document has changed after each of three writes, the message goes back to Pub/Sub."""
    function = serve(SYNC_CONFIG=settings_file("[limits]\nstale_after = 0\n"))
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", delay=0.15)
    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function.deliver, message("CustomerCreated", "customer", "customer-1"))
        while not answer.done():
            sandbox.commercetools.patch("customers", "customer-1", {})
    assert answer.result().reason == "keeps_changing"
    assert len(sandbox.klaviyo.requests(kind="api")) == 3


def _deliver_at_once(function: Function, deliveries: Sequence[Mapping[str, Any]]) -> None:
    with ThreadPoolExecutor(len(deliveries)) as pool:
        answers = list(pool.map(function.post, map(push_body, deliveries)))
    assert {answer.status_code for answer in answers} == {ACKNOWLEDGED}


def _assert_one_at_a_time(sandbox: Sandbox, operation: str, counts: Collection[int], seconds: float) -> None:
    """Check that the calls of an operation that takes `seconds` did not overlap, and their number."""
    started = sorted(call["at"] for call in sandbox.klaviyo.requests() if call["operation"] == operation)
    assert len(started) in counts
    assert min(later - earlier for earlier, later in pairwise(started)) > seconds * 0.95


def test_updates_of_one_customer_do_not_overlap(sandbox: Sandbox, steady: Function) -> None:
    """The writes of eight concurrent deliveries, each about a newer version of one customer, never overlap."""
    sandbox.commercetools.put("customers", customer())
    steady.deliver(change("ResourceUpdated", "customer", "customer-1"))
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("profile-import", delay=0.2)
    with ThreadPoolExecutor(8) as pool:
        answers = []
        for _ in range(8):
            version = sandbox.commercetools.patch("customers", "customer-1", {})["version"]
            answers.append(
                pool.submit(
                    steady.post, push_body(change("ResourceUpdated", "customer", "customer-1", version=version))
                )
            )
            time.sleep(0.1)
        assert {answer.result().status_code for answer in answers} == {ACKNOWLEDGED}
    _assert_one_at_a_time(sandbox, "create_or_update_profile", range(3, 9), 0.2)


def test_updates_of_one_product_do_not_overlap(sandbox: Sandbox, steady: Function) -> None:
    """The reads of the item by eight concurrent deliveries of one product never overlap."""
    sandbox.commercetools.put("products", _product("A"))
    steady.deliver(PUBLISHED)
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("catalog-items/[^/]*$", delay=0.08)
    _deliver_at_once(steady, [PUBLISHED] * 8)
    _assert_one_at_a_time(sandbox, "get_catalog_item", range(2, 9), 0.08)


def test_stock_waits_for_the_product_of_its_sku(sandbox: Sandbox, steady: Function) -> None:
    """Product and stock messages write the same variants, so they wait for each other, and the stock is right."""
    sandbox.commercetools.put_all({"products": [_product("A", "B")]})
    steady.deliver(PUBLISHED)
    sandbox.commercetools.put("products", _product("A", "B", cents=2000, version=2))
    sandbox.klaviyo.fail("catalog-variants/", method="PATCH", delay=0.2)

    def stock() -> None:
        sandbox.commercetools.put("inventory", entry(sku="A", quantity=7))
        steady.post(push_body(change("ResourceCreated", "inventory-entry", "entry-1")))

    assert deliver_while(steady, sandbox, PUBLISHED, "update_catalog_item", stock).outcome == "synced"
    patches = [call for call in sandbox.klaviyo.requests() if call["operation"] == "update_catalog_variant"]
    patches_of_a = [call["at"] for call in patches if call["path"].endswith(":A")]
    assert len(patches_of_a) == 2
    assert patches_of_a[1] - patches_of_a[0] > 0.19
    found = sandbox.klaviyo.state()["variants"]["A"]
    assert (found["price"], found["inventory_quantity"]) == (20, 7)


def test_different_resources_do_not_wait_for_each_other(sandbox: Sandbox, steady: Function) -> None:
    """Deliveries of different resources are written concurrently."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(4)]
    sandbox.commercetools.put_all({"customers": customers})
    steady.deliver(message("CustomerCreated", "customer", "customer-0"))
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("profile-import", delay=1.5)
    _deliver_at_once(steady, [message("CustomerCreated", "customer", one["id"]) for one in customers])
    started = sorted(call["at"] for call in sandbox.klaviyo.requests())
    assert started[-1] - started[0] < 1.5
