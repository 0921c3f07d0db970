"""A backfill writes what live messages would have written, and starts no flows for old orders."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from jobs.selection import format_time
from sandbox.documents import now
from tests.functional.conftest import ManagePy, Serve
from tests.functional.documents import (
    Json,
    category,
    customer,
    line_item,
    message,
    money,
    order,
    payment,
    product,
    recent,
    reference,
    transaction,
)
from tests.functional.expected_state import catalog_problems
from tests.functional.job_runs import Job, answered_calls
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.random_shop import RandomShop

NOT_COMPARED = {"version", "lastModifiedAt", "orderState", "TimeEstimated"}
"""Event properties that a backfill takes from the order's current state, and the flag of an estimated time."""
ESTIMATED = ("Fulfilled Order", "Cancelled Order")
"""Metrics whose time a backfill estimates."""
REFUNDED: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}


def _comparable_event(event: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """An event without the fields in which a backfill's events differ from live ones."""
    properties = {name: value for name, value in event["properties"].items() if name not in NOT_COMPARED}
    hidden = {"backfill", *(["time"] if metric in ESTIMATED else [])}
    return {name: value for name, value in event.items() if name not in hidden} | {"properties": properties}


def _without_old_prices(live: Mapping[str, Any], backfilled: Mapping[str, Any]) -> dict[str, Any]:
    """Live records, but without a price where the backfill wrote none: a live update leaves the last price in place.

    `catalog_problems` checks that the backfill only omits prices the shop does not have.
    """
    found = {}
    for key, record in live.items():
        counterpart = backfilled.get(key, {})
        price = {name: value for name, value in counterpart.items() if name == "price"}
        others = {name: value for name, value in record.items() if name != "price"}
        found[key] = record if counterpart.get("price") else {**others, **price}
    return found


@pytest.mark.timeout(180)
def test_a_backfill_writes_what_live_messages_write(
    sandbox: Sandbox, job: Job, serve: Serve, settings: Settings
) -> None:
    """A backfilled random shop equals the one synced by messages, except that guests' profiles only have the e-mail."""
    seed = random.randrange(2**32)
    shop = RandomShop(random.Random(seed), sandbox.commercetools)
    function = serve(SYNC_CONFIG="")
    orders = []
    opening: Callable[[], list[Json]] = partial(shop.open, 6)
    for change in [
        opening,
        *[shop.place_order, shop.place_order, shop.move_order, shop.refund] * 5,
        *[shop.change] * 60,
    ]:
        for delivery in change():
            if delivery["resource"]["typeId"] in ("order", "payment"):
                orders.append(delivery)
            else:
                function.deliver(delivery)
    # Delivered last, so that events see the current catalog, as a backfill does.
    for delivery in orders:
        function.deliver(delivery)
    live = klaviyo_records(sandbox)
    assert live["count"] == len(shop.events) > 20

    sandbox.klaviyo.reset()
    done = job.run("--page", "7")
    backfilled = klaviyo_records(sandbox)

    assert done.code == 0, f"seed {seed}: {done.lines} {job.error_lines()}"
    assert catalog_problems(sandbox, settings) == [], f"seed {seed}"
    assert backfilled["categories"] == live["categories"], f"seed {seed}"
    for kind in ("items", "variants"):
        assert backfilled[kind] == _without_old_prices(live[kind], backfilled[kind]), f"seed {seed}"
    customers = sandbox.commercetools.state()["documents"]["customers"].keys()
    for own, profile in live["profiles"].items():
        found = backfilled["profiles"].pop(own)
        expected = profile if own in customers else {"email": own, "events": profile["events"]}
        assert found == expected, f"seed {seed}"
    assert backfilled["profiles"] == {}
    assert {key: _comparable_event(one, key[0]) for key, one in backfilled["events"].items()} == {
        key: _comparable_event(one, key[0]) for key, one in live["events"].items()
    }, f"seed {seed}"
    assert {one["backfill"] for one in backfilled["events"].values()} == {True}
    assert backfilled["count"] == live["count"]


def test_events_get_the_time_they_happened(sandbox: Sandbox, job: Job) -> None:
    """Times of state changes are estimates and marked as such. An imported order was placed when it was completed."""
    imported: Any = {"completedAt": "2019-03-01T10:00:00.000Z", "lastModifiedAt": "2020-01-01T00:00:00.000Z"}
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(orderState="Complete", **imported, **REFUNDED))
    sandbox.commercetools.put("payments", payment())
    assert job.run().code == 0
    events = {one["metric"]: one for one in sandbox.klaviyo.state()["events"]}
    assert {metric: one["time"][:19] for metric, one in events.items()} == {
        "Placed Order": "2019-03-01T10:00:00",
        "Ordered Product": "2019-03-01T10:00:01",
        "Fulfilled Order": "2020-01-01T00:00:00",
        "Refunded Order": "2026-05-03T09:00:00",
    }
    marked = {metric: one["properties"].get("TimeEstimated") for metric, one in events.items()}
    assert marked == {"Placed Order": None, "Ordered Product": None, "Fulfilled Order": True, "Refunded Order": None}


