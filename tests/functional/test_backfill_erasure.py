"""A customer erased during a backfill stays erased, or is an error until the erasure succeeds."""

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
    """Three customers with one order each."""
    for number in range(3):
        customer_id = f"customer-{number}"
        sandbox.commercetools.put(
            "customers", customer(customer_id, addresses=[], createdAt="2024-01-01T00:00:00.000Z")
        )
        owner: dict[str, Any] = {"customerId": customer_id, "customerEmail": f"{customer_id}@example.com"}
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], **owner))
    return sandbox


def _has_profile(shop: Sandbox) -> bool:
    return ERASED in {one.get("external_id") for one in shop.klaviyo.state()["profiles"]}


def test_a_failed_erasure_is_retried_with_ids(shop: Sandbox, job: Job) -> None:
    """If a customer is deleted while their events are sent, and erasing the profile fails, `--ids` erases it later.

    It does so even after another failed attempt, and when the order has been deleted.
    """
    shop.klaviyo.fail("data-privacy", status=400)
    shop.klaviyo.fail("^/api/events", delay=1)
    with job.started(*ORDERS) as process:
        wait_until(lambda: _has_profile(shop))
        shop.commercetools.delete("customers", ERASED)
        assert "1 failed" in result_of(process).stop_reasons
    assert [(line["resource"], line["reason"]) for line in job.error_lines()] == [
        (f"customer/{ERASED}", "brought_back")
    ]
    assert _has_profile(shop)
    time.sleep(6)  # the profile must be older than the next attempt, in spite of clock differences
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert [line["resource"] for line in job.error_lines("backfill-errors.left.jsonl")] == [f"customer/{ERASED}"]
    assert _has_profile(shop)
    shop.klaviyo.clear_failures()
    shop.commercetools.delete("orders", "order-1")
    assert job.run("--ids", "backfill-errors.left.jsonl").code == 0
    assert not _has_profile(shop)


def test_a_failed_erasure_after_a_kill_is_an_error(shop: Sandbox, job: Job) -> None:
    """The run that resumes a killed one also reports a failed erasure, and `--ids` erases the profile."""
    shop.commercetools.fail(f"/customers/{ERASED}", skip=1, delay=120)
    with job.started(*ORDERS) as process:
        wait_until(lambda: _has_profile(shop))
        process.kill()
    shop.commercetools.clear_failures()
    shop.commercetools.delete("customers", ERASED)
    shop.klaviyo.fail("data-privacy", status=400)
    assert "1 failed" in job.run(*ORDERS).stop_reasons
    assert [line["resource"] for line in job.error_lines()] == [f"customer/{ERASED}"]
    assert _has_profile(shop)
    shop.klaviyo.clear_failures()
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert not _has_profile(shop)
    assert answered_calls(shop, "request_profile_deletion")
