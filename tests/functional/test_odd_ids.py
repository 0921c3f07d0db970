"""SKUs may hold any character; an invalid resource id reaches no backend."""

from typing import Any

import pytest

from commands.processes import Sandbox
from core.rules import SyncRules
from handlers.registry import registrations
from tests.functional.call_counts import measured
from tests.functional.conftest import REFUSED, Function
from tests.functional.documents import change, entry, line_item, message, money, order, product, variant

pytestmark = pytest.mark.usefixtures("buyer")

SKUS = [
    'A/1 "x" ü', "100%", "50%25", "what?", "#1", "back\\slash", "../up", "a+b c&d=e", "🧥-L", "'; drop", "$custom:::x",
    "a,b;c:d", "{x}", "[0]", "tab\tand more", "x" * 256,
]  # fmt: skip

PUBLISHED = message("ProductPublished", "product", "product-1")


@pytest.mark.parametrize("sku", SKUS, ids=range(len(SKUS)))
def test_any_sku(sandbox: Sandbox, function: Function, sku: str) -> None:
    """A variant with this SKU is created, updated, given stock, no longer tracked, and deleted under this very name."""
    sandbox.commercetools.put("products", product(variants=[variant("plain"), variant(sku, 2)]))
    assert set(measured(sandbox, function, PUBLISHED).state["variants"]) == {"plain", sku}

    dearer = variant(sku, 2, prices=[{"id": "p", "value": money(4200)}])
    sandbox.commercetools.put("products", product(variants=[variant("plain"), dearer], root={"version": 2}))
    assert measured(sandbox, function, PUBLISHED).state["variants"][sku]["price"] == 42

    sandbox.commercetools.put("inventory", entry(sku=sku, quantity=6))
    stocked = measured(sandbox, function, change("ResourceUpdated", "inventory-entry", "entry-1"))
    assert stocked.state["variants"][sku]["inventory_quantity"] == 6
    assert stocked.state["variants"]["plain"]["inventory_quantity"] == 0

    sandbox.commercetools.delete("inventory", "entry-1")
    entry_deleted = change(
        "ResourceDeleted", "inventory-entry", "entry-1", resourceUserProvidedIdentifiers={"sku": sku}
    )
    assert measured(sandbox, function, entry_deleted).state["variants"][sku]["inventory_policy"] == 2

    sandbox.commercetools.put("products", product(variants=[variant("plain")], root={"version": 3}))
    done = measured(sandbox, function, PUBLISHED)
    assert (done.outcome, set(done.state["variants"])) == ("synced", {"plain"})


@pytest.mark.parametrize("sku", SKUS[:3])
def test_any_sku_in_queries_and_events(sandbox: Sandbox, function: Function, sku: str) -> None:
    """The SKU reaches query predicates and events unchanged."""
    sandbox.commercetools.put("standalone-prices", {"id": "price-1", "version": 1, "sku": sku, "value": money(7700)})
    sandbox.commercetools.put("products", product(variants=[variant(sku)], root={"priceMode": "Standalone"}))
    assert measured(sandbox, function, PUBLISHED).state["variants"][sku]["price"] == 77
    sold = order(lines=[line_item(variant=variant(sku))])
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=sold))
    assert done.event("Ordered Product", "line-1")["properties"]["SKU"] == sku


INVALID_IDS: list[Any] = [
    'a"b',
    "a'b",
    "a/b",
    "../customers",
    "..",
    "a b",
    "a%2Fb",
    'x" or id != "',
    "x" * 300,
    "",
    "ümlaut",
    "a\n",
    None,
    7,
    {},
]
KEYS = [(one.resource_type, one.type, one.is_change) for one in registrations() if not one.switched_off_by(SyncRules())]


@pytest.mark.parametrize(("type_id", "name", "is_change"), KEYS)
def test_an_invalid_id_reaches_no_backend(
    sandbox: Sandbox, function: Function, type_id: str, name: str, *, is_change: bool
) -> None:
    """Neither backend is called. Without a dead-letter topic the message is left to the subscription's own policy."""
    make = change if is_change else message
    payload: dict[str, Any] = {"dataErasure": True, "resourceUserProvidedIdentifiers": {"sku": "SKU-1"}}
    for number, invalid in enumerate(INVALID_IDS):
        delivery = make(name, type_id, "x", **payload) | {"resource": {"typeId": type_id, "id": invalid}}
        answer = function.deliver(delivery)
        assert (answer.status, answer.outcome) == (REFUSED, "retried"), number
        assert answer.reason == ("bad_resource_id" if isinstance(invalid, str) and invalid else "no_resource")
    assert sandbox.commercetools.requests() == []
    assert sandbox.klaviyo.requests() == []
