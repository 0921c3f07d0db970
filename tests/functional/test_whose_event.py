"""An order's events go to the customer's current profile, whatever the order says, and re-create no erased one."""

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
PAID: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
MESSAGES = {
    "placed": message("OrderCreated", "order", "order-1", order=order(customerEmail=OLD)),
    "too large": too_large("OrderImported", "order", "order-1"),
    "customer set": message("OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-1")),
    "state": message("OrderStateChanged", "order", "order-1", orderState="Complete"),
    "refund": message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction()),
}
every_message = pytest.mark.parametrize("delivery", MESSAGES.values(), ids=MESSAGES)
ERASURE = change("ResourceDeleted", "customer", "customer-1", dataErasure=True)


@pytest.fixture
def sandbox_with_order(sandbox: Sandbox) -> Sandbox:
    """An order that customer-1 placed with an old e-mail, and a payment with a refund."""
    sandbox.commercetools.put("orders", order(customerEmail=OLD, **PAID))
    sandbox.commercetools.put("payments", payment())
    sandbox.commercetools.put("customers", customer(email=NEW))
    return sandbox


def _profile_identifiers(sandbox: Sandbox) -> list[tuple[str | None, str | None]]:
    return [(profile.get("external_id"), profile.get("email")) for profile in sandbox.klaviyo.state()["profiles"]]


@every_message
def test_events_carry_the_current_email(sandbox_with_order: Sandbox, function: Function, delivery: Any) -> None:
    """Events carry the customer's current e-mail. `customerEmail` is a snapshot from when the order was placed."""
    function.deliver(change("ResourceUpdated", "customer", "customer-1"))
    assert function.deliver(delivery).outcome == "synced"
    assert _profile_identifiers(sandbox_with_order) == [("customer-1", NEW)]
    assert sandbox_with_order.klaviyo.state()["events"]


@every_message
def test_events_of_a_deleted_customer_are_not_sent(
    sandbox_with_order: Sandbox, steady: Function, delivery: Any
) -> None:
    """No events are sent for a deleted customer: the order keeps the e-mail even if the person was erased."""
    sandbox_with_order.commercetools.delete("customers", "customer-1")
    measurement = measured(sandbox_with_order, steady, delivery)
    assert (measurement.outcome, measurement.written) == ("ignored customer_gone", ())


@every_message
def test_a_shop_may_send_events_of_deleted_customers(
    sandbox_with_order: Sandbox, serve: Serve, settings_file: Callable[[str], str], delivery: Any
) -> None:
    """`[order] deleted_customers = "email"` sends events with the order's e-mail, but no other personal data."""
    function = serve(SYNC_CONFIG=settings_file('[order]\ndeleted_customers = "email"\n'))
    sandbox_with_order.commercetools.delete("customers", "customer-1")
    assert function.deliver(delivery).outcome == "synced"
    (profile,) = sandbox_with_order.klaviyo.state()["profiles"]
    assert profile["email"] == OLD
    assert not {"external_id", "first_name", "location"} & profile.keys()


def test_a_new_order_waits_for_its_customer(sandbox: Sandbox, function: Function) -> None:
    """If a read does not show a customer who registered at checkout yet, the message is retried."""
    new = order(createdAt=now())
    delivery = message("OrderCreated", "order", "order-1", order=new)
    answer = function.deliver(delivery)
    assert (answer.outcome, answer.reason) == ("retried", "customer_not_there_yet")
    sandbox.commercetools.put("customers", customer())
    assert function.deliver(delivery).outcome == "synced"


def _deliver_order_while(sandbox: Sandbox, function: Function, action: Callable[[], object]) -> Any:
    """Deliver an order, and run `action` after Placed Order is accepted and before Ordered Product is sent."""
    sandbox.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    return deliver_while(function, sandbox, MESSAGES["placed"], "create_event", action)


def test_an_erasure_between_events_holds(sandbox_with_order: Sandbox, serve: Serve) -> None:
    """If another instance erases the customer between two events, the profile that the second re-creates is erased."""
    function, other = serve(), serve()

    def erase() -> None:
        sandbox_with_order.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"

    assert _deliver_order_while(sandbox_with_order, function, erase).outcome == "synced"
    assert _profile_identifiers(sandbox_with_order) == []


def test_an_erasure_holds_if_the_message_fails_afterwards(sandbox_with_order: Sandbox, serve: Serve) -> None:
    """The customer is also checked after a failure: the redelivered message finds them deleted and sends nothing."""
    function, other = serve(), serve()
    two_lines = order(lines=[line_item(1), line_item(2)], customerEmail=OLD)

    def erase() -> None:
        sandbox_with_order.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        sandbox_with_order.klaviyo.fail("/api/events", method="POST", status=503, apply=True)

    sandbox_with_order.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    delivery = message("OrderCreated", "order", "order-1", order=two_lines)
    assert deliver_while(function, sandbox_with_order, delivery, "create_event", erase).outcome == "retried"
    assert _profile_identifiers(sandbox_with_order) == []
    assert function.deliver(delivery).reason == "customer_gone"


