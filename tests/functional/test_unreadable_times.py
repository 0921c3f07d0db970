"""Times of documents and messages that can't be read, or have no time zone: no message is lost or retried for ever.

commercetools' times are UTC, so one without a time zone is read as UTC, whatever the time zone of this machine.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import (
    Json,
    address,
    customer,
    message,
    money,
    order,
    payment,
    product,
    recent,
    reference,
    transaction,
    variant,
)
from tests.functional.failure_cases import FakeTopic
from tests.functional.job_runs import Job, answered_calls
from tests.functional.races import deliver_while
from tests.functional.shipment_documents import (
    events,
    return_added,
    return_info,
    return_item,
    returns_set,
    shipped_order,
)

UNREADABLE = "the day before yesterday"
READABLE = "2026-05-02T08:00:00.000Z"
MAX_AGE = "[events]\nflow_max_age = 3600\n"


@pytest.fixture(autouse=True)
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine eleven hours ahead of UTC, where a time read as local time would be far off."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT-11")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def function(serve: Serve, dead_letters: FakeTopic) -> Function:  # noqa: ARG001 - it must be set up first
    """A function server with a dead-letter topic."""
    return serve()


def _ago(seconds: float) -> str:
    """A time without a time zone."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _hours_ago_elsewhere(hours: float) -> str:
    """A time eleven hours ahead of UTC: as a text it comes after the current time in UTC."""
    return (datetime.now(UTC) - timedelta(hours=hours)).astimezone(timezone(timedelta(hours=11))).isoformat()


def _time_of(sandbox: Sandbox, metric: str) -> str:
    (event,) = events(sandbox, metric).values()
    return str(event["time"][:19])


def _is_history(sandbox: Sandbox) -> bool:
    """True if the only event starts no flow."""
    (call,) = answered_calls(sandbox, "create_event")
    return bool(call["body"]["data"]["attributes"]["backfill"])


ORDERS: dict[str, tuple[Json, Json]] = {
    "an order's own": (
        order(createdAt=UNREADABLE),
        message("OrderCreated", "order", "order-1", order=order(createdAt=UNREADABLE)),
    ),
    "the message's": (
        order(),
        message("OrderStateChanged", "order", "order-1", orderState="Complete", createdAt=UNREADABLE),
    ),
    "no time in the message": (
        order(),
        message("OrderStateChanged", "order", "order-1", orderState="Complete", createdAt=None),
    ),
    "out of range": (
        order(),
        message("OrderStateChanged", "order", "order-1", orderState="Complete", createdAt="0001-01-01T00:00:00+14:00"),
    ),
}


@pytest.mark.usefixtures("buyer")
@pytest.mark.parametrize(("document", "notification"), ORDERS.values(), ids=ORDERS)
def test_an_event_whose_time_is_unreadable(
    sandbox: Sandbox, function: Function, dead_letters: FakeTopic, document: Json, notification: Json
) -> None:
    """It is dead-lettered: Klaviyo keeps the first event of an id, so a wrong time could never be corrected."""
    sandbox.commercetools.put("orders", document)
    answer = function.deliver(notification)
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "dead-lettered", "unmappable")
    assert len(dead_letters.published) == 1
    assert sandbox.klaviyo.state()["events"] == []


@pytest.mark.usefixtures("buyer")
def test_an_event_whose_time_has_no_zone(sandbox: Sandbox, function: Function) -> None:
    """The event has that time in UTC."""
    placed = order(lines=[], createdAt="2026-05-02T08:00:00")
    assert function.deliver(message("OrderCreated", "order", "order-1", order=placed)).outcome == "synced"
    assert _time_of(sandbox, "Placed Order") == "2026-05-02T08:00:00"


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [
        (None, "dead-lettered unmappable"),
        (30, "retried customer_not_there_yet"),
        (90, "ignored customer_gone"),
    ],
    ids=["unreadable", "young, no zone", "old, no zone"],
)
def test_an_order_of_a_missing_customer(
    sandbox: Sandbox, function: Function, seconds: float | None, outcome: str
) -> None:
    """If the order's age is unknown, it can neither be retried for ever nor dropped, so it is dead-lettered."""
    sandbox.commercetools.put("orders", order(createdAt=UNREADABLE if seconds is None else _ago(seconds)))
    changed = message("OrderStateChanged", "order", "order-1", orderState="Complete")
    assert measured(sandbox, function, changed).outcome == outcome


