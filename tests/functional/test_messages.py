"""Customers, orders and payments: their messages have the effect that docs/messages.md says, within their budget."""

from typing import Any

import pytest

import handlers
from commands.processes import Sandbox
from handlers.registry import registrations
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, Function
from tests.functional.documents import (
    category,
    change,
    customer,
    line_item,
    message,
    order,
    payment,
    product,
    reference,
    too_large,
    transaction,
)

pytestmark = pytest.mark.usefixtures("buyer")

TABLE = {
    ("customer", "CustomerCreated"), ("customer", "ResourceUpdated"), ("customer", "ResourceDeleted"),
    *(("customer", f"CustomerCustom{rest}") for rest in ("FieldAdded", "FieldChanged", "TypeSet")),
    *(("customer", f"CustomerGroup{rest}") for rest in (
        "Set", "AssignmentAdded", "AssignmentRemoved", "AssignmentsSet",
    )),
    ("order", "OrderCreated"), ("order", "OrderImported"), ("order", "OrderCreatedFromRecurringOrder"),
    ("order", "OrderCustomerSet"), ("order", "OrderStateChanged"),
    ("order", "OrderShipmentStateChanged"), ("order", "ParcelAddedToDelivery"), ("order", "ParcelTrackingDataUpdated"),
    ("order", "ReturnInfoAdded"), ("order", "ReturnInfoSet"), ("order", "OrderReturnShipmentStateChanged"),
    ("order", "OrderPaymentStateChanged"), ("order", "OrderStateTransition"),
    ("payment", "PaymentTransactionAdded"), ("payment", "PaymentTransactionStateChanged"),
    ("category", "CategoryCreated"), ("category", "ResourceUpdated"), ("category", "ResourceDeleted"),
    ("product", "ProductPublished"), ("product", "ProductUnpublished"), ("product", "ProductDeleted"),
    ("product", "ResourceDeleted"),
    *(("product", f"ProductPrice{rest}") for rest in ("Added", "Changed", "Removed", "DiscountsSet", "ModeSet")),
    ("product", "ProductPriceExternalDiscountSet"), ("product", "ProductPricesSet"),
    ("product", "ProductVariantAdded"), ("product", "ProductVariantDeleted"),
    ("product", "ProductAddedToCategory"), ("product", "ProductRemovedFromCategory"),
    ("product", "ProductImageAdded"), ("product", "ProductSlugChanged"),
    *(("standalone-price", f"StandalonePrice{rest}") for rest in (
        "Created", "Deleted", "ValueChanged", "DiscountSet", "ExternalDiscountSet", "ActiveChanged",
        "StagedChangesApplied", "ValidFromSet", "ValidUntilSet", "ValidFromAndUntilSet",
        "TierAdded", "TierRemoved", "TiersSet",
    )),
    ("inventory-entry", "ResourceCreated"), ("inventory-entry", "ResourceUpdated"),
    ("inventory-entry", "ResourceDeleted"),
}  # fmt: skip

PLACING = ["OrderCreated", "OrderImported", "OrderCreatedFromRecurringOrder"]
METRIC_OF_STATE = {"Confirmed": "Fulfilled Order", "Complete": "Fulfilled Order", "Cancelled": "Cancelled Order"}


def test_the_registry_has_the_keys_of_the_table() -> None:
    """The registry has exactly these keys. Only a product's ResourceDeleted is not subscribed to."""
    assert handlers.__all__
    assert {(one.resource_type, one.type) for one in registrations()} == TABLE
    unsubscribed = [(one.resource_type, one.type) for one in registrations() if not one.subscribe]
    assert unsubscribed == [("product", "ResourceDeleted")]


@pytest.mark.parametrize(
    "delivery",
    [
        message("CustomerCreated", "customer", "customer-1", customer=customer()),
        too_large("CustomerCreated", "customer", "customer-1"),
        change("ResourceUpdated", "customer", "customer-1"),
    ],
    ids=["created", "too large", "updated"],
)
def test_a_customer_becomes_a_profile(sandbox: Sandbox, steady: Function, delivery: Any) -> None:
    """A created or updated customer is copied as it is now: one read, one write."""
    sandbox.commercetools.put("customers", customer(firstName="Mirabel", companyName="Falkner GmbH"))
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", (1, 1))
    profile = done.profile("customer-1")
    assert profile["email"] == "customer-1@example.com"
    assert (profile["first_name"], profile["organization"]) == ("Mirabel", "Falkner GmbH")
    assert profile["phone_number"] == "+491713920014"
    assert profile["location"] == {"address1": "12, Lindenallee", "city": "Berlin", "country": "DE", "zip": "10115"}


