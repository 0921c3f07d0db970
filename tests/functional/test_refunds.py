"""Refunds come apart, in any order, twice, pending first, and before their order exists."""

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
    """An order of 20.00 EUR whose payment was charged, and refunded twice in part."""
    charge = transaction("charge-1", 2000, type="Charge")
    sandbox.commercetools.put("payments", payment(transactions=[charge, FIRST, SECOND]))
    sandbox.commercetools.put("orders", _paid_order())
    return sandbox


def _paid_order() -> Json:
    return order(paymentInfo={"payments": [reference("payment", "payment-1")]})


def _added(refund: Json, **fields: Any) -> Json:
    return message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund, **fields)


def _settled(refund: Json, state: str = "Success") -> Json:
    told = {"transactionId": refund["id"], "state": state}
    return message("PaymentTransactionStateChanged", "payment", "payment-1", **told)


def _minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refunds(sandbox: Sandbox) -> list[Json]:
    return [event for event in sandbox.klaviyo.state()["events"] if event["metric"] == "Refunded Order"]


def _amounts(sandbox: Sandbox) -> dict[str, float]:
    """Value by unique id; every event is there once, and its properties say the same."""
    refunds = _refunds(sandbox)
    amounts = {event["unique_id"]: event["value"] for event in refunds}
    assert len(amounts) == len(refunds), "one is there twice"
    for event in refunds:
        properties = event["properties"]
        assert properties["RefundAmount"] == event["value"]
        assert f"{properties['PaymentId']}:{properties['TransactionId']}" == event["unique_id"]
        assert (event["value_currency"], properties["OrderId"]) == ("EUR", "order-1")
    return amounts


@pytest.mark.parametrize("order_of_arrival", sorted(set(itertools.permutations((0, 1, 0, 1)))), ids=str)
def test_two_partial_refunds_are_two_events(shop: Sandbox, function: Function, order_of_arrival: Any) -> None:
    """In either order, and each of them delivered twice: two events, each with its own amount."""
    for number in order_of_arrival:
        assert function.deliver(_added((FIRST, SECOND)[number])).status == ACKNOWLEDGED
    assert _amounts(shop) == AMOUNTS


def test_each_refund_has_its_own_time(shop: Sandbox, function: Function) -> None:
    """The transaction's timestamp, not that of the message or of the other refund."""
    for refund in (SECOND, FIRST):
        function.deliver(_added(refund))
    times = {event["unique_id"]: datetime.fromisoformat(event["time"]) for event in _refunds(shop)}
    assert times == {
        f"payment-1:{refund['id']}": datetime.fromisoformat(refund["timestamp"]) for refund in (FIRST, SECOND)
    }


def test_refunds_whose_payload_is_not_included(shop: Sandbox, function: Function) -> None:
    """The message does not say which refund it tells of: both are sent, also when the other's message comes too."""
    told = too_large("PaymentTransactionAdded", "payment", "payment-1")
    for delivery in (told, _added(SECOND), told):
        assert function.deliver(delivery).outcome == "synced"
    assert _amounts(shop) == AMOUNTS


@pytest.mark.parametrize("redelivered", [False, True], ids=["once", "twice"])
def test_pending_then_success_is_one_event(shop: Sandbox, function: Function, *, redelivered: bool) -> None:
    """A refund that waits for its bank is sent when it succeeds, with its amount."""
    waiting = function.deliver(_added({**FIRST, "state": "Pending"}))
    assert (waiting.outcome, waiting.reason, _refunds(shop)) == ("ignored", "no_refund", [])
    for _ in range(1 + redelivered):
        assert function.deliver(_settled(FIRST)).outcome == "synced"
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_success_that_overtakes_pending_is_one_event(shop: Sandbox, function: Function) -> None:
    """The messages of one refund in the wrong order."""
    outcomes = [function.deliver(told).outcome for told in (_settled(FIRST), _added({**FIRST, "state": "Pending"}))]
    assert outcomes == ["synced", "ignored"]
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_a_refund_that_fails_is_none(shop: Sandbox, function: Function) -> None:
    """Pending, then Failure: nothing was paid back."""
    for told in (_added({**FIRST, "state": "Pending"}), _settled(FIRST, "Failure")):
        assert function.deliver(told).reason == "no_refund"
    assert _refunds(shop) == []


def test_states_that_count_are_configurable(shop: Sandbox, serve: Serve, settings_file: Any) -> None:
    """With Pending among refund_states the refund is sent at once, and not again when it succeeds."""
    function = serve(SYNC_CONFIG=settings_file('[payment]\nrefund_states = ["Pending", "Success"]\n'))
    for told in (_added({**FIRST, "state": "Pending"}), _settled(FIRST)):
        assert function.deliver(told).outcome == "synced"
    assert _amounts(shop) == {"payment-1:refund-1": 12.5}


def test_one_refund_of_two_that_fails_is_sent_by_its_next_delivery(shop: Sandbox, function: Function) -> None:
    """What Klaviyo took already is not there twice."""
    shop.klaviyo.fail("/api/events", count=3, skip=1, status=500)
    told = too_large("PaymentTransactionAdded", "payment", "payment-1")
    statuses = [function.deliver(told).status for _ in range(2)]
    assert statuses[-1] == ACKNOWLEDGED
    assert _amounts(shop) == AMOUNTS


def test_a_refund_waits_for_its_order(sandbox: Sandbox, function: Function) -> None:
    """Payments often exist before their order: the refund is refused until the order is there, then sent."""
    sandbox.commercetools.put("payments", payment(transactions=[FIRST]))
    young = _added(FIRST, createdAt=_minutes_ago(59))
    for _ in range(2):
        answer = function.deliver(young)
        assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "no_order_yet")
    sandbox.commercetools.put("orders", _paid_order())
    assert function.deliver(young).outcome == "synced"
    assert _amounts(sandbox) == {"payment-1:refund-1": 12.5}


def test_after_an_hour_a_refund_without_order_is_given_up(sandbox: Sandbox, function: Function) -> None:
    """It is ignored, with a reason that can be counted; an order that is there is found however old the message is."""
    sandbox.commercetools.put("payments", payment(transactions=[FIRST]))
    old = _added(FIRST, createdAt=_minutes_ago(61))
    answer = function.deliver(old)
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "no_order")
    assert sandbox.klaviyo.requests() == []
    sandbox.commercetools.put("orders", _paid_order())
    assert function.deliver(old).outcome == "synced"


def test_the_wait_is_configurable(serve: Serve, settings_file: Any) -> None:
    """`[payment] order_wait`, in seconds."""
    function = serve(SYNC_CONFIG=settings_file("[payment]\norder_wait = 120\n"))
    assert function.deliver(_added(FIRST, createdAt=_minutes_ago(1))).reason == "no_order_yet"
    assert function.deliver(_added(FIRST, createdAt=_minutes_ago(3))).reason == "no_order"