@pytest.mark.parametrize("changed_at", [UNREADABLE, "", "2026-05-02T08:00:00", "2026-05-01T10:00:00.000"])
def test_a_customer_with_a_guests_email(sandbox: Sandbox, function: Function, changed_at: str) -> None:
    """If it is unknown when the customer changed, they may have registered since: they are copied after the events."""
    guest = order(customerId=None, customerEmail="mirabel@example.com")
    sandbox.commercetools.put("orders", guest)
    mirabel = customer(email="mirabel@example.com", firstName="Mirabel", addresses=[address(city="Leeds")])
    sandbox.commercetools.put("customers", mirabel | {"lastModifiedAt": changed_at, "createdAt": changed_at})
    answer = function.deliver(message("OrderCreated", "order", "order-1", order=guest))
    assert answer.outcome == "synced"
    (profile,) = sandbox.klaviyo.state()["profiles"]
    is_copied = changed_at in (UNREADABLE, "", READABLE[:19])
    assert profile.get("first_name") == ("Mirabel" if is_copied else None)


@pytest.mark.usefixtures("buyer")
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, (ACKNOWLEDGED, "dead-lettered", "unmappable")),
        (59 * 60, (REFUSED, "retried", "no_order_yet")),
        (61 * 60, (ACKNOWLEDGED, "ignored", "no_order")),
    ],
    ids=["unreadable", "young, no zone", "old, no zone"],
)
def test_a_refund_without_order(
    sandbox: Sandbox, function: Function, seconds: float | None, expected: tuple[int, str, str]
) -> None:
    """If the message's age is unknown, it can neither wait for ever nor be dropped, so it is dead-lettered."""
    sandbox.commercetools.put("payments", payment())
    created_at = UNREADABLE if seconds is None else _ago(seconds)
    added = message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction(), createdAt=created_at)
    answer = function.deliver(added)
    assert (answer.status, answer.outcome, answer.reason) == expected


@pytest.mark.usefixtures("buyer")
@pytest.mark.parametrize("created_at", [UNREADABLE, None, "2026-05-03T09:00:00"])
def test_a_refund_with_a_time_of_its_own(sandbox: Sandbox, function: Function, created_at: str | None) -> None:
    """The message's time decides only from when the age counts, so the event does not depend on it."""
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    refund = transaction(timestamp="2026-05-03T09:00:00")
    added = message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund, createdAt=created_at)
    assert function.deliver(added).outcome == "synced"
    assert _time_of(sandbox, "Refunded Order") == "2026-05-03T09:00:00"


@pytest.mark.usefixtures("buyer")
def test_the_later_of_two_times_counts_in_their_zones(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """The refund took the bank two hours, so its message is the later one, although its time sorts first as a text."""
    function = serve(SYNC_CONFIG=settings_file(MAX_AGE))
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    refund = transaction(timestamp=_hours_ago_elsewhere(2))
    added = recent(message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund))
    assert function.deliver(added).outcome == "synced"
    assert _is_history(sandbox) is False


@pytest.mark.usefixtures("buyer")
@pytest.mark.parametrize("is_history", [False, True], ids=["unreadable", "two hours ago"])
def test_an_item_that_came_back(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str], *, is_history: bool
) -> None:
    """The return's date decides only from when the age counts: from the message's time if it can't be read."""
    function = serve(SYNC_CONFIG=settings_file(MAX_AGE))
    date = _hours_ago_elsewhere(2) if is_history else UNREADABLE
    info = return_info(return_item(1, shipmentState="Returned"), date=date)
    sandbox.commercetools.put("orders", shipped_order(returnInfo=[info]))
    assert function.deliver(recent(returns_set(info))).outcome == "synced"
    assert _is_history(sandbox) is is_history


@pytest.mark.usefixtures("buyer")
def test_a_return_whose_date_is_unreadable(sandbox: Sandbox, function: Function, dead_letters: FakeTopic) -> None:
    """The date is the event's time, so the message is dead-lettered."""
    info = return_info(return_item(1), date=UNREADABLE)
    sandbox.commercetools.put("orders", shipped_order(returnInfo=[info]))
    assert function.deliver(return_added(info)).reason == "unmappable"
    assert len(dead_letters.published) == 1


def _price(cents: int, **fields: Any) -> Json:
    return {"id": f"price-{cents}", "version": 1, "value": money(cents), **fields}


