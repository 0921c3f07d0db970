"""The JSON behind a message: commercetools' documents, and the response of each call."""

from datetime import UTC, datetime
from typing import Any

from commands.page.delivery import Attempt, Call, Delivery, Message
from commands.page.reads import Read, path_with_query
from commands.page.views import call_view, side_by_side

NOW = datetime(2026, 11, 17, tzinfo=UTC)


def _read(path: str, query: dict[str, Any], response: Any) -> tuple[Call, Read]:
    record = {
        "operation": "inventory.query",
        "status": 200,
        "method": "GET",
        "path": path,
        "query": query,
        "body": None,
        "answer": None,
    }
    return Call("commercetools", record), Read(path_with_query(record), response)


def _delivery(*reads: tuple[Call, Read]) -> Delivery:
    line = {"outcome": "synced", "type": "ProductPublished"}
    attempt = Attempt(NOW, True, line, [read for _, read in reads], [call for call, _ in reads])
    return Delivery(1, Message("product-published", "A product", b"{}"), NOW, attempts=[attempt])


def _texts(delivery: Delivery, number: int) -> list[str]:
    view = call_view(delivery, 0, number)
    assert view
    return [line.text for line in view.lines if line.kind == "string"]


def test_two_queries_of_a_collection_have_their_own_responses() -> None:
    """Each is a document of its own, named by its readable query, and each call shows its own response."""
    delivery = _delivery(
        _read("/shop/inventory", {"where": ['sku in ("A")'], "limit": ["500"]}, {"results": "of A"}),
        _read("/shop/inventory", {"where": ['sku in ("B")'], "limit": ["500"]}, {"results": "of B"}),
    )
    documents = side_by_side(delivery).documents
    assert [document.name for document in documents] == [
        "The message",
        'Read: /shop/inventory?where=sku in ("A")&limit=500',
        'Read: /shop/inventory?where=sku in ("B")&limit=500',
    ]
    assert (_texts(delivery, 0), _texts(delivery, 1)) == (['"of A"'], ['"of B"'])


def test_the_same_read_twice_is_one_document() -> None:
    """The function looks again after its write; both calls show the response."""
    delivery = _delivery(*[_read("/shop/customers/c%201", {}, {"email": "of c 1"})] * 2)
    assert [one.name for one in side_by_side(delivery).documents] == ["The message", "Read: /shop/customers/c 1"]
    assert (_texts(delivery, 0), _texts(delivery, 1)) == (['"of c 1"'], ['"of c 1"'])
