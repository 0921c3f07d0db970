"""Orders of guests: data from the billing form reach the guest's profile, and never stay in a customer's."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from commands.processes import Sandbox
from handlers.services import Services
from sandbox.documents import now
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, Answer, Function, Serve
from tests.functional.documents import (
    address,
    category,
    change,
    customer,
    message,
    order,
    payment,
    product,
    recent,
    reference,
    too_large,
    transaction,
)
from tests.functional.failure_cases import FakeTopic
from tests.functional.races import PATIENCE, push

EMAIL = "mirabel@example.com"
CODES = [{"discountCode": reference("discount-code", "code-1"), "state": "MatchesCart"}]
ORDER = order(
    customerId=None,
    customerEmail=EMAIL,
    locale="de-DE",
    discountCodes=CODES,
    paymentInfo={"payments": [reference("payment", "payment-1")]},
)
PLACED = message("OrderCreated", "order", "order-1", order=ORDER)
REFUNDED = message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction())
MESSAGES = {
    "placed": PLACED,
    "too large": too_large("OrderImported", "order", "order-1"),
    "state": message("OrderStateChanged", "order", "order-1", orderState="Complete"),
    "refund": REFUNDED,
}
every_message = pytest.mark.parametrize("notification", MESSAGES.values(), ids=MESSAGES)
REGISTERED = message("CustomerCreated", "customer", "customer-1")
CHANGED = change("ResourceUpdated", "customer", "customer-1", version=2)


def _mirabel(**fields: Any) -> dict[str, Any]:
    """A customer with the guest's e-mail, but another name, locale and city."""
    defaults = {"email": EMAIL, "firstName": "Mirabel", "locale": "en-GB", "addresses": [address(city="Leeds")]}
    return customer(**(defaults | fields))


@pytest.fixture
def ordered(sandbox: Sandbox) -> Sandbox:
    """The sandbox with a guest's order and a refund of it."""
    sandbox.commercetools.put("orders", ORDER)
    sandbox.commercetools.put("payments", payment())
    return sandbox


def _person(sandbox: Sandbox) -> tuple[Any, ...]:
    """Id, name, locale and city of the only profile in Klaviyo."""
    (profile,) = sandbox.klaviyo.state()["profiles"]
    return (*(profile.get(name) for name in ("external_id", "first_name", "locale")), profile["location"]["city"])


GUEST = (None, "Annika", "de-DE", "Berlin")
MIRABEL = ("customer-1", "Mirabel", "en-GB", "Leeds")


def _deliver_while_sending(
    sandbox: Sandbox, function: Function, notification: Any, happens: Callable[[], object], **answered: Any
) -> Answer:
    """Deliver; call `happens` after the customer was looked up by e-mail and before the events take effect."""
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.fail("/api/events", method="POST", delay=1, late=True, **answered)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function.deliver, notification)
        end = time.monotonic() + PATIENCE
        while not any(
            call["operation"] == "customers.query" and call["status"] for call in sandbox.commercetools.requests()
        ):
            assert time.monotonic() < end, "the customer was not looked up by e-mail"
            time.sleep(0.01)
        happens()
        return answer.result()


def _register(sandbox: Sandbox, other: Function, **fields: Any) -> None:
    """Register the guest as a customer, whom another instance copies."""
    sandbox.commercetools.put("customers", _mirabel(**fields))
    assert push(other, REGISTERED) == ACKNOWLEDGED


@every_message
def test_a_guest_order_fills_the_guest_profile(ordered: Sandbox, function: Function, notification: Any) -> None:
    """If no customer has the e-mail, the profile gets name, locale and city from the order."""
    assert function.deliver(notification).outcome == "synced"
    assert _person(ordered) == GUEST


def test_a_guest_order_with_the_email_of_a_customer(sandbox: Sandbox, function: Function) -> None:
    """The customer gets the events, but keeps their own name, locale and city."""
    sandbox.commercetools.put("customers", _mirabel(email="Mirabel@Example.com"))
    function.deliver(REGISTERED)
    notification = message("OrderCreated", "order", "order-1", order=ORDER | {"customerEmail": "mirabel@example.COM"})
    done = measured(sandbox, function, notification)
    assert (done.outcome, done.read.count("customers.get")) == ("synced", 0)
    assert _person(sandbox) == MIRABEL
    assert done.profile("customer-1")["events"] == 2


