"""The box at checkout subscribes, for guests and customers, and never takes a consent away."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import Measured, measured
from tests.functional.conftest import Function, ServeConsent
from tests.functional.consent_shop import (
    EMAIL,
    RULES,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATE,
    UPSERT,
    ago,
    consent,
    customer_with_answer,
    field_message,
    klaviyo_calls,
    profile_of,
)  # fmt: skip
from tests.functional.documents import Json, change, message, order

BOX = '[consent]\norders = "custom.newsletter"\n'
BOTH = RULES + 'orders = "custom.newsletter"\n'
GUEST = "guest@example.com"
EVENT = "create_event"


def placed(*, ticked: Any = True, guest: bool = True, at: str = "", name: str = "OrderCreated", **fields: Any) -> Json:
    """An order whose box is ticked."""
    whose = {"customerId": None, "customerEmail": GUEST} if guest else {}
    at = at or ago(minutes=1)
    told = order(**{**whose, "custom": {"fields": {"newsletter": ticked}}, "createdAt": at, **fields})
    return message(name, "order", told["id"]) | {"order": told, "createdAt": at}


def consent_calls(result: Measured) -> tuple[str, ...]:
    """Klaviyo's operations, but for the events."""
    return tuple(operation for operation in result.written if operation != EVENT)


@pytest.fixture
def function(serve_consent: ServeConsent) -> Function:
    """A function that reads the box of orders alone."""
    return serve_consent(BOX)


def test_a_guest_who_ticks_the_box(sandbox: Sandbox, function: Function) -> None:
    """+3 calls where consent changes, +1 where it agrees."""
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"
    assert profile_of(sandbox, GUEST)["properties"]["ct_consent_email"].startswith("order@")
    again = placed(id="order-2")
    assert consent_calls(measured(sandbox, function, again)) == (UPSERT,)


def test_a_guest_whom_klaviyo_does_not_show_yet(sandbox: Sandbox, function: Function) -> None:
    """The list lags: the guest is subscribed by e-mail, marked by e-mail, and asked once."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.klaviyo.lag(30, of="profiles")
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent_calls(measured(sandbox, function, placed(id="order-2"))) == (UPSERT,)
    assert sandbox.klaviyo.state()["confirmations"] == [GUEST]
    assert profile_of(sandbox, GUEST)["properties"]["ct_consent_email"].startswith("order@")


@pytest.mark.parametrize("ticked", [False, "no", None, "", 1], ids=repr)
def test_an_empty_box_says_nothing(sandbox: Sandbox, function: Function, ticked: Any) -> None:
    """No call, and nobody is unsubscribed."""
    sandbox.klaviyo.set_consent(
        GUEST, "SUBSCRIBED", custom_method_detail="commercetools", consent_timestamp=ago(days=1)
    )
    assert consent_calls(measured(sandbox, function, placed(ticked=ticked))) == ()
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


@pytest.mark.parametrize("name", ["OrderImported", "OrderCreatedFromRecurringOrder"])
def test_orders_that_nobody_ticked_just_now(sandbox: Sandbox, function: Function, name: str) -> None:
    """An import is the past, and a recurring order repeats what was ticked once."""
    assert consent_calls(measured(sandbox, function, placed(name=name))) == ()


def test_the_link_in_a_mail_against_the_box(sandbox: Sandbox, function: Function) -> None:
    """A box that was ticked before does not win, one that was ticked after does."""
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(hours=2))
    assert consent_calls(measured(sandbox, function, placed(at=ago(hours=3)))) == (UPSERT,)
    assert consent(sandbox, email=GUEST) == "UNSUBSCRIBED"
    assert consent_calls(measured(sandbox, function, placed(at=ago(hours=1)))) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_an_order_of_a_clock_that_is_ahead(sandbox: Sandbox, function: Function) -> None:
    """A yes of a moment ago, and no time to come."""
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(hours=1))
    assert consent_calls(measured(sandbox, function, placed(at=ago(seconds=-30)))) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_a_customer_who_ticks_the_box(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The customer's own field was never ticked: it takes nothing back, until it is unticked itself."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False))
    result = measured(sandbox, function, placed(guest=False))
    assert consent_calls(result) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    change_of = change("ResourceUpdated", "customer", "customer-1", version=2)
    assert measured(sandbox, function, change_of).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    unticked = field_message(False, previous=True, at=ago(), version=3)
    assert measured(sandbox, function, unticked).written == (UPSERT, UNSUBSCRIBE, UPDATE)


def test_a_box_of_somebody_whom_the_shop_has_subscribed(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """It leaves its mark: an untick before the order that arrives late, or an edit, takes nothing back."""
    function = serve_consent(BOTH)
    sandbox.klaviyo.set_consent(
        EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=2), custom_method_detail="commercetools"
    )
    long_ago = {"lastModifiedAt": ago(days=1)}
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | long_ago)
    assert consent_calls(measured(sandbox, function, placed(guest=False, at=ago(minutes=5)))) == (UPSERT, UPDATE)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    late = field_message(False, previous=True, at=ago(minutes=10), version=2)
    assert measured(sandbox, function, late).written == (UPSERT,)
    phone = change("ResourceUpdated", "customer", "customer-1", version=3)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    assert measured(sandbox, function, phone).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_a_customer_who_said_no_after_the_order(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The order's message is late: the customer has changed since, and the field says no."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | {"lastModifiedAt": ago(minutes=1)})
    result = measured(sandbox, function, placed(guest=False, at=ago(minutes=5)))
    assert consent_calls(result) == ()
    assert result.answer.line["consent"] == ["email nothing: customer_changed_since_the_order"]


def test_a_customer_who_is_gone(sandbox: Sandbox, function: Function) -> None:
    """Nobody who was erased is subscribed."""
    result = measured(sandbox, function, placed(guest=False))
    assert result.outcome == "ignored customer_gone"
    assert klaviyo_calls(sandbox) == []


def test_a_customer_who_goes_meanwhile(sandbox: Sandbox, function: Function) -> None:
    """Erased while the box is seen to: the profile that this brought back is erased again."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    read = "^/shop/customers/"
    gone = {"statusCode": 404, "errors": [{"code": "ResourceNotFound"}]}
    sandbox.commercetools.fail(read, status=404, body=gone, skip=3)
    result = measured(sandbox, function, placed(guest=False))
    assert SUBSCRIBE in result.written
    assert "request_profile_deletion" in result.written
    assert [one for one in sandbox.klaviyo.state()["profiles"] if one.get("email") == EMAIL] == []


