"""Lost Placed Order events are counted by day, and resent as history together with their Ordered Products."""

from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from jobs.outcome import DRIFT
from tests.functional.conftest import ManagePy, Serve
from tests.functional.documents import Json, customer, line_item, order, reference
from tests.functional.job_runs import Job, answered_calls
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.synced_shop import reconcile_config, reconcile_job, writes

EVENTS = ("--only", "events")
A_DAY, DAYS = 6, 4


def _ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _day(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def _noon(days: int) -> str:
    return f"{_day(days)}T12:00:00.000Z"


def _created(document: Json) -> Json:
    """The OrderCreated message of an order."""
    message = {"resource": reference("order", document["id"]), "projectKey": "shop", "version": 1, "resourceVersion": 1}
    return {**message, "notificationType": "Message", "type": "OrderCreated", "createdAt": document["createdAt"],
            "order": document}  # fmt: skip


@pytest.fixture
def shop(sandbox: Sandbox, serve: Serve) -> Sandbox:
    """Four days of orders by a customer and by guests, in sync with Klaviyo. One order a day was imported later."""
    long_ago = {"createdAt": _ago(400), "lastModifiedAt": _ago(400)}
    sandbox.commercetools.put("customers", customer(**long_ago))
    function = serve(SYNC_CONFIG="")
    for days in range(1, DAYS + 1):
        for number in range(A_DAY):
            own_id = f"order-{days}-{number}"
            fields: Json = {"createdAt": _noon(days), "lastModifiedAt": _noon(days)}
            fields |= {"customerId": None, "customerEmail": f"guest-{own_id}@example.com"} if number % 2 else {}
            if number == 0:
                fields |= {"createdAt": _ago(0.5), "completedAt": _noon(days)}
            document = order(own_id, lines=[line_item(1, id=f"{own_id}-line")], **fields)
            sandbox.commercetools.put("orders", document)
            assert function.deliver(_created(document)).status == 204
    return sandbox


def test_lost_events_are_counted_by_day_and_resent(shop: Sandbox, job: Job) -> None:
    """They are sent as history, which starts no flow. Existing events stay, and other days are not resent."""
    whole = klaviyo_records(shop)["events"]
    assert len(whole) == 2 * A_DAY * DAYS
    shop.klaviyo.drop_events("Placed Order", day=_day(2), most=3)
    shop.klaviyo.drop_events("Placed Order", day=_day(4), most=1)
    shop.klaviyo.drop_events("Ordered Product", day=_day(2))
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}

    shop.klaviyo.forget_requests()
    found = compare.run(*EVENTS, **environment).report["kinds"]["events"]
    assert (found["missing"], found["same"]) == (4, A_DAY * DAYS - 4)
    assert found["ids"]["missing"] == [f"{_day(4)}: 1", f"{_day(2)}: 3"]
    assert writes(shop) == []

    fixed = compare.run(*EVENTS, "--fix", **environment)
    assert (fixed.report["kinds"]["events"]["mended"], compare.error_lines()) == (4, [])
    back = klaviyo_records(shop)["events"]
    assert back.keys() == whole.keys()
    sent = [call["body"]["data"]["attributes"] for call in answered_calls(shop, "create_event")]
    assert {one["backfill"] for one in sent} == {True}
    assert {one["time"][:10] for one in sent} == {_day(2), _day(4)}
    assert {one["metric"]["data"]["attributes"]["name"] for one in sent} == {"Placed Order", "Ordered Product"}
    again = compare.run(*EVENTS, **environment).report
    assert (again["drift"], again["kinds"]["events"]["same"]) == (0, A_DAY * DAYS)


def test_surplus_events_and_metrics_of_other_integrations_are_not_drift(shop: Sandbox, job: Job) -> None:
    """The event of a deleted order is surplus. Another integration's metric of the same name is not counted."""
    shop.klaviyo.put_metric("Placed Order", integration="Shopify", key="shopify")
    shop.commercetools.delete("orders", "order-3-1")
    done = reconcile_job(job).run(*EVENTS, SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.report["drift"], done.report["kinds"]["events"]["missing"]) == (0, 0)