@pytest.mark.parametrize("name", ["validFrom", "validUntil"])
@pytest.mark.parametrize("standalone", [False, True], ids=["embedded", "standalone"])
def test_a_price_whose_validity_is_unreadable(
    sandbox: Sandbox, function: Function, dead_letters: FakeTopic, name: str, *, standalone: bool
) -> None:
    """The product is dead-lettered: a price that is not valid must not be shown."""
    price = _price(900, **{name: UNREADABLE})
    mode = "Standalone" if standalone else "Embedded"
    sandbox.commercetools.put(
        "products", product(variants=[variant("SKU-1", prices=[price])], root={"priceMode": mode})
    )
    if standalone:
        listed = {"results": [price | {"sku": "SKU-1", "active": True}], "count": 1, "limit": 500, "offset": 0}
        sandbox.commercetools.fail("/standalone-prices", status=200, body=listed)
    answer = function.deliver(message("ProductPublished", "product", "product-1"))
    assert (answer.outcome, answer.reason) == ("dead-lettered", "unmappable")
    assert len(dead_letters.published) == 1
    assert sandbox.klaviyo.state()["items"] == {}


def test_a_price_whose_validity_has_no_zone(sandbox: Sandbox, function: Function) -> None:
    """It is valid from and until that time in UTC."""
    prices = [_price(900, validUntil=_ago(60)), _price(1100, validFrom=_ago(60)), _price(1300, validFrom=_ago(-60))]
    sandbox.commercetools.put("products", product(variants=[variant("SKU-1", prices=prices)]))
    assert function.deliver(message("ProductPublished", "product", "product-1")).outcome == "synced"
    assert sandbox.klaviyo.state()["variants"]["SKU-1"]["price"] == 11


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(None, "customer_of_unknown_age"), (1, "young_customer"), (90, "")],
    ids=["unreadable", "young, no zone", "old, no zone"],
)
def test_a_customer_deleted_during_the_write(
    sandbox: Sandbox, function: Function, dead_letters: FakeTopic, seconds: float | None, code: str
) -> None:
    """Whether they were deleted or just can't be read yet is unknown without their age: a person has to decide."""
    sandbox.commercetools.put("customers", customer(createdAt=UNREADABLE if seconds is None else _ago(seconds)))
    sandbox.klaviyo.fail("/api/profile-import", method="POST", delay=0.5, count=1)
    answer = deliver_while(
        function,
        sandbox,
        message("CustomerCreated", "customer", "customer-1"),
        "create_or_update_profile",
        lambda: sandbox.commercetools.delete("customers", "customer-1"),
    )
    if not code:
        assert answer.reason == "deleted_meanwhile"
        return
    assert (answer.outcome, answer.reason, answer.line["code"]) == ("dead-lettered", "brought_back", code)
    assert answer.line["part"] == "customer customer-1"
    assert len(dead_letters.published) == 1


def test_a_backfill_of_orders_with_such_times(sandbox: Sandbox, job: Job) -> None:
    """An order whose last change is unreadable fails at once, is in the errors file, and stops no other."""
    sandbox.commercetools.put("customers", customer())
    for number, changed_at in enumerate((UNREADABLE, "2026-05-02T08:00:00", READABLE)):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], lastModifiedAt=changed_at))
    done = job.run("--only", "orders")
    assert [(line["resource"], line["reason"]) for line in job.error_lines()] == [("order/order-0", "unmappable")]
    assert "1 failed" in done.stop_reasons
    assert sorted(event["unique_id"] for event in sandbox.klaviyo.state()["events"]) == ["order-1", "order-2"]


def test_a_backfill_whose_oldest_order_has_an_unreadable_time(sandbox: Sandbox, job: Job) -> None:
    """The run stops, as it can't tell where to begin, and names --since. With --since it loads what it can read."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(lines=[]))
    listed = {"results": [order(createdAt=UNREADABLE)], "count": 1, "limit": 1, "offset": 0}
    sandbox.commercetools.fail("^/shop/orders$", status=200, body=listed, count=1)
    done = job.run("--only", "orders")
    assert done.code == 78
    assert "--since" in done.stop_reasons
    sandbox.commercetools.fail("^/shop/orders$", status=200, body=listed, count=1)
    done = job.run("--only", "orders", "--since", "2026-01-01", "--restart")
    assert (done.code, sandbox.klaviyo.state()["events"] != []) == (0, True)
