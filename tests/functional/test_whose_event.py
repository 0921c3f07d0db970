"""Whose an order's events are: the person of today, whatever the order remembers, and nobody who was erased."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import clients.klaviyo
from commands.processes import Sandbox
from sandbox.documents import now
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import (
    change,
    customer,
    line_item,
    message,
    order,
    payment,
    reference,
    too_large,
    transaction,
)
from tests.functional.races import create_profile, deliver_while

OLD, NEW = "old.name@example.com", "new.name@example.com"
REFUNDED: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
MESSAGES = {
    "placed": message("OrderCreated", "order", "order-1", order=order(customerEmail=OLD)),
    "too large": too_large("OrderImported", "order", "order-1"),
    "customer set": message("OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-1")),
    "state": message("OrderStateChanged", "order", "order-1", orderState="Complete"),
    "refund": message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction()),
}
every_message = pytest.mark.parametrize("told", MESSAGES.values(), ids=MESSAGES)
ERASURE = change("ResourceDeleted", "customer", "customer-1", dataErasure=True)


@pytest.fixture
def ordered(sandbox: Sandbox) -> Sandbox:
    """An order of customer-1, made under an e-mail of before, with a refund."""
    sandbox.commercetools.put("orders", order(customerEmail=OLD, **REFUNDED))
    sandbox.commercetools.put("payments", payment())
    sandbox.commercetools.put("customers", customer(email=NEW))
    return sandbox


def _people(sandbox: Sandbox) -> list[tuple[str | None, str | None]]:
    return [(found.get("external_id"), found.get("email")) for found in sandbox.klaviyo.state()["profiles"]]


@every_message
def test_an_event_carries_the_e_mail_of_today(ordered: Sandbox, function: Function, told: Any) -> None:
    """The order's own `customerEmail` is of the day it was made; the profile keeps the customer's."""
    function.deliver(change("ResourceUpdated", "customer", "customer-1"))
    assert function.deliver(told).outcome == "synced"
    assert _people(ordered) == [("customer-1", NEW)]
    assert ordered.klaviyo.state()["events"]


@every_message
def test_events_of_a_customer_who_is_gone_are_not_sent(ordered: Sandbox, steady: Function, told: Any) -> None:
    """Whether the person was erased or only deleted can't be told from an order, and it keeps the e-mail."""
    ordered.commercetools.delete("customers", "customer-1")
    done = measured(ordered, steady, told)
    assert (done.outcome, done.written) == ("ignored customer_gone", ())


@every_message
def test_a_shop_may_want_them_all_the_same(
    ordered: Sandbox, serve: Serve, settings_file: Callable[[str], str], told: Any
) -> None:
    """`[order] deleted_customers = "email"`: the order's e-mail, and nothing else of the person."""
    function = serve(SYNC_CONFIG=settings_file('[order]\ndeleted_customers = "email"\n'))
    ordered.commercetools.delete("customers", "customer-1")
    assert function.deliver(told).outcome == "synced"
    (profile,) = ordered.klaviyo.state()["profiles"]
    assert profile["email"] == OLD
    assert not {"external_id", "first_name", "location"} & profile.keys()


def test_a_customer_may_not_be_shown_yet_when_the_order_is_new(sandbox: Sandbox, function: Function) -> None:
    """Who registers at the checkout is not lost to a read that lags: the message comes again."""
    new = order(createdAt=now())
    told = message("OrderCreated", "order", "order-1", order=new)
    answer = function.deliver(told)
    assert (answer.outcome, answer.reason) == ("retried", "customer_not_there_yet")
    sandbox.commercetools.put("customers", customer())
    assert function.deliver(told).outcome == "synced"


def _while_placed(sandbox: Sandbox, function: Function, happens: Callable[[], object]) -> Any:
    """Deliver an order; after Placed Order was taken and before Ordered Product is sent, something happens."""
    sandbox.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    return deliver_while(function, sandbox, MESSAGES["placed"], "create_event", happens)


def test_an_erasure_that_overtakes_an_order_s_events_holds(ordered: Sandbox, serve: Serve) -> None:
    """Another instance erases the customer between two events; the second one brings nobody back."""
    function, other = serve(), serve()

    def erased() -> None:
        ordered.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"

    assert _while_placed(ordered, function, erased).outcome == "synced"
    assert _people(ordered) == []


def test_it_holds_where_the_message_fails_afterwards(ordered: Sandbox, serve: Serve) -> None:
    """A message that comes again finds the customer gone and sends nothing, so it looks before it is given back."""
    function, other = serve(), serve()
    two = order(lines=[line_item(1), line_item(2)], customerEmail=OLD)

    def erased() -> None:
        ordered.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        ordered.klaviyo.fail("/api/events", method="POST", status=503, apply=True)

    ordered.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    told = message("OrderCreated", "order", "order-1", order=two)
    assert deliver_while(function, ordered, told, "create_event", erased).outcome == "retried"
    assert _people(ordered) == []
    assert function.deliver(told).reason == "customer_gone"


