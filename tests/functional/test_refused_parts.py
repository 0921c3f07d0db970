"""If Klaviyo refuses one event or variant, the others are written, and the dead letter names the refused one."""

import base64
import json
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function
from tests.functional.documents import customer, entry, line_item, message, money, order, product, variant
from tests.functional.failure_cases import FakeTopic
from tests.functional.races import deliver_while

EVENTS = "^/api/events"
LINES = 12


def _placed(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.commercetools.put("customers", customer())
    placed = order(lines=[line_item(number, f"product-{number}") for number in range(LINES)])
    return message("OrderCreated", "order", "order-1", order=placed)


def _events(sandbox: Sandbox) -> set[str]:
    return {f"{event['metric']} {event['unique_id']}" for event in sandbox.klaviyo.state()["events"]}


ALL = {"Placed Order order-1", *(f"Ordered Product line-{number}" for number in range(LINES))}


@pytest.mark.parametrize("skip", [0, 1, 3, LINES], ids=["Placed Order", "the first line", "a line", "the last line"])
def test_one_refused_event_of_an_order(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function, skip: int
) -> None:
    """All other events are sent; the dead letter and the log line name the refused one."""
    placed = _placed(sandbox)
    sandbox.klaviyo.fail(EVENTS, status=400, skip=skip, count=1)
    answer = function.deliver(placed)
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "dead-lettered", "klaviyo_refused")
    (missing,) = ALL - _events(sandbox)
    assert missing.startswith("Ordered Product" if skip else "Placed Order")
    (dead_letter,) = dead_letters.published
    assert dead_letter.attributes["error"] == f"Refused invalid {missing}"
    assert answer.line["part"] == missing


def test_the_answer_escapes_a_part_that_no_header_can_hold(sandbox: Sandbox, function: Function) -> None:
    """A SKU may be in any script. Without a dead-letter topic the push is refused, and its answer names the part."""
    sandbox.commercetools.put("products", product(variants=[variant("\u65e5\u672c")]))
    sandbox.klaviyo.fail("^/api/catalog-variants", method="POST", status=400)
    pushed = {
        "data": base64.b64encode(json.dumps(message("ProductPublished", "product", "product-1")).encode()).decode()
    }
    answer = function.post(json.dumps({"message": {**pushed, "messageId": "1"}}).encode())
    assert (answer.status_code, answer.headers["X-Sync-Outcome"]) == (
        REFUSED,
        "retried: klaviyo_refused 400 invalid variant \\u65e5\\u672c",
    )


def test_an_order_whose_events_are_all_refused(sandbox: Sandbox, dead_letters: FakeTopic, function: Function) -> None:
    """Every event is tried. The only dead letter names the first."""
    placed = _placed(sandbox)
    sandbox.klaviyo.fail(EVENTS, status=400)
    answer = function.deliver(placed)
    assert answer.line["calls"]["klaviyo"] == len(ALL)
    assert answer.line["part"] == "Placed Order order-1"
    assert len(dead_letters.published) == 1


def test_a_dead_letter_is_short_and_has_no_personal_data(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function
) -> None:
    """Klaviyo's prose and values are not quoted. A long pointer is cut, not the part's name."""
    placed = _placed(sandbox)
    pointer = "/data/attributes/" + "x" * 5000
    error = {"code": "invalid", "detail": "customer-1@example.com is Annika", "source": {"pointer": pointer}}
    sandbox.klaviyo.fail(EVENTS, status=400, skip=2, count=1, body={"errors": [error]})
    answer = function.deliver(placed)
    (dead_letter,) = dead_letters.published
    assert len(dead_letter.attributes["error"].encode()) <= 512
    assert dead_letter.attributes["error"].startswith(f"Refused invalid {answer.line['part']} /data/attributes/x")
    text = " ".join(dead_letter.attributes.values())
    assert not [word for word in ("@", "Annika", "Brandauer", "Lindenallee") if word in text]


def test_stock_that_changes_after_a_refused_variant_is_written(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function
) -> None:
    """The stock changes while the other variant is written. The check finds it, although the product is unchanged."""
    sandbox.commercetools.put("products", product(variants=[variant("A", 1), variant("B", 2)]))
    for sku in ("A", "B"):
        sandbox.commercetools.put("inventory", entry(f"entry-{sku}", sku, 3))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, count=1)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.6, count=1)

    def sell_out() -> None:
        for sku in ("A", "B"):
            sold_out = {"quantityOnStock": 0, "availableQuantity": 0, "version": 2}
            sandbox.commercetools.patch("inventory", f"entry-{sku}", sold_out)

    notification = message("ProductPublished", "product", "product-1")
    answer = deliver_while(function, sandbox, notification, "create_catalog_variant", sell_out)
    assert (answer.outcome, dead_letters.published) == ("synced", [])
    variants = sandbox.klaviyo.state()["variants"]
    assert {sku: one["inventory_quantity"] for sku, one in variants.items()} == {"A": 0, "B": 0}


def test_one_refused_variant_of_a_product(sandbox: Sandbox, dead_letters: FakeTopic, function: Function) -> None:
    """The other variants are written, and the dead letter names the refused one."""
    sandbox.commercetools.put("products", product(variants=[variant(f"S-{number}", number) for number in range(1, 7)]))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, skip=2, count=1)
    answer = function.deliver(message("ProductPublished", "product", "product-1"))
    assert answer.outcome == "dead-lettered"
    (missing,) = {f"S-{number}" for number in range(1, 7)} - sandbox.klaviyo.state()["variants"].keys()
    assert dead_letters.published[0].attributes["error"] == f"Refused invalid variant {missing}"


def test_a_product_that_changes_after_a_refused_variant_is_written(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function
) -> None:
    """The product changes while the other variant is written. The check finds it, so nothing stays stale."""

    def product_at(cents: int, version: int) -> dict[str, Any]:
        price = [{"id": "p", "value": money(cents)}]
        variants = [variant(sku, number, prices=price) for number, sku in enumerate(("A", "B"), 1)]
        return product(variants=variants, root={"version": version})

    sandbox.commercetools.put("products", product_at(1000, 1))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, count=1)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.6, count=1)
    answer = deliver_while(
        function,
        sandbox,
        message("ProductPublished", "product", "product-1"),
        "create_catalog_variant",
        lambda: sandbox.commercetools.put("products", product_at(4200, 2)),
    )
    assert (answer.outcome, dead_letters.published) == ("synced", [])
    variants = sandbox.klaviyo.state()["variants"]
    assert {sku: one["price"] for sku, one in variants.items()} == {"A": 42, "B": 42}
