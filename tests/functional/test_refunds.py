"""Refunds arrive in parts, in any order, twice, pending first, and before their order."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import Json, message, order, payment, reference, too_large, transaction

pytestmark = pytest.mark.usefixtures("buyer")

FIRST = transaction("refund-1", 1250)
SECOND = transaction("refund-2", 399, timestamp="2026-05-04T12:00:00.000Z")
AMOUNTS = {"payment-1:refund-1": 12.5, "payment-1:refund-2": 3.99}


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with an order of 20.00 EUR whose payment was charged, then partly refunded twice."""
    charge = transaction("charge-1", 2000, type="Charge")
    sandbox.commercetools.put("payments", payment(transactions=[charge, FIRST, SECOND]))
    sandbox.commercetools.put("orders", _paid_order())
    return sandbox


def _paid_order() -> Json:
    return order(paymentInfo={"payments": [reference("payment", "payment-1")]})


def _added(refund: Json, **fields: Any) -> Json:
    return message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund, **fields)


def _settled(refund: Json, state: str = "Success") -> Json:
    payload = {"transactionId": refund["id"], "state": state}
    return message("PaymentTransactionStateChanged", "payment", "payment-1", **payload)


def _minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refunds(sandbox: Sandbox) -> list[Json]:
    return [event for event in sandbox.klaviyo.state()["events"] if event["metric"] == "Refunded Order"]


def _amounts(sandbox: Sandbox) -> dict[str, float]:
    """Value by unique id. Checks that no event exists twice, and that the properties agree."""
    refunds = _refunds(sandbox)
    amounts = {event["unique_id"]: event["value"] for event in refunds}
    assert len(amounts) == len(refunds), "a refund was sent twice"
    for event in refunds:
        properties = event["properties"]
        assert properties["RefundAmount"] == event["value"]
        assert f"{properties['PaymentId']}:{properties['TransactionId']}" == event["unique_id"]
        assert (event["value_currency"], properties["OrderId"]) == ("EUR", "order-1")
    return amounts


@pytest.mark.parametrize("order_of_arrival", sorted(set(itertools.permutations((0, 1, 0, 1)))), ids=str)
def test_two_partial_refunds_are_two_events(shop: Sandbox, function: Function, order_of_arrival: Any) -> None:
    """In either order, and each delivered twice, they become two events with their own amounts."""
    for number in order_of_arrival:
        assert function.deliver(_added((FIRST, SECOND)[number])).status == ACKNOWLEDGED
    assert _amounts(shop) == AMOUNTS


def test_each_refund_has_its_own_time(shop: Sandbox, function: Function) -> None:
    """The time is the transaction's, not that of the message or of the other refund."""
    for refund in (SECOND, FIRST):
        function.deliver(_added(refund))
    times = {event["unique_id"]: datetime.fromisoformat(event["time"]) for event in _refunds(shop)}
    assert times == {
        f"payment-1:{refund['id']}": datetime.fromisoformat(refund["timestamp"]) for refund in (FIRST, SECOND)
    }


def test_refunds_whose_payload_is_not_included(shop: Sandbox, function: Function) -> None:
    """Without its payload the message names no refund, so both are sent; the other's message adds no duplicate."""
    notification = too_large("PaymentTransactionAdded", "payment", "payment-1")
    for delivery in (notification, _added(SECOND), notification):
        assert function.deliver(delivery).outcome == "synced"
    assert _amounts(shop) == AMOUNTS


@pytest.mark.parametrize("redelivered", [False, True], ids=["once", "twice"])
def test_pending_then_success_is_one_event(shop: Sandbox, function: Function, *, redelivered: bool) -> None:
    """A refund that waits for its bank is sent with its amount when it succeeds."""
    waiting = function.deliver(_added({**FIRST, "state": "Pending"}))
    assert (waiting.outcome, waiting.reason, _refunds(shop)) == ("ignored", "no_refund", [])
    for _ in range(1 + redelivered):
        assert function.deliver(_settled(FIRST)).outcome == "synced"
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_success_that_overtakes_pending_is_one_event(shop: Sandbox, function: Function) -> None:
    """The pending message arrives last and is ignored."""
    outcomes = [
        function.deliver(notification).outcome
        for notification in (_settled(FIRST), _added({**FIRST, "state": "Pending"}))
    ]
    assert outcomes == ["synced", "ignored"]
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_a_failed_refund_is_not_sent(shop: Sandbox, function: Function) -> None:
    """Pending, then Failure: nothing was paid back."""
    for notification in (_added({**FIRST, "state": "Pending"}), _settled(FIRST, "Failure")):
        assert function.deliver(notification).reason == "no_refund"
    assert _refunds(shop) == []


def test_refund_states_are_configurable(shop: Sandbox, serve: Serve, settings_file: Any) -> None:
    """If Pending is one of `refund_states`, the refund is sent immediately, and not again when it succeeds."""
    function = serve(SYNC_CONFIG=settings_file('[payment]\nrefund_states = ["Pending", "Success"]\n'))
    for notification in (_added({**FIRST, "state": "Pending"}), _settled(FIRST)):
        assert function.deliver(notification).outcome == "synced"
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_a_redelivery_sends_the_refund_that_failed(shop: Sandbox, function: Function) -> None:
    """The redelivery does not duplicate the refund that Klaviyo already has."""
    shop.klaviyo.fail("/api/events", count=3, skip=1, status=500)
    notification = too_large("PaymentTransactionAdded", "payment", "payment-1")
    statuses = [function.deliver(notification).status for _ in range(2)]
    assert statuses[-1] == ACKNOWLEDGED
    assert _amounts(shop) == AMOUNTS


def test_a_refund_waits_for_its_order(sandbox: Sandbox, function: Function) -> None:
    """Payments often exist before their order, so the refund is retried until the order exists."""
    sandbox.commercetools.put("payments", payment(transactions=[FIRST]))
    young = _added(FIRST, createdAt=_minutes_ago(59))
    for _ in range(2):
        answer = function.deliver(young)
        assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "no_order_yet")
    sandbox.commercetools.put("orders", _paid_order())
    assert function.deliver(young).outcome == "synced"
    assert _amounts(sandbox) == {"payment-1:refund-1": 12.5}


def test_after_an_hour_a_refund_without_order_is_ignored(sandbox: Sandbox, function: Function) -> None:
    """The reason is `no_order`. If the order exists, a refund is sent however old its message is."""
    sandbox.commercetools.put("payments", payment(transactions=[FIRST]))
    old = _added(FIRST, createdAt=_minutes_ago(61))
    answer = function.deliver(old)
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "no_order")
    assert sandbox.klaviyo.requests() == []
    sandbox.commercetools.put("orders", _paid_order())
    assert function.deliver(old).outcome == "synced"