def test_a_cancelled_order_also_gets_its_placed_events(sandbox: Sandbox, job: Job) -> None:
    """A cancelled order gets the events that live messages would have sent for it."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(orderState="Cancelled"))
    assert job.run("--only", "orders").code == 0
    metrics = sorted(one["metric"] for one in sandbox.klaviyo.state()["events"])
    assert metrics == ["Cancelled Order", "Ordered Product", "Placed Order"]


def test_an_old_order_overwrites_no_current_profile(sandbox: Sandbox, job: Job) -> None:
    """An old order changes no customer's e-mail, adds no guest's name or address, and re-creates nobody."""
    sandbox.commercetools.put("customers", customer(email="today@example.com"))
    sandbox.commercetools.put("orders", order("order-1", customerEmail="before@example.com"))
    sandbox.commercetools.put("orders", order("order-2", lines=[], customerId=None, customerEmail="g@example.com"))
    sandbox.commercetools.put("orders", order("order-3", lines=[], customerId=None, customerEmail="TODAY@example.com"))
    sandbox.commercetools.put("orders", order("order-4", lines=[], customerId="customer-gone"))
    done = job.run("--only", "orders")
    assert done.report["passes"]["orders"]["skipped"] == {"customer_gone": 1}
    found = [
        {name: one.get(name) for name in ("external_id", "email", "first_name", "location")}
        for one in sandbox.klaviyo.state()["profiles"]
    ]
    assert sorted(found, key=str) == sorted(
        [
            {"external_id": "customer-1", "email": "today@example.com", "first_name": None, "location": None},
            {"external_id": None, "email": "g@example.com", "first_name": None, "location": None},
        ],
        key=str,
    )


def test_events_of_live_messages_stay(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """A backfill neither replaces nor duplicates an event that a live message has sent."""
    placed = order(createdAt=now())
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", placed)
    assert serve().deliver(recent(message("OrderCreated", "order", "order-1", order=placed))).outcome == "synced"
    assert job.run("--only", "orders").code == 0
    assert [one["backfill"] for one in sandbox.klaviyo.state()["events"]] == [False, False]


@pytest.mark.parametrize(
    ("arguments", "orders", "refunds"),
    [
        ([], {"order-10", "order-100", "order-400"}, {"refund-10", "refund-400"}),
        (["--since", "30d"], {"order-10"}, {"refund-10"}),
        (["--until", "30d", "--oldest-first"], {"order-100", "order-400"}, {"refund-400"}),
        (["--since", "200d", "--until", "50d", "--window", "7"], {"order-100"}, set()),
        (["--only", "refunds"], set(), {"refund-10", "refund-400"}),
        (["--only", "orders", "--only", "customers"], {"order-10", "order-100", "order-400"}, set()),
    ],
)
def test_options_select_passes_and_times(
    sandbox: Sandbox, job: Job, arguments: list[str], orders: set[str], refunds: set[str]
) -> None:
    """`--only`, `--since` and `--until` select what is sent. A refund is selected by its own time."""

    def ago(days: int) -> str:
        return format_time(datetime.now(UTC) - timedelta(days=days))

    sandbox.commercetools.put("customers", customer())
    for days in (10, 100, 400):
        sandbox.commercetools.put("orders", order(f"order-{days}", lines=[], createdAt=ago(days), **REFUNDED))
    refunds_made = [transaction(f"refund-{days}", timestamp=ago(days)) for days in (10, 400)]
    sandbox.commercetools.put("payments", payment(transactions=refunds_made, lastModifiedAt=ago(10)))
    assert job.run(*arguments).code == 0
    events = sandbox.klaviyo.state()["events"]
    assert {one["unique_id"] for one in events if one["metric"] == "Placed Order"} == orders
    assert {one["unique_id"] for one in events if one["metric"] == "Refunded Order"} == {
        f"payment-1:{refund}" for refund in refunds
    }


def test_sync_toml_applies_to_a_backfill(sandbox: Sandbox, job: Job, tmp_path: Path) -> None:
    """Messages and refund states that are disabled for the function are not backfilled either."""
    rules = tmp_path / "own.toml"
    rules.write_text(
        '[messages]\ndisabled = ["order/OrderStateChanged", "customer/ResourceUpdated"]\n'
        "[payment]\nrefund_states = []\n",
        encoding="utf-8",
    )
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(orderState="Complete", lines=[], **REFUNDED))
    sandbox.commercetools.put("payments", payment())
    assert job.run(SYNC_CONFIG=str(rules)).code == 0
    assert [one["metric"] for one in sandbox.klaviyo.state()["events"]] == ["Placed Order"]
    assert answered_calls(sandbox, "create_or_update_profile") == []


def test_a_dry_run_reports_what_a_run_does(sandbox: Sandbox, job: Job) -> None:
    """A dry run reports the same events, amounts and reasons as the run after it, and sends nothing."""
    sandbox.commercetools.put("categories", category("category-1", "Bags"))
    sandbox.commercetools.put("products", product())
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("customers", customer("customer-2", email=""))
    lines = [line_item(number) for number in (1, 2)]
    sandbox.commercetools.put("orders", order("order-1", lines=lines, orderState="Complete", **REFUNDED))
    dollars: Any = {"customerId": None, "totalPrice": money(999, "USD"), "lines": []}
    sandbox.commercetools.put("orders", order("order-2", **dollars))
    sandbox.commercetools.put("orders", order("order-3", customerId="gone"))
    sandbox.commercetools.put("orders", order("order-4", totalPrice={}))
    sandbox.commercetools.put("payments", payment())

    dry = job.run("--dry-run")
    assert dry.code == 0
    assert [call["method"] for call in sandbox.klaviyo.requests() if call["method"] != "GET"] == []
    assert not (job.folder / "backfill-state.json").exists()

    done = job.run()
    sent = sandbox.klaviyo.state()["events"]
    planned = dry.report["passes"]
    events = {**planned["orders"]["events"], **planned["refunds"]["events"]}
    assert {metric: one["count"] for metric, one in events.items()} == {
        metric: sum(one["metric"] == metric for one in sent) for metric in {one["metric"] for one in sent}
    }
    assert events["Placed Order"]["value"] == {"EUR": 40.0, "USD": 9.99}
    assert events["Refunded Order"]["value"] == {"EUR": 5.0}
    for name, one in done.report["passes"].items():
        assert (planned[name]["read"], planned[name]["unmappable"]) == (one["read"], one["errors"])
        assert planned[name]["skipped"] == one["skipped"]
    assert planned["orders"]["unmappable_ids"] == ["order/order-4"]
    assert planned["products"]["writes"] == 2


def test_a_dry_run_estimates_hours_from_klaviyos_limits(sandbox: Sandbox, job: Job) -> None:
    """The estimate assumes 3,500 events a minute, times `--share`."""
    sandbox.commercetools.put("customers", customer())
    lines = [line_item(number) for number in range(1, 700)]
    sandbox.commercetools.put("orders", order(lines=lines))
    hours = job.run("--dry-run", "--only", "orders", "--share", "0.01").report["hours"]
    assert hours == pytest.approx(700 / 35 / 60, abs=0.01)


def test_manage_py_prints_a_summary(
    sandbox: Sandbox, manage_py: ManagePy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`manage.py backfill` prints what it sent or would send, and what it skipped. It exits with 1 on a failure."""
    monkeypatch.chdir(tmp_path)
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order("order-1"))
    sandbox.commercetools.put("orders", order("order-2", totalPrice={}))
    sandbox.commercetools.put("orders", order("order-3", customerId="customer-gone"))
    dry = manage_py("backfill", "--dry-run")
    assert dry.exit_code == 0
    assert "orders: 3 read, 2 to write, 1 skipped, 1 unmappable, 0 h\n  1 Placed Order (20.00 EUR)\n" in dry.output
    assert "Nothing was sent" in dry.output
    done = manage_py("backfill")
    assert done.exit_code == 1
    assert "orders: 3 read, 1 sent, 1 skipped, 1 error, " in done.output
    assert "  1 skipped: customer_gone (the customer was deleted)\n" in done.output
    assert "--ids backfill-errors.jsonl" in done.output
