"""Orders that change while a backfill is at it: their messages come first, as the first event of an id is the one."""

from datetime import UTC, datetime, timedelta

import pytest

from commands.running import Sandbox
from jobs.selection import written
from tests.functional.backfilling import Job
from tests.functional.conftest import Serve
from tests.functional.documents import customer, message, order

ORDERS = ("--only", "orders")
WHOSE = {"customerId": "customer-1", "customerEmail": "customer-1@example.com"}


def _events(sandbox: Sandbox) -> dict[str, bool]:
    """Whether each event starts no flow, by its metric."""
    return {event["metric"]: event["backfill"] for event in sandbox.klaviyo.state()["events"]}


def test_what_changes_meanwhile_is_done_at_the_end(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """The message of the change starts its flow, although it is synced after the backfill has read the order."""
    function = serve(SYNC_CONFIG="")
    now = datetime.now(UTC)
    changed = written(now - timedelta(minutes=5))
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    fields = {"orderState": "Complete", "createdAt": "2026-05-01T08:00:00.000Z", "lastModifiedAt": changed}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **fields))
    with job.started(*ORDERS, "--until", written(now - timedelta(minutes=10))) as process:
        told = message("OrderStateChanged", "order", "order-1", orderState="Complete") | {"createdAt": changed}
        assert function.deliver(told).outcome == "synced"
        out, _ = process.communicate(timeout=90)
    assert process.returncode == 0, out
    assert _events(sandbox) == {"Placed Order": True, "Fulfilled Order": False}
    assert job.state["passes"]["orders"]["late"] == []


@pytest.mark.timeout(240)
def test_what_goes_on_changing_is_for_later(sandbox: Sandbox, job: Job) -> None:
    """It is named in the errors file, so that --ids does it when it has settled."""
    sandbox.commercetools.put("customers", customer("customer-1", addresses=[]))
    soon = {"createdAt": "2026-05-01T08:00:00.000Z", "lastModifiedAt": written(datetime.now(UTC) + timedelta(hours=1))}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **soon))
    with job.started(*ORDERS) as process:
        process.communicate(timeout=170)
    assert [(line["resource"], line["reason"]) for line in job.failed()] == [("order/order-1", "changed_meanwhile")]
    assert _events(sandbox) == {}
    settled = {**soon, "lastModifiedAt": "2026-05-01T09:00:00.000Z"}
    sandbox.commercetools.put("orders", order("order-1", lines=[], **WHOSE, **settled))
    assert job.run("--ids", "backfill-errors.jsonl").code == 0
    assert _events(sandbox) == {"Placed Order": True}