def test_a_customer_deleted_with_erasure_is_erased(sandbox: Sandbox, steady: Function) -> None:
    """The profile is looked up, and its erasure is requested, which includes its events."""
    sandbox.commercetools.put("customers", customer())
    measured(sandbox, steady, message("CustomerCreated", "customer", "customer-1"))
    sandbox.commercetools.delete("customers", "customer-1")
    done = measured(sandbox, steady, change("ResourceDeleted", "customer", "customer-1", dataErasure=True))
    assert (done.outcome, done.calls) == ("synced", (1, 2))
    assert done.state["profiles"] == []
    again = measured(sandbox, steady, change("ResourceDeleted", "customer", "customer-1", dataErasure=True))
    assert (again.outcome, again.calls, again.state["profiles"]) == ("synced", (1, 3), [])


@pytest.mark.parametrize("fields", [{}, {"dataErasure": False}], ids=["not said", "false"])
def test_a_customer_deleted_without_erasure_stays(sandbox: Sandbox, steady: Function, fields: Any) -> None:
    """Without `dataErasure: true` neither backend is called, and the profile stays."""
    sandbox.commercetools.put("customers", customer())
    before = measured(sandbox, steady, message("CustomerCreated", "customer", "customer-1")).state
    done = measured(sandbox, steady, change("ResourceDeleted", "customer", "customer-1", **fields))
    assert (done.outcome, done.calls) == ("ignored no_data_erasure", (0, 0))
    assert done.state == before


def _put_products(sandbox: Sandbox, count: int) -> None:
    """Store the products 1 to `count`, each in the category Women > Bags."""
    women, bags = category("women", "Women"), category("bags", "Bags", ancestors=["women"])
    shelf = [product(f"product-{number}", categories=["bags"]) for number in range(1, count + 1)]
    sandbox.commercetools.put_all({"categories": [women, bags], "products": shelf})


def _lines(count: int) -> list[dict[str, Any]]:
    return [line_item(number, f"product-{number}") for number in range(1, count + 1)]


@pytest.mark.parametrize("name", PLACING)
@pytest.mark.parametrize("included", [True, False], ids=["included", "too large"])
def test_placing_an_order(sandbox: Sandbox, steady: Function, name: str, *, included: bool) -> None:
    """Five line items make six events for three reads; one more read if the payload was too large."""
    _put_products(sandbox, 5)
    placed = order(lines=_lines(5))
    sandbox.commercetools.put("orders", placed)
    delivery = message(name, "order", "order-1", order=placed) if included else too_large(name, "order", "order-1")
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", (3 if included else 4, 6))
    event = done.event("Placed Order", "order-1")
    assert (event["value"], event["value_currency"]) == (100, "EUR")
    assert event["properties"]["Categories"] == ["Women", "Women > Bags"]
    assert event["properties"]["OrderNumber"] == "number-of-order-1"
    assert [item["ProductID"] for item in event["properties"]["Items"]] == [f"product-{n}" for n in range(1, 6)]
    for number in range(1, 6):
        ordered = done.event("Ordered Product", f"line-{number}")
        assert (ordered["value"], ordered["properties"]["Quantity"]) == (20, 2)
        assert ordered["properties"]["Categories"] == ["Women", "Women > Bags"]
    assert len(done.state["events"]) == 6
    assert done.profile("customer-1")["events"] == 6


@pytest.mark.parametrize("name", PLACING)
def test_an_order_deleted_in_the_meantime_is_ignored(sandbox: Sandbox, steady: Function, name: str) -> None:
    """A message without its payload about an order that no longer exists has no effect."""
    done = measured(sandbox, steady, too_large(name, "order", "order-1"))
    assert (done.outcome, done.calls) == ("ignored deleted_meanwhile", (1, 0))


@pytest.mark.parametrize("included", [True, False], ids=["included", "too large"])
def test_an_order_gets_a_customer(sandbox: Sandbox, steady: Function, *, included: bool) -> None:
    """The order as it is now is placed for its customer: four reads, one event plus one per line item."""
    _put_products(sandbox, 2)
    sandbox.commercetools.put("orders", order(lines=_lines(2)))
    payload = {"customer": reference("customer", "customer-1")}
    make = message if included else too_large
    done = measured(sandbox, steady, make("OrderCustomerSet", "order", "order-1", **(payload if included else {})))
    assert (done.outcome, done.calls) == ("synced", (4, 3))
    assert done.profile("customer-1")["events"] == 3


