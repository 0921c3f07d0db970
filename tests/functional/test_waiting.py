"""How long a message waits for locks and for quota. A waiting thread is not available to other messages."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.processes import Sandbox, running_function
from sandbox.samples import ENVIRONMENT
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import change, customer, line_item, message, order
from tests.functional.failure_cases import Stopwatch
from tests.functional.races import push

CUSTOMERS = 60
THREADS = 8
SHARE = {"KLAVIYO_LIMIT_SHARE": "0.2"}


def _put_customers(sandbox: Sandbox, count: int) -> None:
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(count)]
    sandbox.commercetools.put_all({"customers": customers})


def _update(number: int) -> dict[str, Any]:
    return change("ResourceUpdated", "customer", f"customer-{number}")


def _order_created(lines: int, order_id: str = "order-1") -> dict[str, Any]:
    document = order(
        order_id,
        lines=[line_item(number, f"product-{number % 5}") for number in range(lines)],
        customerId="customer-0",
        customerEmail="customer-0@example.com",
    )
    return message("OrderCreated", "order", order_id, order=document)


@pytest.mark.parametrize("scale", [1.0, 0.2], ids=["a share of the limits", "low limits"])
def test_an_order_does_not_wait_for_customers(sandbox: Sandbox, scale: float) -> None:
    """With 60 concurrent customers on 8 threads, an order that arrives with them is acknowledged within 3 seconds."""
    _put_customers(sandbox, CUSTOMERS)
    environment = {**sandbox.environment, **ENVIRONMENT, **(SHARE if scale == 1 else {})}
    with running_function(environment, threads=THREADS) as process:
        function = Function(process.url, None)  # type: ignore[arg-type] # the log stays in its process
        assert push(function, _order_created(1, "order-0")) == push(function, _update(0)) == ACKNOWLEDGED
        sandbox.klaviyo.limits(scale=scale)
        with ThreadPoolExecutor(CUSTOMERS + 1) as pool:
            answers = [pool.submit(push, function, _update(number)) for number in range(CUSTOMERS)]
            watch = Stopwatch()
            assert push(function, _order_created(3)) == ACKNOWLEDGED
            assert watch.seconds < 3
            statuses = [answer.result() for answer in answers]
    assert set(statuses) <= {ACKNOWLEDGED, REFUSED}
    assert statuses.count(ACKNOWLEDGED) > 15, "too few customers were synced: half of the threads may wait"
    assert REFUSED in statuses, "the limits are too wide for this test"
    # On a busy machine, requests may arrive closer together than their slots.
    assert sum(call["status"] == 429 for call in sandbox.klaviyo.requests()) <= 3


def test_a_message_waits_two_seconds_for_a_lock(sandbox: Sandbox, function: Function) -> None:
    """After waiting two seconds for the lock of its customer, a message goes back to Pub/Sub."""
    _put_customers(sandbox, 1)
    assert function.deliver(_update(0)).outcome == "synced"
    sandbox.klaviyo.fail("profile-import", delay=4, count=1)
    unversioned = {**_update(0), "version": None}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, function, unversioned)
        while not sandbox.klaviyo.failures()[0]["hits"]:
            time.sleep(0.01)
        watch = Stopwatch()
        answer = function.deliver(unversioned)
        assert 1.9 < watch.seconds < 3.5
        assert (answer.status, answer.reason) == (REFUSED, "resource_busy")
        assert first.result() == ACKNOWLEDGED


def test_a_message_does_not_wait_for_a_distant_slot(sandbox: Sandbox, function: Function) -> None:
    """Once the minute's quota is used up, messages go back at once, without a request. Other operations continue."""
    _put_customers(sandbox, 2)
    sandbox.klaviyo.limits(scale=0.001)
    assert function.deliver(_update(0)).outcome == "synced"
    sandbox.klaviyo.forget_requests()
    watch = Stopwatch()
    answer = function.deliver(_update(1))
    assert watch.seconds < 1
    assert (answer.status, answer.reason) == (REFUSED, "throttled")
    assert sandbox.klaviyo.requests() == []
    assert function.deliver(_order_created(0)).outcome == "synced"


def test_messages_wait_two_seconds_for_a_slot(sandbox: Sandbox, serve: Serve) -> None:
    """With one slot every two seconds, messages with a near slot wait for it, and the others go back to Pub/Sub."""
    _put_customers(sandbox, 10)
    function = serve(THREADS="32")
    sandbox.klaviyo.limits(scale=0.04)
    assert function.deliver(_update(0)).outcome == "synced"
    watch = Stopwatch()
    with ThreadPoolExecutor(9) as pool:
        statuses = list(pool.map(lambda number: push(function, _update(number)), range(1, 10)))
    assert watch.seconds < 3.5
    assert {ACKNOWLEDGED, REFUSED} == set(statuses)


def test_a_message_that_has_begun_to_write_waits_longer(sandbox: Sandbox, function: Function) -> None:
    """A message that has sent some events waits over two seconds for the others: a retry would send all again."""
    _put_customers(sandbox, 1)
    sandbox.klaviyo.limits(scale=0.02)
    watch = Stopwatch()
    assert function.deliver(_order_created(12)).outcome == "synced"
    assert watch.seconds > 2.5
    assert len(sandbox.klaviyo.state()["events"]) == 13


@pytest.mark.timeout(60)
def test_a_large_order_at_a_fifth_of_the_limits(sandbox: Sandbox, serve: Serve) -> None:
    """An order with 250 lines is sent in one attempt, within its deadline, and Klaviyo throttles no request."""
    _put_customers(sandbox, 1)
    function = serve(**SHARE)
    sandbox.klaviyo.limits()
    answer = function.deliver(_order_created(250))
    assert (answer.status, answer.outcome) == (ACKNOWLEDGED, "synced")
    assert len(sandbox.klaviyo.state()["events"]) == 251
    assert [call for call in sandbox.klaviyo.requests() if call["status"] == 429] == []
