"""A burst of messages about one resource costs a few writes, and each message still has its effect."""

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.processes import Sandbox, running_function
from sandbox.samples import ENVIRONMENT
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import change, customer, message, product
from tests.functional.races import PATIENCE, push
from tests.functional.redelivery import Subscription

UPSERT = "create_or_update_profile"
UPDATES = 50
THREADS = 8


def _customer_updated(version: int | None) -> dict[str, Any]:
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def _deliver_concurrently(function: Function, deliveries: Sequence[Mapping[str, Any]]) -> list[int]:
    with ThreadPoolExecutor(len(deliveries)) as pool:
        return list(pool.map(lambda delivery: push(function, delivery), deliveries))


def _count(sandbox: Sandbox, operation: str) -> int:
    requests = [*sandbox.klaviyo.requests(), *sandbox.commercetools.requests()]
    return sum(call["operation"] == operation for call in requests)


def test_fifty_updates_of_one_customer(sandbox: Sandbox) -> None:
    """On 8 threads they cost at most 8 profile writes. All are acknowledged, and the last state is in Klaviyo."""
    sandbox.commercetools.put_all({"customers": [customer(), customer("customer-2")]})
    with running_function({**sandbox.environment, **ENVIRONMENT}, threads=THREADS) as process:
        subscription = Subscription([process.url], random.Random(0))
        with subscription.pushing(UPDATES):
            subscription.publish(change("ResourceUpdated", "customer", "customer-2"))
            assert subscription.drained(PATIENCE), "the first message, which waits for imports, was not acknowledged"
            sandbox.klaviyo.forget_requests()
            sandbox.klaviyo.fail("profile-import", delay=0.05)
            for number in range(UPDATES):
                updated = sandbox.commercetools.patch("customers", "customer-1", {"firstName": f"N{number}"})
                subscription.publish(_customer_updated(updated["version"]))
            assert subscription.drained(PATIENCE)
    assert _count(sandbox, UPSERT) <= 8
    profiles = {one["external_id"]: one for one in sandbox.klaviyo.state()["profiles"]}
    assert profiles["customer-1"]["first_name"] == f"N{UPDATES - 1}"


def test_a_late_message_about_a_copied_version(sandbox: Sandbox, function: Function) -> None:
    """A version copied and confirmed a moment ago costs no call; a newer one is copied."""
    sandbox.commercetools.put("customers", customer(version=4))
    assert function.deliver(_customer_updated(3)).outcome == "synced"
    late = function.deliver(_customer_updated(4))
    assert (late.outcome, late.line.get("calls")) == ("synced", {})
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=5))
    assert function.deliver(_customer_updated(5)).outcome == "synced"
    assert _count(sandbox, UPSERT) == 2
    assert sandbox.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


@pytest.mark.parametrize("redelivery", [{"deliveryAttempt": 2}, {}], ids=["delivered again", "without version"])
def test_messages_that_are_copied_again(sandbox: Sandbox, function: Function, redelivery: dict[str, int]) -> None:
    """A redelivered message, and a later one without a version, are not covered by the earlier copy."""
    sandbox.commercetools.put("customers", customer())
    assert function.deliver(_customer_updated(1)).outcome == "synced"
    assert function.deliver(_customer_updated(1 if redelivery else None), **redelivery).outcome == "synced"
    assert _count(sandbox, UPSERT) == 2


def test_a_lagging_read_covers_no_newer_version(sandbox: Sandbox, function: Function) -> None:
    """A copy of version 1 does not cover waiting messages about version 2, though it began after they arrived."""
    sandbox.commercetools.put("customers", customer(firstName="Newer", version=2))
    older = customer(firstName="Older", version=1)
    sandbox.commercetools.fail("^/shop/customers/", status=200, body=older, delay=0.3, count=4)
    statuses = _deliver_concurrently(function, [_customer_updated(None), *[_customer_updated(2)] * 5])
    assert statuses.count(REFUSED) >= 1
    sandbox.commercetools.clear_failures()
    assert set(_deliver_concurrently(function, [_customer_updated(2)] * statuses.count(REFUSED))) == {ACKNOWLEDGED}
    assert sandbox.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


def test_after_a_failure_the_next_message_copies(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """If the copy for one of eight concurrent messages fails, the next message copies: only one message is retried."""
    function = serve(SYNC_CONFIG=settings_file("[limits]\nbackoff = 0.01\n"))
    sandbox.commercetools.put("customers", customer())
    assert push(function, _customer_updated(1)) == ACKNOWLEDGED
    sandbox.klaviyo.forget_requests()
    sandbox.klaviyo.fail("profile-import", delay=0.4, count=1)
    sandbox.klaviyo.fail("profile-import", status=503, count=3)
    statuses = _deliver_concurrently(function, [_customer_updated(None)] * 8)
    assert sorted(statuses) == [ACKNOWLEDGED] * 7 + [REFUSED]
    written = [call["status"] < 300 for call in sandbox.klaviyo.requests() if call["operation"] == UPSERT]
    assert written[:5] == [True, False, False, False, True]
    assert len(written) < 1 + 3 + 4


def test_an_ignored_copy_is_shared(sandbox: Sandbox, function: Function) -> None:
    """Eight concurrent messages about a customer without e-mail cost a few reads, and all are ignored."""
    sandbox.commercetools.put("customers", customer(email=""))
    sandbox.commercetools.fail("^/shop/customers/", delay=0.3)
    assert set(_deliver_concurrently(function, [_customer_updated(1)] * 8)) == {ACKNOWLEDGED}
    assert _count(sandbox, "customers.get") < 4
    reasons = [line["reason"] for line in function.lines() if "outcome" in line]
    assert reasons == ["no_email"] * 8


REMOVALS = {
    "erase": (change("ResourceDeleted", "customer", "customer-1", dataErasure=True), "get_profiles", ""),
    "delete": (message("ProductDeleted", "product", "product-1"), "delete_catalog_item", ""),
    "hide": (
        message("ProductUnpublished", "product", "product-1"),
        "update_catalog_item",
        '[product]\nunpublished = "hide"\n',
    ),
}


@pytest.mark.parametrize(("delivery", "operation", "rules"), REMOVALS.values(), ids=REMOVALS)
def test_a_removal_is_never_shared(
    sandbox: Sandbox,
    serve: Serve,
    settings_file: Callable[[str], str],
    delivery: Mapping[str, Any],
    operation: str,
    rules: str,
) -> None:
    """Each of four concurrent removals checks and acts by itself."""
    sandbox.commercetools.put("products", product())
    function = serve(SYNC_CONFIG=settings_file(rules))
    assert push(function, message("ProductPublished", "product", "product-1")) == ACKNOWLEDGED
    sandbox.commercetools.delete("products", "product-1")
    sandbox.klaviyo.forget_requests()
    assert set(_deliver_concurrently(function, [delivery] * 4)) == {ACKNOWLEDGED}
    assert _count(sandbox, operation) == 4
