"""The checkbox at checkout subscribes guests and customers, and never unsubscribes."""

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
FIELD_AND_BOX = RULES + 'orders = "custom.newsletter"\n'
GUEST = "guest@example.com"
EVENT = "create_event"


def placed(*, ticked: Any = True, guest: bool = True, at: str = "", name: str = "OrderCreated", **fields: Any) -> Json:
    """A message about an order, by default of a guest who ticked the box."""
    owner = {"customerId": None, "customerEmail": GUEST} if guest else {}
    at = at or ago(minutes=1)
    document = order(**{**owner, "custom": {"fields": {"newsletter": ticked}}, "createdAt": at, **fields})
    return message(name, "order", document["id"]) | {"order": document, "createdAt": at}


def consent_calls(result: Measured) -> tuple[str, ...]:
    """The operations in Klaviyo apart from events."""
    return tuple(operation for operation in result.written if operation != EVENT)


@pytest.fixture
def function(serve_consent: ServeConsent) -> Function:
    """A function that reads consent only from orders."""
    return serve_consent(BOX)


def test_a_guest_who_ticks_the_box(sandbox: Sandbox, function: Function) -> None:
    """A ticked box costs three calls if it changes the consent, and one if it agrees."""
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"
    assert profile_of(sandbox, GUEST)["properties"]["ct_consent_email"].startswith("order@")
    again = placed(id="order-2")
    assert consent_calls(measured(sandbox, function, again)) == (UPSERT,)


def test_a_guest_whom_klaviyo_does_not_list_yet(sandbox: Sandbox, function: Function) -> None:
    """While Klaviyo's profile list lags, a guest is subscribed and marked by e-mail, and gets one confirmation mail."""
    sandbox.klaviyo.consent(double_optin=True)
    sandbox.klaviyo.lag(30, of="profiles")
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent_calls(measured(sandbox, function, placed(id="order-2"))) == (UPSERT,)
    assert sandbox.klaviyo.state()["confirmations"] == [GUEST]
    assert profile_of(sandbox, GUEST)["properties"]["ct_consent_email"].startswith("order@")


@pytest.mark.parametrize("ticked", [False, "no", None, "", 1], ids=repr)
def test_an_empty_box_changes_nothing(sandbox: Sandbox, function: Function, ticked: Any) -> None:
    """An empty box costs no call and unsubscribes nobody."""
    sandbox.klaviyo.set_consent(
        GUEST, "SUBSCRIBED", custom_method_detail="commercetools", consent_timestamp=ago(days=1)
    )
    assert consent_calls(measured(sandbox, function, placed(ticked=ticked))) == ()
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


@pytest.mark.parametrize("name", ["OrderImported", "OrderCreatedFromRecurringOrder"])
def test_imported_and_recurring_orders_do_not_subscribe(sandbox: Sandbox, function: Function, name: str) -> None:
    """An imported order is old, and a recurring one repeats an earlier tick."""
    assert consent_calls(measured(sandbox, function, placed(name=name))) == ()


def test_the_later_of_link_and_box_wins(sandbox: Sandbox, function: Function) -> None:
    """A box ticked before an unsubscribe link was used changes nothing; one ticked afterwards subscribes."""
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(hours=2))
    assert consent_calls(measured(sandbox, function, placed(at=ago(hours=3)))) == (UPSERT,)
    assert consent(sandbox, email=GUEST) == "UNSUBSCRIBED"
    assert consent_calls(measured(sandbox, function, placed(at=ago(hours=1)))) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_an_order_from_a_clock_that_is_ahead(sandbox: Sandbox, function: Function) -> None:
    """A tick with a time slightly in the future counts as a yes of now."""
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(hours=1))
    assert consent_calls(measured(sandbox, function, placed(at=ago(seconds=-30)))) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_a_customer_who_ticks_the_box(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The box subscribes a customer. Their unticked field does not unsubscribe, only unticking it does."""
    function = serve_consent(FIELD_AND_BOX)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False))
    result = measured(sandbox, function, placed(guest=False))
    assert consent_calls(result) == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    edit = change("ResourceUpdated", "customer", "customer-1", version=2)
    assert measured(sandbox, function, edit).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    unticked = field_message(False, previous=True, at=ago(), version=3)
    assert measured(sandbox, function, unticked).written == (UPSERT, UNSUBSCRIBE, UPDATE)


def test_a_box_of_a_customer_already_subscribed_by_the_shop(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The box sets its marker, so that neither a late message about an earlier untick nor an edit unsubscribes."""
    function = serve_consent(FIELD_AND_BOX)
    sandbox.klaviyo.set_consent(
        EMAIL, "SUBSCRIBED", consent_timestamp=ago(hours=2), custom_method_detail="commercetools"
    )
    long_ago = {"lastModifiedAt": ago(days=1)}
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | long_ago)
    assert consent_calls(measured(sandbox, function, placed(guest=False, at=ago(minutes=5)))) == (UPSERT, UPDATE)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=2))
    late = field_message(False, previous=True, at=ago(minutes=10), version=2)
    assert measured(sandbox, function, late).written == (UPSERT,)
    edit = change("ResourceUpdated", "customer", "customer-1", version=3)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False, version=3))
    assert measured(sandbox, function, edit).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_a_customer_who_said_no_after_the_order(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """A late order message does not subscribe a customer who has changed since and whose field says no."""
    function = serve_consent(FIELD_AND_BOX)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | {"lastModifiedAt": ago(minutes=1)})
    result = measured(sandbox, function, placed(guest=False, at=ago(minutes=5)))
    assert consent_calls(result) == ()
    assert result.answer.line["consent"] == ["email nothing: customer_changed_since_the_order"]


