"""A read that is older than the message that asked for it is not copied."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function
from tests.functional.documents import change, customer, message, order, payment, reference, too_large, transaction

CUSTOMERS = "^/shop/customers/"


def _ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def _lags(sandbox: Sandbox, path: str, older: Mapping[str, Any], *, skip: int = 0) -> None:
    """One read shows an older document."""
    sandbox.commercetools.fail(path, status=200, body=older, count=1, skip=skip)


NEWS = {
    "a change": change("ResourceUpdated", "customer", "customer-1", version=5),
    "a message": message("CustomerCreated", "customer", "customer-1", resourceVersion=5),
}


@pytest.mark.parametrize("delivery", NEWS.values(), ids=NEWS)
def test_an_older_customer_is_not_copied(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """A message about version 5 whose read shows version 4 is retried, and synced once the read catches up."""
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=5))
    _lags(sandbox, CUSTOMERS, customer(firstName="Older", version=4))
    answer = function.deliver(delivery)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert sandbox.klaviyo.requests() == []
    assert function.deliver(delivery).outcome == "synced"
    assert sandbox.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


OF_ANOTHER_FIELD = {
    "a message's own version": message("CustomerCreated", "customer", "customer-1", version=9, resourceVersion=2),
    "a change has no resourceVersion": change(
        "ResourceUpdated", "customer", "customer-1", version=2, resourceVersion=9
    ),
    "none": {**message("CustomerCreated", "customer", "customer-1"), "resourceVersion": None},
}


@pytest.mark.parametrize("delivery", OF_ANOTHER_FIELD.values(), ids=OF_ANOTHER_FIELD)
def test_what_is_no_version_of_the_resource(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """Messages tell of `resourceVersion`, changes of `version`; what says neither counts as old."""
    sandbox.commercetools.put("customers", customer(version=2))
    assert function.deliver(delivery).outcome == "synced"


def test_a_customer_who_is_not_there_yet(sandbox: Sandbox, function: Function) -> None:
    """A young CustomerCreated is retried until the customer can be read."""
    created = message("CustomerCreated", "customer", "customer-1", createdAt=_ago(5))
    answer = function.deliver(created)
    assert (answer.status, answer.reason) == (REFUSED, "not_there_yet")
    sandbox.commercetools.put("customers", customer())
    assert function.deliver(created).outcome == "synced"


@pytest.mark.parametrize("created_at", [_ago(61), None, "yesterday"], ids=["a minute old", "no time", "not a time"])
def test_a_customer_who_is_gone(sandbox: Sandbox, function: Function, created_at: str | None) -> None:
    """An older CustomerCreated, or one that does not say how old it is, is ignored: the customer was deleted."""
    answer = function.deliver(message("CustomerCreated", "customer", "customer-1", createdAt=created_at))
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.requests() == []


def test_a_young_customer_who_is_deleted_while_written(sandbox: Sandbox, function: Function) -> None:
    """The look after the write finds nobody: not "not there yet", but deleted, and the new profile is erased."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.fail(CUSTOMERS, status=404, skip=1)
    answer = function.deliver(message("CustomerCreated", "customer", "customer-1", createdAt=_ago(5)))
    assert (answer.outcome, answer.reason) == ("ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_look_that_lags(sandbox: Sandbox, function: Function) -> None:
    """The look after the write shows an older version than was written: it is not written over the newer one."""
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=5))
    _lags(sandbox, CUSTOMERS, customer(firstName="Older", version=4), skip=1)
    late = change("ResourceUpdated", "customer", "customer-1", version=4)
    answer = function.deliver(late)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert [call["operation"] for call in sandbox.klaviyo.requests()] == ["create_or_update_profile"]
    assert function.deliver(late).outcome == "synced"
    assert sandbox.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


ORDERS = {
    "OrderStateChanged": message(
        "OrderStateChanged", "order", "order-1", orderState="Confirmed", oldOrderState="Open", resourceVersion=5
    ),
    "OrderCustomerSet": message(
        "OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-1"), resourceVersion=5
    ),
    "OrderCreated, payload not included": too_large("OrderCreated", "order", "order-1", resourceVersion=5),
    "OrderStateChanged, payload not included": too_large("OrderStateChanged", "order", "order-1", resourceVersion=5),
}


@pytest.mark.parametrize("delivery", ORDERS.values(), ids=ORDERS)
def test_an_older_order_makes_no_event(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """Where an order is read, it is not older than the message; Klaviyo keeps the first event for good."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(orderState="Confirmed", version=5))
    _lags(sandbox, "^/shop/orders/", order(orderState="Open", version=4))
    answer = function.deliver(delivery)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert sandbox.klaviyo.state()["events"] == []
    assert function.deliver(delivery).outcome == "synced"


def test_an_order_that_is_not_there_yet(function: Function) -> None:
    """A young OrderCreated without payload is retried until the order can be read; a minute old it is ignored."""
    young = too_large("OrderCreated", "order", "order-1", createdAt=_ago(5))
    answer = function.deliver(young)
    assert (answer.status, answer.reason) == (REFUSED, "not_there_yet")
    old = function.deliver({**young, "createdAt": _ago(61)})
    assert (old.outcome, old.reason) == ("ignored", "deleted_meanwhile")


def test_a_payments_version_is_the_payments(sandbox: Sandbox, function: Function) -> None:
    """A payment's message is compared with the payment that it names, and not with the order that is read for it."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("payments", payment(transactions=[transaction()], version=7))
    sandbox.commercetools.put("orders", order(version=2, paymentInfo={"payments": [reference("payment", "payment-1")]}))
    _lags(sandbox, "^/shop/payments/", payment(transactions=[transaction(state="Pending")], version=6))
    settled = message(
        "PaymentTransactionStateChanged",
        "payment",
        "payment-1",
        transactionId="refund-1",
        state="Success",
        resourceVersion=7,
    )
    answer = function.deliver(settled)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert sandbox.klaviyo.state()["events"] == []
    assert function.deliver(settled).outcome == "synced"
    assert [event["metric"] for event in sandbox.klaviyo.state()["events"]] == ["Refunded Order"]