def test_a_failed_second_erasure_is_a_dead_letter(sandbox_with_order: Sandbox, serve: Serve) -> None:
    """If the profile can't be erased again, that is a dead letter: a redelivery would stop at the deleted customer."""
    function, other = serve(), serve()

    def erase() -> None:
        sandbox_with_order.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        sandbox_with_order.klaviyo.fail("/api/data-privacy-deletion-jobs", status=403)

    assert _deliver_order_while(sandbox_with_order, function, erase).reason == "brought_back"


def test_a_customer_deleted_without_erasure_keeps_the_profile(
    sandbox_with_order: Sandbox, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that existed before the message is kept: the message did not re-create it."""
    monkeypatch.setattr(clients.klaviyo, "CLOCK_SKEW", timedelta(0))  # instead of waiting for it to pass
    create_profile(sandbox_with_order, external_id="customer-1", email=NEW)
    _deliver_order_while(
        sandbox_with_order, function, lambda: sandbox_with_order.commercetools.delete("customers", "customer-1")
    )
    assert _profile_identifiers(sandbox_with_order) == [("customer-1", NEW)]


def test_no_check_if_erasure_is_off(
    sandbox_with_order: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """With `[customer] erase = false` there is neither a check after the events nor an erasure."""
    function = serve(SYNC_CONFIG=settings_file("[customer]\nerase = false\n"))
    measurement = measured(sandbox_with_order, function, MESSAGES["placed"])
    assert (measurement.outcome, measurement.read) == ("synced", ("customers.get", "product-projections.query"))


def test_an_email_that_changes_between_events_wins(sandbox_with_order: Sandbox, serve: Serve) -> None:
    """If another instance writes a new e-mail between two events, the second event does not restore the old one."""
    function, other = serve(), serve()

    def change_email() -> None:
        sandbox_with_order.commercetools.put("customers", customer(email="newest@example.com", version=2))
        assert other.deliver(change("ResourceUpdated", "customer", "customer-1", version=2)).outcome == "synced"

    assert _deliver_order_while(sandbox_with_order, function, change_email).outcome == "synced"
    assert _profile_identifiers(sandbox_with_order) == [("customer-1", "newest@example.com")]


def test_an_outdated_order_is_not_sent(sandbox_with_order: Sandbox, function: Function) -> None:
    """If the order read is older than the message, no event is sent, and the message is retried."""
    late = {**MESSAGES["state"], "resourceVersion": 2}
    answer = function.deliver(late)
    assert (answer.outcome, answer.reason) == ("retried", "stale_read")
    sandbox_with_order.commercetools.patch("orders", "order-1", {"orderState": "Complete"})
    assert function.deliver(late).outcome == "synced"


def test_time_is_reserved_for_the_check(sandbox_with_order: Sandbox, serve: Serve, settings_file: Any) -> None:
    """When the time for sending is used up, the reserved share still allows the check and the erasure."""
    function, other = serve(SYNC_CONFIG=settings_file("[limits]\nmessage_seconds = 5\n")), serve()
    two_lines = order(lines=[line_item(1), line_item(2)], customerEmail=OLD)

    def erase() -> None:
        sandbox_with_order.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        sandbox_with_order.klaviyo.fail("/api/events", method="POST", status=503, apply=True, delay=1)

    sandbox_with_order.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    delivery = message("OrderCreated", "order", "order-1", order=two_lines)
    assert deliver_while(function, sandbox_with_order, delivery, "create_event", erase).outcome == "retried"
    assert _profile_identifiers(sandbox_with_order) == []


def test_a_failed_check_is_repeated_on_redelivery(sandbox_with_order: Sandbox, serve: Serve) -> None:
    """If the check failed, the redelivered message finds the customer deleted and erases the re-created profile."""
    function, other = serve(), serve()
    delivery = MESSAGES["placed"] | {"createdAt": now()}

    def erase() -> None:
        sandbox_with_order.commercetools.delete("customers", "customer-1")
        assert other.deliver(ERASURE).outcome == "synced"
        sandbox_with_order.commercetools.fail("/customers/customer-1", status=503)

    sandbox_with_order.klaviyo.fail("/api/events", method="POST", delay=0.8, count=1)
    assert deliver_while(function, sandbox_with_order, delivery, "create_event", erase).outcome == "retried"
    assert len(_profile_identifiers(sandbox_with_order)) == 1
    sandbox_with_order.commercetools.clear_failures()
    assert function.deliver(delivery, deliveryAttempt=2).reason == "customer_gone"
    assert _profile_identifiers(sandbox_with_order) == []


def test_an_old_order_waits_for_its_new_customer(sandbox_with_order: Sandbox, function: Function) -> None:
    """An OrderCustomerSet under a minute old is retried until its customer can be read, however old the order is."""
    sandbox_with_order.commercetools.put("orders", order(customerId="customer-2"))
    delivery = message("OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-2"))
    assert function.deliver(delivery | {"createdAt": now()}).reason == "customer_not_there_yet"
    assert function.deliver(delivery).reason == "customer_gone"


def test_an_order_whose_customer_was_removed_again(sandbox_with_order: Sandbox, function: Function) -> None:
    """A message whose order has no customer any more is ignored: it is not sent as a guest's order."""
    sandbox_with_order.commercetools.put("orders", order(customerId=None))
    assert function.deliver(MESSAGES["customer set"]).reason == "customer_removed"
    assert _profile_identifiers(sandbox_with_order) == []
