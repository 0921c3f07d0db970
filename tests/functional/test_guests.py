"""Guests' orders: what the billing form tells goes to the guest's profile, and never stays in a customer's."""

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
from tests.functional.failure_cases import FakeTopic, fake_topic
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
every_message = pytest.mark.parametrize("told", MESSAGES.values(), ids=MESSAGES)
REGISTERED = message("CustomerCreated", "customer", "customer-1")
MOVED = change("ResourceUpdated", "customer", "customer-1", version=2)


def _mirabel(**fields: Any) -> dict[str, Any]:
    """A customer with the guest's e-mail, another name and another place."""
    told = {"email": EMAIL, "firstName": "Mirabel", "locale": "en-GB", "addresses": [address(city="Leeds")]}
    return customer(**(told | fields))


@pytest.fixture
def ordered(sandbox: Sandbox) -> Sandbox:
    """The order of a guest, with a refund."""
    sandbox.commercetools.put("orders", ORDER)
    sandbox.commercetools.put("payments", payment())
    return sandbox


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """The dead-letter topic."""
    return fake_topic(monkeypatch)


def _person(sandbox: Sandbox) -> tuple[Any, ...]:
    """What Klaviyo knows of the one person there is."""
    (profile,) = sandbox.klaviyo.state()["profiles"]
    return (*(profile.get(name) for name in ("external_id", "first_name", "locale")), profile["location"]["city"])


GUEST = (None, "Annika", "de-DE", "Berlin")
MIRABEL = ("customer-1", "Mirabel", "en-GB", "Leeds")


def _while_sent(
    sandbox: Sandbox, function: Function, told: Any, happens: Callable[[], object], **answered: Any
) -> Answer:
    """Deliver; once it was asked who has the e-mail, something happens, and the events take effect after it."""
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.fail("/api/events", method="POST", delay=1, late=True, **answered)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function.deliver, told)
        end = time.monotonic() + PATIENCE
        while not any(
            call["operation"] == "customers.query" and call["status"] for call in sandbox.commercetools.requests()
        ):
            assert time.monotonic() < end, "nobody asked who has the e-mail"
            time.sleep(0.01)
        happens()
        return answer.result()


def _registers(sandbox: Sandbox, other: Function, **fields: Any) -> None:
    """The guest registers, and another instance copies the customer."""
    sandbox.commercetools.put("customers", _mirabel(**fields))
    assert push(other, REGISTERED) == ACKNOWLEDGED


@every_message
def test_a_guest_s_order_tells_of_the_guest(ordered: Sandbox, function: Function, told: Any) -> None:
    """Name, place and language, where nobody has that e-mail."""
    assert function.deliver(told).outcome == "synced"
    assert _person(ordered) == GUEST


def test_a_guest_s_order_with_a_customer_s_e_mail_changes_nothing_of_the_customer(
    sandbox: Sandbox, function: Function
) -> None:
    """What somebody typed into a billing form is not the customer's name; the event is the customer's."""
    sandbox.commercetools.put("customers", _mirabel(email="Mirabel@Example.com"))
    function.deliver(REGISTERED)
    told = message("OrderCreated", "order", "order-1", order=ORDER | {"customerEmail": "mirabel@example.COM"})
    done = measured(sandbox, function, told)
    assert (done.outcome, done.read.count("customers.get")) == ("synced", 0)
    assert _person(sandbox) == MIRABEL
    assert done.profile("customer-1")["events"] == 2


@every_message
def test_who_registers_while_the_events_are_sent_keeps_the_name(ordered: Sandbox, serve: Serve, told: Any) -> None:
    """Another instance copies the customer first, and then the form arrives: the customer is copied after it."""
    function, other = serve(), serve()
    answer = _while_sent(ordered, function, told, partial(_registers, ordered, other))
    assert (answer.outcome, _person(ordered)) == ("synced", MIRABEL)


def test_who_registers_and_is_renamed_meanwhile(ordered: Sandbox, serve: Serve) -> None:
    """The customer of today is copied."""
    function, other = serve(), serve()

    def registers() -> None:
        _registers(ordered, other, firstName="Mira")
        ordered.commercetools.put("customers", _mirabel(version=2))
        assert push(other, MOVED) == ACKNOWLEDGED

    _while_sent(ordered, function, PLACED, registers)
    assert _person(ordered) == MIRABEL


def test_who_takes_the_guest_s_e_mail_meanwhile(ordered: Sandbox, serve: Serve) -> None:
    """A customer of before, with an e-mail of before."""
    function, other = serve(), serve()
    _registers(ordered, other, email="before@example.com")

    def moves() -> None:
        ordered.commercetools.put("customers", _mirabel(version=2))
        assert push(other, MOVED) == ACKNOWLEDGED

    _while_sent(ordered, function, PLACED, moves)
    assert _person(ordered) == MIRABEL


def test_a_message_that_fails_looks_before_it_is_given_back(ordered: Sandbox, serve: Serve) -> None:
    """The form arrived, although Klaviyo's answer says that it failed."""
    function, other = serve(), serve()
    answer = _while_sent(ordered, function, PLACED, partial(_registers, ordered, other), status=503, apply=True)
    assert (answer.outcome, _person(ordered)) == ("retried", MIRABEL)


