"""A part that Klaviyo refuses does not keep its siblings from being written, and is named."""

import base64
import json
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function
from tests.functional.documents import customer, entry, line_item, message, money, order, product, variant
from tests.functional.failure_cases import FakeTopic, fake_topic
from tests.functional.races import deliver_while

EVENTS = "^/api/events"
LINES = 12


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """The dead-letter topic."""
    return fake_topic(monkeypatch)


def _placed(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.commercetools.put("customers", customer())
    told = order(lines=[line_item(number, f"product-{number}") for number in range(LINES)])
    return message("OrderCreated", "order", "order-1", order=told)


def _events(sandbox: Sandbox) -> set[str]:
    return {f"{event['metric']} {event['unique_id']}" for event in sandbox.klaviyo.state()["events"]}


ALL = {"Placed Order order-1", *(f"Ordered Product line-{number}" for number in range(LINES))}


@pytest.mark.parametrize("skip", [0, 1, 3, LINES], ids=["Placed Order", "the first line", "a line", "the last line"])
def test_one_event_of_an_order(sandbox: Sandbox, letters: FakeTopic, function: Function, skip: int) -> None:
    """All the others are sent; the letter and the log line name the one that was refused."""
    placed = _placed(sandbox)
    sandbox.klaviyo.fail(EVENTS, status=400, skip=skip, count=1)
    answer = function.deliver(placed)
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "dead-lettered", "klaviyo_refused")
    (missing,) = ALL - _events(sandbox)
    assert missing.startswith("Ordered Product" if skip else "Placed Order")
    (letter,) = letters.published
    assert letter.attributes["error"] == f"Refused invalid {missing}"
    assert answer.line["part"] == missing


def test_the_answer_names_a_part_that_no_header_can_hold(sandbox: Sandbox, function: Function) -> None:
    """A SKU may be of any script; without a topic for letters the push is refused, and says so."""
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


def test_every_event_of_an_order(sandbox: Sandbox, letters: FakeTopic, function: Function) -> None:
    """All are tried; it is one letter, which names the first."""
    placed = _placed(sandbox)
    sandbox.klaviyo.fail(EVENTS, status=400)
    answer = function.deliver(placed)
    assert answer.line["calls"]["klaviyo"] == len(ALL)
    assert answer.line["part"] == "Placed Order order-1"
    assert len(letters.published) == 1


def test_a_letter_is_short_and_names_nobody(sandbox: Sandbox, letters: FakeTopic, function: Function) -> None:
    """Klaviyo's prose and the values that it quotes stay out; a long pointer does not push the part's name out."""
    placed = _placed(sandbox)
    pointer = "/data/attributes/" + "x" * 5000
    error = {"code": "invalid", "detail": "customer-1@example.com is Annika", "source": {"pointer": pointer}}
    sandbox.klaviyo.fail(EVENTS, status=400, skip=2, count=1, body={"errors": [error]})
    answer = function.deliver(placed)
    (letter,) = letters.published
    assert len(letter.attributes["error"].encode()) <= 512
    assert letter.attributes["error"].startswith(f"Refused invalid {answer.line['part']} /data/attributes/x")
    told = " ".join(letter.attributes.values())
    assert not [word for word in ("@", "Annika", "Brandauer", "Lindenallee") if word in told]


def test_the_stock_of_a_refused_variant_s_siblings_is_looked_at_again(
    sandbox: Sandbox, letters: FakeTopic, function: Function
) -> None:
    """It moves while they are written, and the product does not: what the shop has now is written."""
    sandbox.commercetools.put("products", product(variants=[variant("A", 1), variant("B", 2)]))
    for sku in ("A", "B"):
        sandbox.commercetools.put("inventory", entry(f"entry-{sku}", sku, 3))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, count=1)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.6, count=1)

    def sold() -> None:
        for sku in ("A", "B"):
            sold_out = {"quantityOnStock": 0, "availableQuantity": 0, "version": 2}
            sandbox.commercetools.patch("inventory", f"entry-{sku}", sold_out)

    told = message("ProductPublished", "product", "product-1")
    answer = deliver_while(function, sandbox, told, "create_catalog_variant", sold)
    assert (answer.outcome, letters.published) == ("synced", [])
    variants = sandbox.klaviyo.state()["variants"]
    assert {sku: one["inventory_quantity"] for sku, one in variants.items()} == {"A": 0, "B": 0}


def test_one_variant_of_a_product(sandbox: Sandbox, letters: FakeTopic, function: Function) -> None:
    """Its siblings are written, and the letter names it."""
    sandbox.commercetools.put("products", product(variants=[variant(f"S-{number}", number) for number in range(1, 7)]))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, skip=2, count=1)
    answer = function.deliver(message("ProductPublished", "product", "product-1"))
    assert answer.outcome == "dead-lettered"
    (missing,) = {f"S-{number}" for number in range(1, 7)} - sandbox.klaviyo.state()["variants"].keys()
    assert letters.published[0].attributes["error"] == f"Refused invalid variant {missing}"


def test_the_siblings_of_a_refused_variant_are_looked_at_again(
    sandbox: Sandbox, letters: FakeTopic, function: Function
) -> None:
    """The product moves on while they are written: what the shop has now is written, so nothing stays stale."""

    def shop(cents: int, version: int) -> dict[str, Any]:
        price = [{"id": "p", "value": money(cents)}]
        variants = [variant(sku, number, prices=price) for number, sku in enumerate(("A", "B"), 1)]
        return product(variants=variants, root={"version": version})

    sandbox.commercetools.put("products", shop(1000, 1))
    sandbox.klaviyo.fail("catalog-variants$", method="POST", status=400, count=1)
    sandbox.klaviyo.fail("catalog-variants$", method="POST", delay=0.6, count=1)
    answer = deliver_while(
        function,
        sandbox,
        message("ProductPublished", "product", "product-1"),
        "create_catalog_variant",
        lambda: sandbox.commercetools.put("products", shop(4200, 2)),
    )
    assert (answer.outcome, letters.published) == ("synced", [])
    variants = sandbox.klaviyo.state()["variants"]
    assert {sku: one["price"] for sku, one in variants.items()} == {"A": 42, "B": 42}
