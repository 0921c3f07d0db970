"""A saturated account: Klaviyo answers 429 for a minute while messages come at one a second. Time runs tenfold here."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import change, customer

MESSAGES = 60
INTERVAL = 0.1
SATURATED = 6.0
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""A tenth of what the subscription's retry policy says."""
LIMITS = "[limits]\nretry_after_max = 1.0\nmessage_seconds = 2.5\nbackoff = 0.02\nstale_after = 30\n"
"""A tenth of the defaults, but for the `Retry-After` that is waited for: those are whole seconds."""


@pytest.mark.parametrize("retry_after", ["1", "2"], ids=["waited for", "not waited for"])
def test_nothing_is_lost_and_few_requests_are_made(
    retry_after: str, sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """Every message is synced in the end, and Klaviyo is asked less than twice a message."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(MESSAGES)]
    sandbox.commercetools.put_all({"customers": customers})
    function = serve(SYNC_CONFIG=settings_file(LIMITS), THREADS="32")
    assert function.deliver(change("ResourceUpdated", "customer", "customer-0")).status == ACKNOWLEDGED
    sandbox.klaviyo.fail("profile-import", status=429, headers={"Retry-After": retry_after})
    started = time.monotonic()
    rng = random.Random(5)

    def publish(number: int) -> int:
        """Push a message until it is acknowledged, as Pub/Sub does; how often it was pushed."""
        time.sleep(max(0.0, started + number * INTERVAL - time.monotonic()))
        pushes = 1
        while _push(function, number) != ACKNOWLEDGED:
            backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (pushes - 1))
            time.sleep(backoff * rng.uniform(0.8, 1.2))
            pushes += 1
        return pushes

    with ThreadPoolExecutor(MESSAGES + 1) as pool:
        pushed = pool.map(publish, range(MESSAGES))
        time.sleep(SATURATED)
        sandbox.klaviyo.clear_failures()
        pushes = list(pushed)
    assert len(sandbox.klaviyo.state()["profiles"]) == MESSAGES
    asked = sandbox.klaviyo.requests()
    assert len(asked) < 2 * MESSAGES
    # Otherwise nothing was tried: most messages met the saturated account, and few of them asked it.
    assert sum(pushes) > 1.5 * MESSAGES
    assert 1 <= sum(entry["status"] == 429 for entry in asked) <= MESSAGES / 2


def _push(function: Function, number: int) -> int:
    return function.deliver(change("ResourceUpdated", "customer", f"customer-{number}")).status