@every_message
def test_a_guest_who_registers_while_the_events_are_sent(ordered: Sandbox, serve: Serve, notification: Any) -> None:
    """If the billing form overwrites what another instance copied, the customer is copied again."""
    function, other = serve(), serve()
    answer = _deliver_while_sending(ordered, function, notification, partial(_register, ordered, other))
    assert (answer.outcome, _person(ordered)) == ("synced", MIRABEL)


def test_a_guest_who_registers_and_is_renamed_in_the_meantime(ordered: Sandbox, serve: Serve) -> None:
    """The customer's current data are copied."""
    function, other = serve(), serve()

    def register() -> None:
        _register(ordered, other, firstName="Mira")
        ordered.commercetools.put("customers", _mirabel(version=2))
        assert push(other, CHANGED) == ACKNOWLEDGED

    _deliver_while_sending(ordered, function, PLACED, register)
    assert _person(ordered) == MIRABEL


def test_a_customer_who_takes_the_guest_email_in_the_meantime(ordered: Sandbox, serve: Serve) -> None:
    """An existing customer changes to the guest's e-mail while the events are sent, and is copied."""
    function, other = serve(), serve()
    _register(ordered, other, email="before@example.com")

    def move() -> None:
        ordered.commercetools.put("customers", _mirabel(version=2))
        assert push(other, CHANGED) == ACKNOWLEDGED

    _deliver_while_sending(ordered, function, PLACED, move)
    assert _person(ordered) == MIRABEL


def test_a_failed_message_checks_before_it_is_retried(ordered: Sandbox, serve: Serve) -> None:
    """The events took effect although Klaviyo answered 503, so the customer is copied before the retry."""
    function, other = serve(), serve()
    answer = _deliver_while_sending(
        ordered, function, PLACED, partial(_register, ordered, other), status=503, apply=True
    )
    assert (answer.outcome, _person(ordered)) == ("retried", MIRABEL)


