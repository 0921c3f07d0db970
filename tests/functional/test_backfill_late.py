"""Orders that change while a backfill is at it: their messages come first, as the first event of an id is the one."""

from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from jobs.selection import format_time
from tests.functional.conftest import Serve
from tests.functional.documents import customer, message, order, payment, reference, transaction
from tests.functional.job_runs import Job, wait_until

ORDERS = ("--only", "orders")
WHOSE = {"customerId": "customer-1", "customerEmail": "customer-1@example.com"}


def _events(sandbox: Sandbox) -> dict[str, bool]:
    """Whether each event starts no flow, by its metric."""
    return {event["metric"]: event["backfill"] for event in sandbox.klaviyo.state()["events"]}


def _late(job: Job) -> list[str]:
    """The orders that are left for the end, as the state file has it."""
    if not (job.folder / "backfill-state.json").exists():
        return []
    left: list[str] = job.state["passes"].get("orders", {}).get("late", [])
    return left


def test_what_changes_meanwhile_is_done_at_the_end(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """The message of the change starts its flow, although it is synced after the backfill has read the order."""
    function = serve(SYNC_CONFIG="")
    changed = format_time(datetime.now(UTC) + timedelta(seconds=5))  # after the run has begun
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    fields = {"orderState": "Complete", "createdAt": "2026-05-01T08:00:00.000Z", "lastModifiedAt": changed}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **fields))
    with job.started(*ORDERS) as process:
        wait_until(lambda: _late(job) == ["order-1"])
        told = message("OrderStateChanged", "order", "order-1", orderState="Complete") | {"createdAt": changed}
        assert function.deliver(told).outcome == "synced"
        out, _ = process.communicate(timeout=90)
    assert process.returncode == 0, out
    assert _events(sandbox) == {"Placed Order": True, "Fulfilled Order": False}
    assert job.state["passes"]["orders"]["late"] == []


def test_a_refund_of_a_payment_that_changes_meanwhile(sandbox: Sandbox, job: Job) -> None:
    """It may have no time of its own: then nobody can tell when it was made, and it is sent at the end."""
    soon = {"lastModifiedAt": format_time(datetime.now(UTC) + timedelta(seconds=5))}
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    paid = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **paid))
    untimed = {name: value for name, value in transaction().items() if name != "timestamp"}
    sandbox.commercetools.put("payments", payment("payment-1", [untimed], **soon))
    done = job.run("--only", "refunds")
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert _events(sandbox) == {"Refunded Order": True}


@pytest.mark.timeout(240)
def test_what_goes_on_changing_is_for_later(sandbox: Sandbox, job: Job) -> None:
    """It is named in the errors file, so that --ids does it when it has settled."""
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    soon = {
        "createdAt": "2026-05-01T08:00:00.000Z",
        "lastModifiedAt": format_time(datetime.now(UTC) + timedelta(hours=1)),
    }
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **soon))
    with job.started(*ORDERS) as process:
        process.communicate(timeout=170)
    assert [(line["resource"], line["reason"]) for line in job.error_lines()] == [
        ("order/order-1", "changed_meanwhile")
    ]
    assert _events(sandbox) == {}
    settled = {**soon, "lastModifiedAt": "2026-05-01T09:00:00.000Z"}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **settled))
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert _events(sandbox) == {"Placed Order": True}
