"""How many calls a failing message may cost, and how long it may wait.

All calls of a message share its retries, no call starts after one has failed for good, and a 429 pauses its operation.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from clients.pauses import Operation
from clients.retrying import current_budget, message_budget
from commands.processes import Sandbox
from core.errors import TryAgain, Unavailable
from handlers.services import Services
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import category, change, customer, entry, line_item, message, order, product, variant
from tests.functional.failure_cases import LIMITS, FakeTopic, Stopwatch, all_requests

pytestmark = pytest.mark.usefixtures("buyer")

PARALLEL = 8
RETRIES = 4


@pytest.fixture
def quick(serve: Serve, settings_file: Callable[[str], str]) -> Function:
    """A function with short backoffs and enough time per message."""
    return serve(SYNC_CONFIG=settings_file(LIMITS.replace("message_seconds = 2", "message_seconds = 20")))


def _placed(lines: int) -> dict[str, Any]:
    placed = order(lines=[line_item(number, f"product-{number}") for number in range(lines)])
    return message("OrderCreated", "order", "order-1", order=placed)


def _event_calls(sandbox: Sandbox) -> int:
    return sum(entry["operation"] == "create_event" for entry in sandbox.klaviyo.requests())


@pytest.mark.parametrize("status", [401, 503])
def test_a_failure_for_good_stops_further_writes(
    status: int, sandbox: Sandbox, dead_letters: FakeTopic, quick: Function
) -> None:
    """After the third event of an order with 50 line items fails for good, no event starts; those in flight finish."""
    sandbox.klaviyo.fail("^/api/events", status=status, skip=2)
    answer = quick.deliver(_placed(50))
    assert (answer.status, answer.outcome) == (REFUSED, "retried")
    assert dead_letters.published == []
    assert _event_calls(sandbox) <= 3 + PARALLEL + 1 + RETRIES
    assert answer.line["calls"]["klaviyo"] == _event_calls(sandbox)


def test_a_refused_event_does_not_stop_the_others(sandbox: Sandbox, dead_letters: FakeTopic, quick: Function) -> None:
    """If Klaviyo refuses the third event of an order with 50 line items, the other 50 are sent once each."""
    sandbox.klaviyo.fail("^/api/events", status=400, skip=2, count=1)
    answer = quick.deliver(_placed(50))
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "dead-lettered", "klaviyo_refused")
    assert len(dead_letters.published) == 1
    assert _event_calls(sandbox) == answer.line["calls"]["klaviyo"] == 51
    assert len(sandbox.klaviyo.state()["events"]) == 50


@pytest.mark.parametrize("skip", [0, 1], ids=["from the first event on", "after Placed Order"])
def test_all_calls_of_a_message_share_its_retries(
    skip: int, sandbox: Sandbox, dead_letters: FakeTopic, quick: Function
) -> None:
    """If Klaviyo answers 503 to all events of an order with 20 line items, they share the message's four retries."""
    sandbox.klaviyo.fail("^/api/events", status=503, skip=skip)
    answer = quick.deliver(_placed(20))
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "klaviyo_error")
    assert dead_letters.published == []
    assert _event_calls(sandbox) <= skip + PARALLEL + 1 + RETRIES


def test_a_product_whose_calls_often_fail(sandbox: Sandbox, quick: Function) -> None:
    """If a third of the calls for a product with 20 variants fails, each delivery stays within its limit of calls.

    Each redelivery continues where the last one stopped, so in the end no variant is missing.
    """
    variants = [variant(f"SKU-{number}", number) for number in range(1, 21)]
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("products", product("product-1", variants, categories=["women"]))
    healthy = 1 + 2 + 20 + 4  # the projection; the item and its list of variants; each variant; the missing category
    for backend in (sandbox.klaviyo, sandbox.commercetools):
        backend.seed(7)
        backend.fail("^/(api|shop)/", status=503, rate=0.33)
    for _ in range(40):
        before = len(all_requests(sandbox.klaviyo, sandbox.commercetools))
        answer = quick.deliver(message("ProductPublished", "product", "product-1"))
        assert len(all_requests(sandbox.klaviyo, sandbox.commercetools)) - before <= healthy + 10
        if answer.status == ACKNOWLEDGED:
            break
    assert answer.outcome == "synced"
    assert len(sandbox.klaviyo.state()["variants"]) == 20


def test_a_throttled_operation_is_paused(sandbox: Sandbox, quick: Function) -> None:
    """After a 429, its operation is not called until the pause is over. Other operations continue."""
    sandbox.commercetools.put_all(
        {"customers": [customer(f"customer-{number}", addresses=[]) for number in range(20)], "inventory": [entry()]}
    )
    sandbox.klaviyo.fail("profile-import", status=429, headers={"Retry-After": "8"}, count=1)
    first = quick.deliver(change("ResourceUpdated", "customer", "customer-0"))
    assert (first.status, first.outcome, first.reason) == (REFUSED, "retried", "throttled")
    watch = Stopwatch()
    with ThreadPoolExecutor(8) as pool:
        others = list(
            pool.map(
                lambda number: quick.deliver(change("ResourceUpdated", "customer", f"customer-{number}")), range(1, 20)
            )
        )
    assert {(other.outcome, other.reason) for other in others} == {("retried", "throttled")}
    assert watch.seconds < 6, "paused messages must go back to Pub/Sub immediately"
    assert quick.deliver(_placed(3)).outcome == "synced"
    assert quick.deliver(change("ResourceUpdated", "inventory-entry", "entry-1")).reason == "no_variant"
    calls = Counter(entry["operation"] for entry in sandbox.klaviyo.requests())
    assert calls["create_or_update_profile"] == 1


def test_a_short_retry_after_is_waited_for(sandbox: Sandbox, quick: Function) -> None:
    """A message waits for a `Retry-After` of one second, or for a date two seconds ahead, and no longer."""
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", status=429, headers={"Retry-After": "1"}, count=1)
    watch = Stopwatch()
    assert quick.deliver(change("ResourceUpdated", "customer", "customer-1")).outcome == "synced"
    assert 1 <= watch.seconds < 3
    sandbox.commercetools.put("customers", customer(version=2))
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    sandbox.klaviyo.fail("profile-import", status=429, headers={"Retry-After": soon}, count=1)
    watch = Stopwatch()
    assert quick.deliver(change("ResourceUpdated", "customer", "customer-1", version=2)).outcome == "synced"
    assert 0.5 <= watch.seconds < 4
    assert len(sandbox.klaviyo.requests()) == 4


def test_the_reason_comes_from_the_call_that_failed(quick: Function) -> None:
    """If a parallel write fails for good, the message's reason is that failure, not the write skipped because of it."""
    del quick  # only starts the services
    services: Services = sys.modules["main"].SERVICES
    both = threading.Barrier(2)
    skipped = threading.Event()

    def fail() -> None:
        both.wait(10)
        skipped.wait(10)
        raise Unavailable("klaviyo_error", status=503)

    def be_skipped() -> None:
        both.wait(10)
        current_budget().end()
        try:
            current_budget().admit(Operation("klaviyo", "create_event"))
        finally:
            threading.Timer(0.1, skipped.set).start()

    with message_budget(services.settings.sync.limits), pytest.raises(TryAgain) as raised:
        services.in_parallel([("first", fail), ("second", be_skipped)])
    assert raised.value.reason == "klaviyo_error"