def test_time_is_reserved_for_the_copy(ordered: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """A share of the message's time is reserved for the copy, even if sending uses up the rest."""
    function, other = serve(SYNC_CONFIG=settings_file("[limits]\nmessage_seconds = 8\n")), serve()
    ordered.klaviyo.fail("/api/events", method="POST", status=503, apply=True, delay=9, skip=1)
    answer = _deliver_while_sending(ordered, function, PLACED, partial(_register, ordered, other), count=1)
    assert (answer.outcome, _person(ordered)) == ("retried", MIRABEL)


def test_a_failed_check_is_repeated_on_redelivery(ordered: Sandbox, serve: Serve) -> None:
    """The redelivery finds a customer who changed after the message, and copies the customer after sending."""
    function, other = serve(), serve()
    notification = recent(PLACED)

    def register() -> None:
        _register(ordered, other, lastModifiedAt=now())
        ordered.commercetools.fail("/customers$", status=503)

    assert _deliver_while_sending(ordered, function, notification, register).outcome == "retried"
    assert _person(ordered) == ("customer-1", *GUEST[1:])
    ordered.commercetools.clear_failures()
    ordered.klaviyo.clear_failures()
    assert function.deliver(notification).outcome == "synced"
    assert _person(ordered) == MIRABEL


def test_the_copy_takes_the_lock_of_the_customer(ordered: Sandbox, serve: Serve) -> None:
    """A profile has one writer at a time: if another message holds the lock, this one is retried."""
    other, function = serve(), serve()
    services: Services = sys.modules["main"].SERVICES
    with services.locks.hold(["customer/customer-1"], 0):
        answer = _deliver_while_sending(ordered, function, PLACED, partial(_register, ordered, other))
    assert (answer.outcome, answer.reason) == ("retried", "resource_busy")


def test_a_customer_who_is_deleted_again_is_not_copied(ordered: Sandbox, serve: Serve) -> None:
    """The query still shows the customer, but the read by id does not: the profile keeps the data of the order."""
    function, other = serve(), serve()

    def register() -> None:
        _register(ordered, other)
        ordered.commercetools.fail("/customers/customer-1$", status=404)

    assert _deliver_while_sending(ordered, function, PLACED, register).outcome == "synced"
    assert _person(ordered) == ("customer-1", *GUEST[1:])
    assert len(ordered.klaviyo.state()["events"]) == 2


def test_a_refused_profile_is_named(ordered: Sandbox, dead_letters: FakeTopic, serve: Serve) -> None:
    """The events are sent; the dead letter names the customer as the part that Klaviyo refused."""
    function, other = serve(), serve()

    def register() -> None:
        _register(ordered, other)
        ordered.klaviyo.fail("profile-import", status=400)

    answer = _deliver_while_sending(ordered, function, PLACED, register)
    assert (answer.outcome, answer.line["part"]) == ("dead-lettered", "customer customer-1")
    assert len(dead_letters.published) == 1
    assert len(ordered.klaviyo.state()["events"]) == 2


def test_a_refused_profile_does_not_end_a_message_that_can_still_succeed(
    ordered: Sandbox, dead_letters: FakeTopic, serve: Serve
) -> None:
    """Events failed, and Klaviyo refuses the customer: the redelivery sends the events, then names the customer."""
    function, other = serve(), serve()
    notification = recent(PLACED)

    def register() -> None:
        _register(ordered, other, lastModifiedAt=now())
        ordered.klaviyo.fail("profile-import", status=400)

    answer = _deliver_while_sending(ordered, function, notification, register, status=503)
    assert (answer.outcome, dead_letters.published) == ("retried", [])
    ordered.klaviyo.clear_failures()
    ordered.klaviyo.fail("profile-import", status=400)
    answer = function.deliver(notification)
    assert (answer.outcome, answer.line["part"]) == ("dead-lettered", "customer customer-1")
    assert len(ordered.klaviyo.state()["events"]) == 2


SETTLED = message("PaymentTransactionStateChanged", "payment", "payment-1", transactionId="refund-1", state="Success")
BUDGETS = {"placed": (4, 2), "too large": (5, 2), "state": (5, 1), "refund": (5, 1), "refund settled": (6, 1)}


@pytest.mark.parametrize(("name", "budget"), BUDGETS.items(), ids=BUDGETS)
def test_a_guest_order_with_everything_keeps_its_budget(
    ordered: Sandbox, steady: Function, name: str, budget: tuple[int, int]
) -> None:
    """Products and codes are read once each; the customer is looked up by e-mail before and after sending."""
    ordered.commercetools.put("categories", category("women", "Women"))
    ordered.commercetools.put("products", product("product-1", categories=["women"]))
    ordered.commercetools.put("discount-codes", {"id": "code-1", "code": "SCARF10"})
    done = measured(ordered, steady, {**MESSAGES, "refund settled": SETTLED}[name])
    assert (done.outcome, done.calls) == ("synced", budget)
    assert done.read.count("customers.query") == 2


def test_calls_if_the_guest_registers_in_the_meantime(ordered: Sandbox, serve: Serve) -> None:
    """Copying the customer costs two reads and one write."""
    function = serve()
    ordered.klaviyo.forget_requests()
    _deliver_while_sending(ordered, function, PLACED, lambda: ordered.commercetools.put("customers", _mirabel()))
    read = [call["operation"] for call in ordered.commercetools.requests(kind="api")]
    assert (read.count("customers.query"), read.count("customers.get")) == (2, 2)
    written = [call["operation"] for call in ordered.klaviyo.requests(kind="api")]
    assert written == ["create_event", "create_event", "create_or_update_profile"]


def test_an_order_with_only_an_email_is_not_checked_after_sending(sandbox: Sandbox, steady: Function) -> None:
    """Its events contain nothing that could overwrite a customer's data, so the e-mail is looked up only once."""
    bare = order(customerId=None, customerEmail=EMAIL, billingAddress=None)
    done = measured(sandbox, steady, message("OrderCreated", "order", "order-1", order=bare))
    assert (done.outcome, done.read.count("customers.query")) == ("synced", 1)