def test_an_order_loses_its_customer(sandbox: Sandbox, steady: Function) -> None:
    """OrderCustomerSet without a customer sends no event."""
    sandbox.commercetools.put("orders", order(customerId=None))
    done = measured(sandbox, steady, message("OrderCustomerSet", "order", "order-1"))
    assert (done.outcome, done.calls) == ("ignored customer_removed", (0, 0))
    done = measured(sandbox, steady, too_large("OrderCustomerSet", "order", "order-1"))
    assert (done.outcome, done.calls) == ("ignored customer_removed", (1, 0))


@pytest.mark.parametrize(("state", "metric"), METRIC_OF_STATE.items())
@pytest.mark.parametrize("included", [True, False], ids=["included", "too large"])
def test_an_order_changes_its_state(
    sandbox: Sandbox, steady: Function, state: str, metric: str, *, included: bool
) -> None:
    """Fulfilled Order or Cancelled Order is sent with the message's time: four reads, one event."""
    _put_products(sandbox, 1)
    sandbox.commercetools.put("orders", order(orderState=state))
    payload = {"orderState": state, "oldOrderState": "Open"}
    make = message if included else too_large
    done = measured(sandbox, steady, make("OrderStateChanged", "order", "order-1", **(payload if included else {})))
    assert (done.outcome, done.calls) == ("synced", (4, 1))
    event = done.event(metric, "order-1")
    assert event["time"] == "2026-05-02T08:00:00+00:00"
    assert (event["value"], event["value_currency"]) == (20, "EUR")
    assert event["properties"]["Categories"] == ["Women", "Women > Bags"]


def test_another_order_state_is_ignored(sandbox: Sandbox, steady: Function) -> None:
    """A state without an event costs no calls."""
    done = measured(sandbox, steady, message("OrderStateChanged", "order", "order-1", orderState="Open"))
    assert (done.outcome, done.calls) == ("ignored order_state", (0, 0))


REFUND = {"transaction": transaction(cents=550)}
SETTLED = {"transactionId": "refund-1", "state": "Success"}


@pytest.mark.parametrize(
    ("delivery", "reads"),
    [
        (message("PaymentTransactionAdded", "payment", "payment-1", **REFUND), 4),
        (message("PaymentTransactionStateChanged", "payment", "payment-1", **SETTLED), 5),
        (too_large("PaymentTransactionAdded", "payment", "payment-1"), 5),
        (too_large("PaymentTransactionStateChanged", "payment", "payment-1"), 5),
    ],
    ids=["added", "settled", "added, too large", "settled, too large"],
)
def test_a_refund(sandbox: Sandbox, steady: Function, delivery: Any, reads: int) -> None:
    """Refunded Order has the transaction's amount and time: at most five reads, one event."""
    _put_products(sandbox, 1)
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    charge = transaction("charge-1", 2000, type="Charge")
    pending = transaction("refund-0", 100, state="Pending")
    sandbox.commercetools.put("payments", payment(transactions=[charge, pending, transaction(cents=550)]))
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", (reads, 1))
    event = done.event("Refunded Order", "payment-1:refund-1")
    assert (event["value"], event["value_currency"]) == (5.5, "EUR")
    assert event["time"] == "2026-05-03T09:00:00+00:00"
    assert event["properties"]["RefundAmount"] == 5.5
    assert event["properties"]["OrderId"] == "order-1"


@pytest.mark.parametrize(
    "payload",
    [
        {"transaction": transaction(type="Charge")},
        {"transaction": transaction(state="Pending")},
        {"transactionId": "refund-1", "state": "Failure"},
    ],
    ids=["charge", "pending", "failed"],
)
def test_other_transactions_are_ignored(sandbox: Sandbox, steady: Function, payload: Any) -> None:
    """A charge, or a refund that did not succeed, costs no calls."""
    done = measured(sandbox, steady, message("PaymentTransactionAdded", "payment", "payment-1", **payload))
    assert (done.outcome, done.calls) == ("ignored no_refund", (0, 0))
    assert done.answer.status == ACKNOWLEDGED
