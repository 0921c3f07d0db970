"""Orders that change during a backfill are sent at its end, after their messages.

Klaviyo keeps the first event of a unique id, and only the message's event starts flows.
"""

from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from jobs.selection import format_time
from tests.functional.conftest import Serve
from tests.functional.documents import customer, message, order, payment, reference, transaction
from tests.functional.job_runs import Job, result_of, wait_until

ORDERS = ("--only", "orders")
OWNER = {"customerId": "customer-1", "customerEmail": "customer-1@example.com"}


def _events(sandbox: Sandbox) -> dict[str, bool]:
    """True for each metric whose event is marked as a backfill's, so that it starts no flow."""
    return {event["metric"]: event["backfill"] for event in sandbox.klaviyo.state()["events"]}


def _postponed(job: Job, name: str) -> list[str]:
    """The ids that a pass has postponed to the end of the run, from the state file."""
    if not (job.folder / "backfill-state.json").exists():
        return []
    late: list[str] = job.state["passes"].get(name, {}).get("late", [])
    return late


def _in_an_hour() -> str:
    """A `lastModifiedAt` after the start of any run of the test."""
    return format_time(datetime.now(UTC) + timedelta(hours=1))


def test_a_changing_order_is_sent_at_the_end(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """The change's message starts its flow, even if the function handles it after the backfill has read the order."""
    function = serve(SYNC_CONFIG="")
    changed = format_time(datetime.now(UTC))
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    fields = {"orderState": "Complete", "createdAt": "2026-05-01T08:00:00.000Z", "lastModifiedAt": _in_an_hour()}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **OWNER, **fields))
    with job.started(*ORDERS) as process:
        wait_until(lambda: _postponed(job, "orders") == ["order-1"])
        sandbox.commercetools.patch("orders", "order-1", {"lastModifiedAt": changed})
        completed = message("OrderStateChanged", "order", "order-1", orderState="Complete") | {"createdAt": changed}
        assert function.deliver(completed).outcome == "synced"
        out, _ = process.communicate(timeout=90)
    assert process.returncode == 0, out
    assert _events(sandbox) == {"Placed Order": True, "Fulfilled Order": False}
    assert job.state["passes"]["orders"]["late"] == []


def test_an_untimed_refund_of_a_changing_payment(sandbox: Sandbox, job: Job) -> None:
    """A refund without a timestamp may be new, so it is sent at the end if its payment changes during the run."""
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    paid = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **OWNER, **paid))
    untimed = {name: value for name, value in transaction().items() if name != "timestamp"}
    changed = format_time(datetime.now(UTC))
    sandbox.commercetools.put("payments", payment("payment-1", [untimed], lastModifiedAt=_in_an_hour()))
    with job.started("--only", "refunds") as process:
        wait_until(lambda: _postponed(job, "refunds") == ["payment-1"])
        assert _events(sandbox) == {}
        sandbox.commercetools.patch("payments", "payment-1", {"lastModifiedAt": changed})
        done = result_of(process)
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert _events(sandbox) == {"Refunded Order": True}


@pytest.mark.timeout(240)
def test_an_order_that_keeps_changing_is_an_error(sandbox: Sandbox, job: Job) -> None:
    """An order that is still changing at the end goes into the errors file, so that `--ids` can send it later."""
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    times = {"createdAt": "2026-05-01T08:00:00.000Z", "lastModifiedAt": _in_an_hour()}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **OWNER, **times))
    with job.started(*ORDERS) as process:
        process.communicate(timeout=170)
    assert [(line["resource"], line["reason"]) for line in job.error_lines()] == [
        ("order/order-1", "changed_meanwhile")
    ]
    assert _events(sandbox) == {}
    settled = {**times, "lastModifiedAt": "2026-05-01T09:00:00.000Z"}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **OWNER, **settled))
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert _events(sandbox) == {"Placed Order": True}