def test_an_erasure_that_can_not_follow_is_a_dead_letter(ordered: Sandbox, serve: Serve) -> None:
    """The message would find the customer gone when it comes again: people have to know."""
    function, other = serve(), serve()

    def erased() -> None:
        ordered.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        ordered.klaviyo.fail("/api/data-privacy-deletion-jobs", status=403)

    assert _while_placed(ordered, function, erased).reason == "brought_back"


def test_who_was_deleted_without_erasure_is_not_erased(
    ordered: Sandbox, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that is older than the message is not what the message brought back."""
    monkeypatch.setattr(clients.klaviyo, "CLOCK_SKEW", timedelta(0))  # instead of waiting
    create_profile(ordered, external_id="customer-1", email=NEW)
    _while_placed(ordered, function, lambda: ordered.commercetools.delete("customers", "customer-1"))
    assert _people(ordered) == [("customer-1", NEW)]


def test_nobody_is_looked_for_where_erasure_is_off(
    ordered: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """`[customer] erase = false` spares the look and the erasure that follows."""
    function = serve(SYNC_CONFIG=settings_file("[customer]\nerase = false\n"))
    done = measured(ordered, function, MESSAGES["placed"])
    assert (done.outcome, done.read) == ("synced", ("customers.get", "product-projections.query"))


def test_an_e_mail_that_changes_meanwhile_wins(ordered: Sandbox, serve: Serve) -> None:
    """Another instance writes the new e-mail between two events, of which the second has the old one."""
    function, other = serve(), serve()

    def moved() -> None:
        ordered.commercetools.put("customers", customer(email="newest@example.com", version=2))
        assert other.deliver(change("ResourceUpdated", "customer", "customer-1", version=2)).outcome == "synced"

    assert _while_placed(ordered, function, moved).outcome == "synced"
    assert _people(ordered) == [("customer-1", "newest@example.com")]


def test_an_order_read_before_its_message_is_not_sent(ordered: Sandbox, function: Function) -> None:
    """A read that is older than the message waits for the next delivery."""
    late = {**MESSAGES["state"], "resourceVersion": 2}
    answer = function.deliver(late)
    assert (answer.outcome, answer.reason) == ("retried", "stale_read")
    ordered.commercetools.patch("orders", "order-1", {"orderState": "Complete"})
    assert function.deliver(late).outcome == "synced"


def test_there_is_time_for_the_look(ordered: Sandbox, serve: Serve, settings_file: Any) -> None:
    """The time for sending is over: a share of it is kept for the erasure of whom the events brought back."""
    function, other = serve(SYNC_CONFIG=settings_file("[limits]\nmessage_seconds = 5\n")), serve()
    two = order(lines=[line_item(1), line_item(2)], customerEmail=OLD)

    def erased() -> None:
        ordered.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        ordered.klaviyo.fail("/api/events", method="POST", status=503, apply=True, delay=1)

    ordered.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    told = message("OrderCreated", "order", "order-1", order=two)
    assert deliver_while(function, ordered, told, "create_event", erased).outcome == "retried"
    assert _people(ordered) == []


def test_a_look_that_failed_is_made_up_for(ordered: Sandbox, serve: Serve) -> None:
    """The message comes again, finds the customer gone, and erases whom it brought back before."""
    function, other = serve(), serve()
    told = MESSAGES["placed"] | {"createdAt": now()}

    def erased() -> None:
        ordered.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        ordered.commercetools.fail("/customers/customer-1", status=503)

    ordered.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    assert deliver_while(function, ordered, told, "create_event", erased).outcome == "retried"
    assert len(_people(ordered)) == 1
    ordered.commercetools.clear_failures()
    assert function.deliver(told, deliveryAttempt=2).reason == "customer_gone"
    assert _people(ordered) == []


def test_an_old_order_may_get_a_customer_who_is_not_shown_yet(ordered: Sandbox, function: Function) -> None:
    """The message is young, though the order is not: it waits for the customer."""
    ordered.commercetools.put("orders", order(customerId="customer-2"))
    told = message("OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-2"))
    assert function.deliver(told | {"createdAt": now()}).reason == "customer_not_there_yet"
    assert function.deliver(told).reason == "customer_gone"


def test_an_order_whose_customer_was_taken_away_again_is_nobody_s(ordered: Sandbox, function: Function) -> None:
    """The message told of a customer, and the order has none by now: it is no guest's order."""
    ordered.commercetools.put("orders", order(customerId=None))
    assert function.deliver(MESSAGES["customer set"]).reason == "customer_removed"
    assert _people(ordered) == []
