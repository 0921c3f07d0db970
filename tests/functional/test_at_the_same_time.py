"""What happens at the same time: reads that lag, documents that move on while they are written, parallel deliveries."""

import base64
import json
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
from tests.functional.races import deliver_while

PUBLISHED = message("ProductPublished", "product", "product-1")
CATALOG_READS = {"get_variants_for_catalog_item", "get_catalog_categories"}


def _product(*skus: str, cents: int = 1000, version: int = 1) -> dict[str, Any]:
    variants = [variant(sku, number, prices=[{"id": "p", "value": money(cents)}]) for number, sku in enumerate(skus, 1)]
    return product(variants=variants, root={"version": version})


def test_published_again_while_reads_lag(sandbox: Sandbox, steady: Function) -> None:
    """Klaviyo's lists show the state of two seconds ago: what was just written is not missed.

    A variant that is not shown may have been deleted by another instance, so it is written again.
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


def test_stock_set_while_reads_lag(sandbox: Sandbox, steady: Function) -> None:
    """Stock that was written between two publications is known, though the list does not show it yet."""
    sandbox.commercetools.put("products", _product("A"))
    steady.deliver(PUBLISHED)
    sandbox.klaviyo.lag(2)
    sandbox.commercetools.put("inventory", entry(sku="A", quantity=3))
    steady.deliver(change("ResourceCreated", "inventory-entry", "entry-1"))
    done = measured(sandbox, steady, PUBLISHED)
    assert done.calls == (1 + 1, 2)
    assert done.state["variants"]["A"]["inventory_quantity"] == 3


@dataclass(frozen=True, slots=True)
class Move:
    """A write that takes long, what becomes of the document meanwhile, and what is right in the end."""

    delivery: Mapping[str, Any]
    before: Mapping[str, Any]
    slow: str
    operation: str
    after: tuple[str, Mapping[str, Any]]
    shown: Callable[[Mapping[str, Any]], Any]
    right: Any


MOVES = {
    "customer": Move(
        message("CustomerCreated", "customer", "customer-1"),
        {"customers": [customer(firstName="Older")]},
        "profile-import",
        "create_or_update_profile",
        ("customers", customer(firstName="Newer", version=2)),
        lambda state: state["profiles"][0]["first_name"],
        "Newer",
    ),
    "category": Move(
        message("CategoryCreated", "category", "women"),
        {"categories": [category("women", "Older")]},
        "catalog-categories$",
        "create_catalog_category",
        ("categories", category("women", "Newer", version=2)),
        lambda state: state["categories"],
        {"women": "Newer"},
    ),
    "product": Move(
        PUBLISHED,
        {"products": [_product("A")]},
        "catalog-variants$",
        "create_catalog_variant",
        ("products", _product("A", cents=4200, version=2)),
        lambda state: state["variants"]["A"]["price"],
        42,
    ),
    "product, unpublished": Move(
        PUBLISHED,
        {"products": [_product("A")]},
        "catalog-variants$",
        "create_catalog_variant",
        ("products", product(published=False, root={"version": 2})),
        lambda state: (state["items"], state["variants"]),
        ({}, {}),
    ),
    "stock": Move(
        change("ResourceUpdated", "inventory-entry", "entry-1"),
        {"products": [_product("A")], "inventory": [entry(sku="A", quantity=3)]},
        "catalog-variants/",
        "update_catalog_variant",
        ("inventory", entry(sku="A", quantity=2, version=2)),
        lambda state: state["variants"]["A"]["inventory_quantity"],
        2,
    ),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_document_that_moves_on_while_it_is_written(sandbox: Sandbox, function: Function, move: Move) -> None:
    """A write that took long is looked at again, and made again: the last state wins, without another message."""
    sandbox.commercetools.put_all(move.before)
    if move.delivery["resource"]["typeId"] == "inventory-entry":
        function.deliver(PUBLISHED)
    sandbox.klaviyo.fail(move.slow, delay=0.6, count=1, method=_method(move.operation))
    collection, document = move.after
    answer = deliver_while(
        function, sandbox, move.delivery, move.operation, lambda: sandbox.commercetools.put(collection, document)
    )
    assert answer.outcome == "synced"
    assert move.shown(sandbox.klaviyo.state()) == move.right


def _method(operation: str) -> str:
    return "PATCH" if operation.startswith("update") else "POST"


def test_a_document_that_keeps_moving(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """After three rounds the message is given back to Pub/Sub."""
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


def _push(delivery: Mapping[str, Any]) -> bytes:
    data = base64.b64encode(json.dumps(delivery).encode()).decode()
    return json.dumps({"message": {"data": data}}).encode()


def _deliver_at_once(function: Function, deliveries: Sequence[Mapping[str, Any]]) -> None:
    with ThreadPoolExecutor(len(deliveries)) as pool:
        answers = list(pool.map(function.post, map(_push, deliveries)))
    assert {answer.status_code for answer in answers} == {ACKNOWLEDGED}


def _assert_one_at_a_time(sandbox: Sandbox, operation: str, count: Collection[int], seconds: float) -> None:
    """The writes of an operation that takes `seconds` did not overlap."""
    begun = sorted(call["at"] for call in sandbox.klaviyo.requests() if call["operation"] == operation)
    assert len(begun) in count
    assert min(later - earlier for earlier, later in pairwise(begun)) > seconds * 0.95


def test_one_at_a_time(sandbox: Sandbox, steady: Function) -> None:
    """Eight deliveries at once of one customer, each about a newer version: their writes never overlap."""
    sandbox.commercetools.put("customers", customer())
    steady.deliver(change("ResourceUpdated", "customer", "customer-1"))
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("profile-import", delay=0.08)
    with ThreadPoolExecutor(8) as pool:
        answers = []
        for _ in range(8):
            version = sandbox.commercetools.patch("customers", "customer-1", {})["version"]
            answers.append(
                pool.submit(steady.post, _push(change("ResourceUpdated", "customer", "customer-1", version=version)))
            )
            time.sleep(0.03)
        assert {answer.result().status_code for answer in answers} == {ACKNOWLEDGED}
    _assert_one_at_a_time(sandbox, "create_or_update_profile", range(3, 9), 0.08)


def test_products_one_at_a_time(sandbox: Sandbox, steady: Function) -> None:
    """Eight deliveries at once of one product: what they ask of its item never overlaps."""
    sandbox.commercetools.put("products", _product("A"))
    steady.deliver(PUBLISHED)
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("catalog-items/[^/]*$", delay=0.08)
    _deliver_at_once(steady, [PUBLISHED] * 8)
    _assert_one_at_a_time(sandbox, "get_catalog_item", range(2, 9), 0.08)


def test_stock_waits_for_the_product_of_its_sku(sandbox: Sandbox, steady: Function) -> None:
    """Product and stock messages write the same variants, so they wait for each other: the stock is right."""
    sandbox.commercetools.put_all({"products": [_product("A", "B")]})
    steady.deliver(PUBLISHED)
    sandbox.commercetools.put("products", _product("A", "B", cents=2000, version=2))
    sandbox.klaviyo.fail("catalog-variants/", method="PATCH", delay=0.2)

    def stock() -> None:
        sandbox.commercetools.put("inventory", entry(sku="A", quantity=7))
        steady.post(_push(change("ResourceCreated", "inventory-entry", "entry-1")))

    assert deliver_while(steady, sandbox, PUBLISHED, "update_catalog_item", stock).outcome == "synced"
    patches = [call for call in sandbox.klaviyo.requests() if call["operation"] == "update_catalog_variant"]
    of_a = [call["at"] for call in patches if call["path"].endswith(":A")]
    assert len(of_a) == 2
    assert of_a[1] - of_a[0] > 0.19
    shown = sandbox.klaviyo.state()["variants"]["A"]
    assert (shown["price"], shown["inventory_quantity"]) == (20, 7)


def test_resources_do_not_wait_for_each_other(sandbox: Sandbox, steady: Function) -> None:
    """Deliveries of different resources are written side by side."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(4)]
    sandbox.commercetools.put_all({"customers": customers})
    steady.deliver(message("CustomerCreated", "customer", "customer-0"))
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("profile-import", delay=1.5)
    _deliver_at_once(steady, [message("CustomerCreated", "customer", one["id"]) for one in customers])
    begun = sorted(call["at"] for call in sandbox.klaviyo.requests())
    assert begun[-1] - begun[0] < 1.5