def test_a_day_with_a_reassigned_order_is_resent_only_on_request(shop: Sandbox, job: Job, manage_py: ManagePy) -> None:
    """A guest's order that belongs to a customer now may get a second Placed Order: only `--only events` resends it."""
    changed = {"customerId": "customer-1", "customerEmail": "old@example.com"}
    shop.commercetools.patch("orders", "order-3-1", changed)
    shop.klaviyo.drop_events("Placed Order", day=_day(3), most=2)
    shop.klaviyo.forget_requests()
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    left = compare.run("--fix", "--only", "events", "--only", "profiles", **environment)
    assert left.report["kinds"]["events"]["missing"] == 2
    assert answered_calls(shop, "create_event") == []
    assert "were skipped" in left.stop_reasons
    state = str(job.folder / "another-state.json")
    assert manage_py("reconcile", "--only", "events", RECONCILE_STATE=state, **environment).exit_code == DRIFT
    fixed = compare.run("--fix", *EVENTS, **environment)
    assert fixed.report["kinds"]["events"]["mended"] == 2
    assert len(answered_calls(shop, "create_event")) == 2 * A_DAY


def test_missing_events_are_counted_a_second_time(shop: Sandbox, job: Job) -> None:
    """Klaviyo counts an event some time after it accepts it."""
    empty = {"dates": [], "data": [{"dimensions": [], "measurements": {"count": []}}]}
    data = {"type": "metric-aggregate", "id": "1", "attributes": empty}
    shop.klaviyo.fail("^/api/metric-aggregates", status=200, count=1, body={"data": data, "links": {}})
    done = reconcile_job(job).run(*EVENTS, SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.report["drift"], shop.klaviyo.failures()[0]["hits"]) == (0, 1)


def test_orders_without_an_event_are_not_expected(shop: Sandbox, job: Job) -> None:
    """An order of the last hour, one of a deleted customer, and one with neither customer nor e-mail."""
    for own_id, fields in (
        ("just-now", {"createdAt": _ago(0.5 / 24)}),
        ("gone", {"createdAt": _noon(2), "customerId": "customer-9"}),
        ("nobody", {"createdAt": _noon(2), "customerId": None, "customerEmail": None}),
    ):
        shop.commercetools.put("orders", order(own_id, lines=[], **fields))
    done = reconcile_job(job).run(*EVENTS, SYNC_CONFIG=reconcile_config(job.folder))
    assert (done.report["drift"], done.report["kinds"]["events"]["same"]) == (0, A_DAY * DAYS)


def test_an_order_older_than_its_customer_counts_as_reassigned(shop: Sandbox, job: Job) -> None:
    """Even if the e-mails are equal, the guest's event may be on another profile, so the day is skipped."""
    document = shop.commercetools.document("customers", "customer-1")
    shop.commercetools.put("customers", {**document, "createdAt": _ago(0.1)})
    shop.klaviyo.drop_events("Placed Order", day=_day(3), most=1)
    shop.klaviyo.forget_requests()
    done = reconcile_job(job).run(
        "--fix", "--only", "events", "--only", "items", SYNC_CONFIG=reconcile_config(job.folder)
    )
    assert (done.report["kinds"]["events"]["missing"], answered_calls(shop, "create_event")) == (1, [])


def test_a_day_that_was_resent_in_part_is_not_fixed(shop: Sandbox, job: Job) -> None:
    """The order that Klaviyo refused is in the errors file."""
    shop.klaviyo.drop_events("Placed Order", day=_day(3), most=2)
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}
    shop.klaviyo.fail("^/api/events", method="POST", status=400, count=1, body=refused)
    compare = reconcile_job(job)
    done = compare.run("--fix", *EVENTS, SYNC_CONFIG=reconcile_config(job.folder))
    assert done.report["kinds"]["events"]["mended"] == 0
    assert [line["pass"] for line in compare.error_lines()] == ["orders"]


def test_a_missing_metrics_scope_stops_the_run(shop: Sandbox, job: Job) -> None:
    """Exit code 77, and a message about scopes."""
    scopes = ["catalogs:read", "profiles:read", "events:write"]
    shop.klaviyo.keys(scopes=scopes)
    done = reconcile_job(job).run(*EVENTS, SYNC_CONFIG=reconcile_config(job.folder))
    assert done.code == 77
    assert "scopes" in done.stop_reasons
