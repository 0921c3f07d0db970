"""A read that shows an older version than the message is not copied."""

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


def _lagging_read(sandbox: Sandbox, path: str, older: Mapping[str, Any], *, skip: int = 0) -> None:
    """Let one read, after `skip` others, show an older document."""
    sandbox.commercetools.fail(path, status=200, body=older, count=1, skip=skip)


ABOUT_VERSION_5 = {
    "a change": change("ResourceUpdated", "customer", "customer-1", version=5),
    "a message": message("CustomerCreated", "customer", "customer-1", resourceVersion=5),
}


@pytest.mark.parametrize("delivery", ABOUT_VERSION_5.values(), ids=ABOUT_VERSION_5)
def test_an_older_customer_is_not_copied(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """A message about version 5 is retried if the read shows version 4, and synced once the read catches up."""
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=5))
    _lagging_read(sandbox, CUSTOMERS, customer(firstName="Older", version=4))
    answer = function.deliver(delivery)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert sandbox.klaviyo.requests() == []
    assert function.deliver(delivery).outcome == "synced"
    assert sandbox.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


WITHOUT_A_NEWER_VERSION = {
    "a message's own version": message("CustomerCreated", "customer", "customer-1", version=9, resourceVersion=2),
    "a change has no resourceVersion": change(
        "ResourceUpdated", "customer", "customer-1", version=2, resourceVersion=9
    ),
    "none": {**message("CustomerCreated", "customer", "customer-1"), "resourceVersion": None},
}


@pytest.mark.parametrize("delivery", WITHOUT_A_NEWER_VERSION.values(), ids=WITHOUT_A_NEWER_VERSION)
def test_only_the_right_version_field_counts(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """The version is `resourceVersion` in messages and `version` in changes. Without it, any read is new enough."""
    sandbox.commercetools.put("customers", customer(version=2))
    assert function.deliver(delivery).outcome == "synced"


def test_a_customer_who_can_not_be_read_yet(sandbox: Sandbox, function: Function) -> None:
    """A CustomerCreated under a minute old is retried until the customer can be read."""
    created = message("CustomerCreated", "customer", "customer-1", createdAt=_ago(5))
    answer = function.deliver(created)
    assert (answer.status, answer.reason) == (REFUSED, "not_there_yet")
    sandbox.commercetools.put("customers", customer())
    assert function.deliver(created).outcome == "synced"


@pytest.mark.parametrize("created_at", [_ago(61), None, "yesterday"], ids=["a minute old", "no time", "not a time"])
def test_a_deleted_customer(sandbox: Sandbox, function: Function, created_at: str | None) -> None:
    """A CustomerCreated over a minute old, or without a valid time, is ignored: the customer was deleted."""
    answer = function.deliver(message("CustomerCreated", "customer", "customer-1", createdAt=created_at))
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.requests() == []


def test_a_new_customer_who_is_deleted_during_the_write(sandbox: Sandbox, function: Function) -> None:
    """If the check after the write finds no customer, the customer was deleted: the new profile is erased, no retry."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.fail(CUSTOMERS, status=404, skip=1)
    answer = function.deliver(message("CustomerCreated", "customer", "customer-1", createdAt=_ago(5)))
    assert (answer.outcome, answer.reason) == ("ignored", "deleted_meanwhile")
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_check_that_lags(sandbox: Sandbox, function: Function) -> None:
    """If the check after the write reads an older version, that version does not overwrite the newer one."""
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=5))
    _lagging_read(sandbox, CUSTOMERS, customer(firstName="Older", version=4), skip=1)
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
def test_an_older_order_sends_no_event(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any]) -> None:
    """No event is sent from a read that is older than the message: Klaviyo never replaces the first event."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(orderState="Confirmed", version=5))
    _lagging_read(sandbox, "^/shop/orders/", order(orderState="Open", version=4))
    answer = function.deliver(delivery)
    assert (answer.status, answer.reason) == (REFUSED, "stale_read")
    assert sandbox.klaviyo.state()["events"] == []
    assert function.deliver(delivery).outcome == "synced"


def test_an_order_that_can_not_be_read_yet(function: Function) -> None:
    """An OrderCreated without payload is retried until the order can be read, and ignored when over a minute old."""
    young = too_large("OrderCreated", "order", "order-1", createdAt=_ago(5))
    answer = function.deliver(young)
    assert (answer.status, answer.reason) == (REFUSED, "not_there_yet")
    old = function.deliver({**young, "createdAt": _ago(61)})
    assert (old.outcome, old.reason) == ("ignored", "deleted_meanwhile")


def test_a_payment_message_has_the_payments_version(sandbox: Sandbox, function: Function) -> None:
    """A payment message's version is compared with the payment, not with the order."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("payments", payment(transactions=[transaction()], version=7))
    sandbox.commercetools.put("orders", order(version=2, paymentInfo={"payments": [reference("payment", "payment-1")]}))
    _lagging_read(sandbox, "^/shop/payments/", payment(transactions=[transaction(state="Pending")], version=6))
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
