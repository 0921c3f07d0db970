"""Two instances that write one customer at the same time, with the shipped defaults: the newest state stands."""

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


def _name(sandbox: Sandbox) -> str:
    return str(sandbox.klaviyo.state()["profiles"][0]["first_name"])


@contextmanager
def _under_way(sandbox: Sandbox, deliver: Callable[[], int]) -> Iterator["Future[int]"]:
    """Deliver; inside, the message's write is on its way to Klaviyo."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(deliver)
        end = time.monotonic() + PATIENCE
        while not _upserts(sandbox):
            assert time.monotonic() < end, "nothing was written"
            time.sleep(0.002)
        yield answer


def _about(version: int) -> dict[str, object]:
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def test_an_older_write_that_ends_last(sandbox: Sandbox, serve: Serve) -> None:
    """One's write is on the way for 150 ms and ends after the other's newer one: it looks again and mends it."""
    one, other = serve(), serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", delay=0.15, late=True, count=1)
    with _under_way(sandbox, partial(push, one, _about(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
        assert push(other, _about(2)) == ACKNOWLEDGED
    assert slow.result() == ACKNOWLEDGED
    assert _name(sandbox) == "Newer"
    assert _upserts(sandbox) == 3


def test_an_older_write_whose_look_fails(sandbox: Sandbox, serve: Serve) -> None:
    """One's older write ends last, and its look fails: that message is delivered again, to the other.

    The other has copied a newer version a moment ago, but before that write: it does not take the message for done.
    """
    one, other = serve(), serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", delay=1.5, late=True, count=1)
    with _under_way(sandbox, partial(push, one, _about(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
        assert push(other, _about(2)) == ACKNOWLEDGED
        sandbox.commercetools.fail("^/shop/customers/", status=503)
    assert slow.result() == REFUSED
    assert _name(sandbox) == "Older"
    sandbox.commercetools.clear_failures()
    assert push(other, _about(1), deliveryAttempt=2) == ACKNOWLEDGED
    assert _name(sandbox) == "Newer"


def test_a_refused_write_is_looked_at_again(sandbox: Sandbox, serve: Serve) -> None:
    """Klaviyo refuses what moved on meanwhile: what the shop has now is written, and the message no dead letter."""
    function = serve()
    sandbox.commercetools.put("customers", customer(firstName="Older"))
    sandbox.klaviyo.fail("profile-import", status=400, delay=0.5, count=1)
    with _under_way(sandbox, partial(push, function, _about(1))) as slow:
        sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
    assert slow.result() == ACKNOWLEDGED
    assert _name(sandbox) == "Newer"
