"""Whoever is erased while a backfill is at it stays erased, or is named as long as it can't be seen to."""

import time
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.documents import customer, order
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until

ERASED = "customer-1"
ORDERS = ("--only", "orders")


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """Three customers who ordered once."""
    for number in range(3):
        own = f"customer-{number}"
        sandbox.commercetools.put("customers", customer(own, addresses=[], createdAt="2024-01-01T00:00:00.000Z"))
        whose: dict[str, Any] = {"customerId": own, "customerEmail": f"{own}@example.com"}
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], **whose))
    return sandbox


def _is_known(shop: Sandbox) -> bool:
    return ERASED in {one.get("external_id") for one in shop.klaviyo.state()["profiles"]}


def test_an_erasure_that_fails_is_named_and_done_later(shop: Sandbox, job: Job) -> None:
    """The order's events have made the profile of somebody who is gone: the run says so, and --ids erases it.

    Also when that fails once more, and the order is gone by then.
    """
    shop.klaviyo.fail("data-privacy", status=400)
    shop.klaviyo.fail("^/api/events", delay=1)
    with job.started(*ORDERS) as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        shop.commercetools.delete("customers", ERASED)
        assert "1 failed" in result_of(process).stop_reasons
    assert [(line["resource"], line["reason"]) for line in job.error_lines()] == [
        (f"customer/{ERASED}", "brought_back")
    ]
    assert _is_known(shop)
    time.sleep(6)  # so that the profile is older than the next attempt, by any clock
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert [line["resource"] for line in job.error_lines("backfill-errors.left.jsonl")] == [f"customer/{ERASED}"]
    assert _is_known(shop)
    shop.klaviyo.clear_failures()
    shop.commercetools.delete("orders", "order-1")
    assert job.run("--ids", "backfill-errors.left.jsonl").code == 0
    assert not _is_known(shop)


def test_an_erasure_that_fails_after_a_kill(shop: Sandbox, job: Job) -> None:
    """So does the run that goes on after one that was killed."""
    shop.commercetools.fail(f"/customers/{ERASED}", skip=1, delay=120)
    with job.started(*ORDERS) as process:
        wait_until(lambda: _is_known(shop))
        process.kill()
    shop.commercetools.clear_failures()
    shop.commercetools.delete("customers", ERASED)
    shop.klaviyo.fail("data-privacy", status=400)
    assert "1 failed" in job.run(*ORDERS).stop_reasons
    assert [line["resource"] for line in job.error_lines()] == [f"customer/{ERASED}"]
    assert _is_known(shop)
    shop.klaviyo.clear_failures()
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert not _is_known(shop)
    assert answered_calls(shop, "request_profile_deletion")
