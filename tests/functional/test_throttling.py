"""A saturated account: Klaviyo answers 429 for a minute while one message arrives per second.

The test runs ten times faster than that.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import change, customer

MESSAGES = 60
INTERVAL_SECONDS = 0.1
SATURATED_SECONDS = 6.0
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""Seconds: a tenth of the subscription's retry policy."""
LIMITS = "[limits]\nretry_after_max = 1.0\nmessage_seconds = 2.5\nbackoff = 0.02\nstale_after = 30\n"
"""`message_seconds` and `backoff` are a tenth of the defaults. `retry_after_max` is not: Retry-After has whole seconds.

A high `stale_after` avoids the second read.
"""


@pytest.mark.parametrize("retry_after", ["1", "2"], ids=["waited for", "not waited for"])
def test_every_message_is_synced_with_few_requests(
    retry_after: str, sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """Every message is synced in the end, with fewer than two Klaviyo requests per message."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(MESSAGES)]
    sandbox.commercetools.put_all({"customers": customers})
    function = serve(SYNC_CONFIG=settings_file(LIMITS), THREADS="32")
    assert function.deliver(change("ResourceUpdated", "customer", "customer-0")).status == ACKNOWLEDGED
    sandbox.klaviyo.fail("profile-import", status=429, headers={"Retry-After": retry_after})
    started = time.monotonic()
    rng = random.Random(5)

    def publish(number: int) -> int:
        """Push a message until it is acknowledged, as Pub/Sub does. Return the number of pushes."""
        time.sleep(max(0.0, started + number * INTERVAL_SECONDS - time.monotonic()))
        pushes = 1
        while _push(function, number) != ACKNOWLEDGED:
            backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (pushes - 1))
            time.sleep(backoff * rng.uniform(0.8, 1.2))
            pushes += 1
        return pushes

    with ThreadPoolExecutor(MESSAGES + 1) as pool:
        results = pool.map(publish, range(MESSAGES))
        time.sleep(SATURATED_SECONDS)
        sandbox.klaviyo.clear_failures()
        pushes = list(results)
    assert len(sandbox.klaviyo.state()["profiles"]) == MESSAGES
    requests = sandbox.klaviyo.requests()
    assert len(requests) < 2 * MESSAGES
    # The account was saturated long enough: many messages were pushed again, but few of them called it.
    assert sum(pushes) > 1.5 * MESSAGES
    assert 1 <= sum(entry["status"] == 429 for entry in requests) <= MESSAGES / 2


def _push(function: Function, number: int) -> int:
    return function.deliver(change("ResourceUpdated", "customer", f"customer-{number}")).status