def test_an_order_that_makes_no_event(sandbox: Sandbox, function: Function) -> None:
    """Cancelled by now: the box was ticked all the same."""
    result = measured(sandbox, function, placed(orderState="Cancelled"))
    assert (result.outcome, result.written) == ("ignored order_state", (UPSERT, SUBSCRIBE, UPDATE))
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_an_event_that_is_refused(sandbox: Sandbox, function: Function) -> None:
    """The box does not depend on the events."""
    sandbox.klaviyo.fail("^/api/events", status=400, count=1)
    result = measured(sandbox, function, placed())
    assert result.answer.outcome in ("dead-lettered", "retried")
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_a_guest_who_complained_and_whom_no_list_shows(sandbox: Sandbox, function: Function) -> None:
    """The profile is asked for by an upsert, which can't lag."""
    complaint = [{"reason": "SPAM_COMPLAINT", "timestamp": ago(days=1)}]
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(days=1), suppression=complaint)
    sandbox.klaviyo.fail("^/api/profiles$", method="GET", status=200, body={"data": [], "links": {}})
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT,)
    assert consent(sandbox, email=GUEST) == "UNSUBSCRIBED"


def test_a_box_is_never_confirmed(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The shop's own double opt-in is for accounts: a box that was ticked a moment ago gets the account's mail."""
    function = serve_consent(f'{BOX}confirmed = true\nconsented_at = "custom.newsletterAt"\n')
    sandbox.klaviyo.consent(double_optin=True)
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox, email=GUEST), sandbox.klaviyo.state()["confirmations"]) == ("NEVER_SUBSCRIBED", [GUEST])


def test_a_command_that_copies_an_order_leaves_its_box_alone(sandbox: Sandbox, function: Function) -> None:
    """`resync` tells of no time: whatever was ticked then was seen to then."""
    told = {name: value for name, value in placed().items() if name != "createdAt"}
    assert consent_calls(measured(sandbox, function, told)) == ()


def test_a_customer_who_orders_as_a_guest(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Their own no in the shop, after the order, counts."""
    function = serve_consent(BOTH)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | {"lastModifiedAt": ago(minutes=1)})
    result = measured(sandbox, function, placed(customerEmail=EMAIL, at=ago(minutes=5)))
    assert SUBSCRIBE not in result.written
    assert "email nothing: customer_changed_since_the_order" in result.answer.line["consent"]
    assert consent(sandbox) == "NEVER_SUBSCRIBED"