def test_there_is_time_for_the_copy(ordered: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> None:
    """The time for sending is over: a share of it is kept for the copy."""
    function, other = serve(SYNC_CONFIG=settings_file("[limits]\nmessage_seconds = 8\n")), serve()
    ordered.klaviyo.fail("/api/events", method="POST", status=503, apply=True, delay=9, skip=1)
    answer = _while_sent(ordered, function, PLACED, partial(_registers, ordered, other), count=1)
    assert (answer.outcome, _person(ordered)) == ("retried", MIRABEL)


def test_a_look_that_failed_is_made_up_for(ordered: Sandbox, serve: Serve) -> None:
    """The message comes again, finds a customer who is newer than itself, and copies the customer after the e-mail."""
    function, other = serve(), serve()
    told = recent(PLACED)

    def registers() -> None:
        _registers(ordered, other, lastModifiedAt=now())
        ordered.commercetools.fail("/customers$", status=503)

    assert _while_sent(ordered, function, told, registers).outcome == "retried"
    assert _person(ordered) == ("customer-1", *GUEST[1:])
    ordered.commercetools.clear_failures()
    ordered.klaviyo.clear_failures()
    assert function.deliver(told).outcome == "synced"
    assert _person(ordered) == MIRABEL


def test_the_copy_waits_for_the_customer_s_own_messages(ordered: Sandbox, serve: Serve) -> None:
    """There is one writer of a profile at a time: the message is given back while another one copies the customer."""
    other, function = serve(), serve()
    services: Services = sys.modules["main"].SERVICES
    with services.locks.hold(["customer/customer-1"], 0):
        answer = _while_sent(ordered, function, PLACED, partial(_registers, ordered, other))
    assert (answer.outcome, answer.reason) == ("retried", "resource_busy")


def test_who_is_gone_again_is_not_copied(ordered: Sandbox, serve: Serve) -> None:
    """The query still shows the customer, the customer's own read no more: the events were sent."""
    function, other = serve(), serve()

    def registers() -> None:
        _registers(ordered, other)
        ordered.commercetools.fail("/customers/customer-1$", status=404)

    assert _while_sent(ordered, function, PLACED, registers).outcome == "synced"
    assert len(ordered.klaviyo.state()["events"]) == 2


def test_a_profile_that_is_refused_is_named(ordered: Sandbox, letters: FakeTopic, serve: Serve) -> None:
    """The events were sent; the letter says that the customer is what Klaviyo did not take."""
    function, other = serve(), serve()

    def registers() -> None:
        _registers(ordered, other)
        ordered.klaviyo.fail("profile-import", status=400)

    answer = _while_sent(ordered, function, PLACED, registers)
    assert (answer.outcome, answer.line["part"]) == ("dead-lettered", "customer customer-1")
    assert len(letters.published) == 1
    assert len(ordered.klaviyo.state()["events"]) == 2


SETTLED = message("PaymentTransactionStateChanged", "payment", "payment-1", transactionId="refund-1", state="Success")
BUDGETS = {"placed": (4, 2), "too large": (5, 2), "state": (5, 1), "refund": (5, 1), "refund settled": (6, 1)}


@pytest.mark.parametrize(("name", "budget"), BUDGETS.items(), ids=BUDGETS)
def test_a_guest_s_order_that_has_everything_keeps_to_its_budget(
    ordered: Sandbox, steady: Function, name: str, budget: tuple[int, int]
) -> None:
    """Products and codes are read once each, and before and after sending who has the e-mail."""
    ordered.commercetools.put("categories", category("women", "Women"))
    ordered.commercetools.put("products", product("product-1", categories=["women"]))
    ordered.commercetools.put("discount-codes", {"id": "code-1", "code": "SCARF10"})
    done = measured(ordered, steady, {**MESSAGES, "refund settled": SETTLED}[name])
    assert (done.outcome, done.calls) == ("synced", budget)
    assert done.read.count("customers.query") == 2


def test_what_a_customer_who_registers_meanwhile_costs(ordered: Sandbox, serve: Serve) -> None:
    """The customer's own copy: two reads and a write."""
    function = serve()
    ordered.klaviyo.forget_requests()
    _while_sent(ordered, function, PLACED, lambda: ordered.commercetools.put("customers", _mirabel()))
    read = [call["operation"] for call in ordered.commercetools.requests(kind="api")]
    assert (read.count("customers.query"), read.count("customers.get")) == (2, 2)
    written = [call["operation"] for call in ordered.klaviyo.requests(kind="api")]
    assert written == ["create_event", "create_event", "create_or_update_profile"]


def test_an_order_with_nothing_but_the_e_mail_costs_no_look(sandbox: Sandbox, steady: Function) -> None:
    """Its events tell nothing that could overwrite a customer's."""
    bare = order(customerId=None, customerEmail=EMAIL, billingAddress=None)
    done = measured(sandbox, steady, message("OrderCreated", "order", "order-1", order=bare))
    assert (done.outcome, done.read.count("customers.query")) == ("synced", 1)
