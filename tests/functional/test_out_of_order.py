"""Messages that are reordered, late or repeated end in the same state: commercetools' latest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function
from tests.functional.documents import category, change, customer, entry, message, order, product, too_large, variant
from tests.functional.klaviyo_state import comparable


@dataclass(frozen=True, slots=True)
class Pair:
    """Two messages about one resource.

    `documents` are in commercetools when the messages are delivered. The products of `before` are in Klaviyo already.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    documents: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)


ONE_PRODUCT = {"products": [product(variants=[variant("SKU-1")])]}
CANCELLED = order(orderState="Cancelled")

PAIRS = {
    "customer updated before created": Pair(
        message("CustomerCreated", "customer", "customer-1", customer=customer(firstName="Older")),
        change("ResourceUpdated", "customer", "customer-1"),
        {"customers": [customer(firstName="Newer")]},
    ),
    "customer deleted before created": Pair(
        message("CustomerCreated", "customer", "customer-1", customer=customer()),
        change("ResourceDeleted", "customer", "customer-1", dataErasure=True),
    ),
    "category updated before created": Pair(
        message("CategoryCreated", "category", "bags", category=category("bags", "Older")),
        change("ResourceUpdated", "category", "bags"),
        {"categories": [category("women", "Women"), category("bags", "Bags", ancestors=["women"])]},
    ),
    "category deleted before created": Pair(
        message("CategoryCreated", "category", "bags", category=category("bags", "Bags")),
        change("ResourceDeleted", "category", "bags"),
    ),
    "product unpublished before published": Pair(
        message("ProductPublished", "product", "product-1"),
        message("ProductUnpublished", "product", "product-1"),
        {"products": [product(published=False)]},
    ),
    "product published again before unpublished": Pair(
        message("ProductUnpublished", "product", "product-1"),
        message("ProductPublished", "product", "product-1"),
        ONE_PRODUCT,
        ONE_PRODUCT,
    ),
    "product deleted before published": Pair(
        message("ProductPublished", "product", "product-1"),
        message("ProductDeleted", "product", "product-1"),
    ),
    "product deleted before unpublished": Pair(
        message("ProductUnpublished", "product", "product-1"),
        change("ResourceDeleted", "product", "product-1"),
        {},
        ONE_PRODUCT,
    ),
    "stock updated before created": Pair(
        change("ResourceCreated", "inventory-entry", "entry-1"),
        change("ResourceUpdated", "inventory-entry", "entry-1"),
        {**ONE_PRODUCT, "inventory": [entry(sku="SKU-1", quantity=9)]},
        ONE_PRODUCT,
    ),
    "stock deleted before created": Pair(
        change("ResourceCreated", "inventory-entry", "entry-1"),
        change(
            "ResourceDeleted", "inventory-entry", "entry-1", resourceUserProvidedIdentifiers={"sku": "SKU-1"}
        ),
        ONE_PRODUCT,
        {**ONE_PRODUCT, "inventory": [entry(sku="SKU-1", quantity=9)]},
    ),
    "order cancelled before created": Pair(
        message("OrderCreated", "order", "order-1", order=order()),
        message("OrderStateChanged", "order", "order-1", orderState="Cancelled", oldOrderState="Open"),
        {**ONE_PRODUCT, "orders": [CANCELLED]},
    ),
    "order confirmed before created, too large": Pair(
        too_large("OrderCreated", "order", "order-1"),
        too_large("OrderStateChanged", "order", "order-1"),
        {**ONE_PRODUCT, "orders": [order(orderState="Confirmed")]},
    ),
    "order gets its customer before it is created": Pair(
        message("OrderCreated", "order", "order-1", order=order()),
        message("OrderCustomerSet", "order", "order-1", customer={"typeId": "customer", "id": "customer-1"}),
        {**ONE_PRODUCT, "orders": [order()]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_reordered_messages_end_in_the_same_state(pair: Pair, sandbox: Sandbox, serve: Callable[..., Function]) -> None:
    """The reversed pair, also when repeated, leaves the same state in Klaviyo as the pair in order."""

    def final_state(*deliveries: Mapping[str, Any]) -> Any:
        sandbox.commercetools.reset()
        sandbox.klaviyo.reset()
        function = serve()
        if pair.before:
            sandbox.commercetools.put_all(pair.before)
            for known in pair.before["products"]:
                function.deliver(message("ProductPublished", "product", known["id"]))
            sandbox.commercetools.reset()
        sandbox.commercetools.put_all(pair.documents)
        answers = [function.deliver(delivery) for delivery in deliveries]
        assert {answer.status for answer in answers} == {ACKNOWLEDGED}
        return comparable(sandbox.klaviyo.state())

    in_order = final_state(pair.first, pair.second)
    assert final_state(pair.second, pair.first) == in_order
    assert final_state(pair.second, pair.first, pair.second, pair.first) == in_order


def test_late_messages_after_everything_changed_again(sandbox: Sandbox, function: Function) -> None:
    """Old messages of every resource, delivered late, leave commercetools' latest state in Klaviyo."""
    shop = {
        "customers": [customer(firstName="First")],
        "categories": [category("women", "Women"), category("bags", "Bags", ancestors=["women"])],
        "products": [product(variants=[variant("SKU-1"), variant("SKU-2", 2)], categories=["bags"])],
        "inventory": [entry(sku="SKU-1", quantity=9)],
    }
    sandbox.commercetools.put_all(shop)
    messages = [
        message("CategoryCreated", "category", "women"),
        message("CategoryCreated", "category", "bags"),
        message("CustomerCreated", "customer", "customer-1", customer=shop["customers"][0]),
        message("ProductPublished", "product", "product-1"),
        change("ResourceCreated", "inventory-entry", "entry-1"),
    ]
    for delivery in messages:
        assert function.deliver(delivery).outcome == "synced"

    sandbox.commercetools.patch("customers", "customer-1", {"firstName": "Second"})
    sandbox.commercetools.patch("categories", "women", {"name": {"en-US": "Ladies"}})
    sandbox.commercetools.put("categories", category("bags", "Purses", ancestors=["women"], version=2))
    sandbox.commercetools.put(
        "products", product(variants=[variant("SKU-2", 2)], categories=["women"], root={"version": 2})
    )
    sandbox.commercetools.patch("inventory", "entry-1", {"sku": "SKU-2", "availableQuantity": 1})
    updates = [
        change("ResourceUpdated", "inventory-entry", "entry-1"),
        message("ProductPublished", "product", "product-1"),
        change("ResourceUpdated", "category", "bags"),
        change("ResourceUpdated", "category", "women"),
        change("ResourceUpdated", "customer", "customer-1", version=2),
    ]
    for delivery in updates:
        assert function.deliver(delivery).status == ACKNOWLEDGED
    state = sandbox.klaviyo.state()
    assert state["profiles"][0]["first_name"] == "Second"
    assert state["categories"] == {"women": "Ladies", "bags": "Ladies > Purses"}
    assert state["items"]["product-1"]["categories"] == ["women"]
    assert {sku: one["inventory_quantity"] for sku, one in state["variants"].items()} == {"SKU-2": 1}

    for delivery in [*messages, *reversed(messages), message("ProductUnpublished", "product", "product-1")]:
        assert function.deliver(delivery).status == ACKNOWLEDGED
    assert comparable(sandbox.klaviyo.state()) == comparable(state)