def test_a_deleted_customer(sandbox: Sandbox, function: Function) -> None:
    """The order of a deleted customer subscribes nobody."""
    result = measured(sandbox, function, placed(guest=False))
    assert result.outcome == "ignored customer_gone"
    assert klaviyo_calls(sandbox) == []


def test_a_customer_erased_during_the_message(sandbox: Sandbox, function: Function) -> None:
    """A profile re-created by subscribing a customer who was erased at that moment is erased again."""
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=True))
    read = "^/shop/customers/"
    not_found = {"statusCode": 404, "errors": [{"code": "ResourceNotFound"}]}
    sandbox.commercetools.fail(read, status=404, body=not_found, skip=3)
    result = measured(sandbox, function, placed(guest=False))
    assert SUBSCRIBE in result.written
    assert "request_profile_deletion" in result.written
    assert [one for one in sandbox.klaviyo.state()["profiles"] if one.get("email") == EMAIL] == []


def test_an_order_without_event(sandbox: Sandbox, function: Function) -> None:
    """An order that is already cancelled sends no event, but its ticked box subscribes."""
    result = measured(sandbox, function, placed(orderState="Cancelled"))
    assert (result.outcome, result.written) == ("ignored order_state", (UPSERT, SUBSCRIBE, UPDATE))
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


@pytest.mark.usefixtures("dead_letters")
def test_a_refused_event(sandbox: Sandbox, function: Function) -> None:
    """If Klaviyo refuses the event, the guest is subscribed anyway."""
    sandbox.klaviyo.fail("^/api/events", status=400, count=1)
    result = measured(sandbox, function, placed())
    assert result.outcome == "dead-lettered klaviyo_refused"
    assert consent(sandbox, email=GUEST) == "SUBSCRIBED"


def test_a_complaint_that_the_list_does_not_show(sandbox: Sandbox, function: Function) -> None:
    """The complaint of a guest missing from the profile list is found by the upsert, which can't lag."""
    complaint = [{"reason": "SPAM_COMPLAINT", "timestamp": ago(days=1)}]
    sandbox.klaviyo.set_consent(GUEST, "UNSUBSCRIBED", consent_timestamp=ago(days=1), suppression=complaint)
    sandbox.klaviyo.fail("^/api/profiles$", method="GET", status=200, body={"data": [], "links": {}})
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT,)
    assert consent(sandbox, email=GUEST) == "UNSUBSCRIBED"


def test_a_box_is_never_preconfirmed(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """`confirmed` is about customer accounts: a guest's ticked box still gets Klaviyo's confirmation mail."""
    function = serve_consent(f'{BOX}confirmed = true\nconsented_at = "custom.newsletterAt"\n')
    sandbox.klaviyo.consent(double_optin=True)
    assert consent_calls(measured(sandbox, function, placed())) == (UPSERT, SUBSCRIBE, UPDATE)
    assert (consent(sandbox, email=GUEST), sandbox.klaviyo.state()["confirmations"]) == ("NEVER_SUBSCRIBED", [GUEST])


def test_resync_ignores_the_box(sandbox: Sandbox, function: Function) -> None:
    """A notification without a time, as `resync` makes it, does not apply the box of an old order again."""
    untimed = {name: value for name, value in placed().items() if name != "createdAt"}
    assert consent_calls(measured(sandbox, function, untimed)) == ()


def test_a_customer_who_orders_as_a_guest(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """The later no of a customer who ordered as a guest wins over the box."""
    function = serve_consent(FIELD_AND_BOX)
    sandbox.commercetools.put("customers", customer_with_answer(newsletter=False) | {"lastModifiedAt": ago(minutes=1)})
    result = measured(sandbox, function, placed(customerEmail=EMAIL, at=ago(minutes=5)))
    assert SUBSCRIBE not in result.written
    assert "email nothing: customer_changed_since_the_order" in result.answer.line["consent"]
    assert consent(sandbox) == "NEVER_SUBSCRIBED"
