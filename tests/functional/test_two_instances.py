"""Two instances write the same customer concurrently, with the default settings: the newest state wins."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Serve
from tests.functional.documents import change, customer
from tests.functional.races import PATIENCE, push

UPSERT = "create_or_update_profile"


def _upserts(sandbox: Sandbox) -> int:
    return sum(call["operation"] == UPSERT for call in sandbox.klaviyo.requests())


def _first_name(sandbox: Sandbox) -> str:
    return str(sandbox.klaviyo.state()["profiles"][0]["first_name"])


@contextmanager
def _in_flight(sandbox: Sandbox, deliver: Callable[[], int]) -> Iterator["Future[int]"]:
    """Deliver a message in a thread. Inside the block its write to Klaviyo is in flight."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(deliver)
        end = time.monotonic() + PATIENCE
        while not _upserts(sandbox):
            assert time.monotonic() < end, "no upsert was sent"
            time.sleep(0.002)
        yield answer


def _update(version: int) -> dict[str, object]:
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def test_an_older_write_that_ends_last(sandbox: Sandbox, serve: Serve) -> None:
    """An older write that ends after another instance's newer one is corrected by the check after it."""
    first, second = serve(), serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", delay=0.15, late=True, count=1)
    with _in_flight(sandbox, partial(push, first, _update(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
        assert push(second, _update(2)) == ACKNOWLEDGED
    assert slow.result() == ACKNOWLEDGED
    assert _first_name(sandbox) == "Newer"
    assert _upserts(sandbox) == 3


def test_an_older_write_whose_check_fails(sandbox: Sandbox, serve: Serve) -> None:
    """If the check after an older write fails, the redelivered message corrects it, even on the other instance.

    The other instance has just copied a newer version, but before the older write ended. So it must not skip the
    message as already covered.
    """
    first, second = serve(), serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", delay=1.5, late=True, count=1)
    with _in_flight(sandbox, partial(push, first, _update(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
        assert push(second, _update(2)) == ACKNOWLEDGED
        sandbox.commercetools.fail("^/shop/customers/", status=503)
    assert slow.result() == REFUSED
    assert _first_name(sandbox) == "Older"
    sandbox.commercetools.clear_failures()
    assert push(second, _update(1), deliveryAttempt=2) == ACKNOWLEDGED
    assert _first_name(sandbox) == "Newer"


def test_a_refused_write_of_an_outdated_state(sandbox: Sandbox, serve: Serve) -> None:
    """If Klaviyo refuses a write and the customer has changed since, the new state is written: no dead letter."""
    function = serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", status=400, delay=0.5, count=1)
    with _in_flight(sandbox, partial(push, function, _update(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
    assert slow.result() == ACKNOWLEDGED
    assert _first_name(sandbox) == "Newer"
