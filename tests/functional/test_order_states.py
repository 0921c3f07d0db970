"""Paid Order and workflow states: off by default, and sent once per order if they are on."""

from collections.abc import Callable

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Configured, Function, ManagePy
from tests.functional.documents import Json, message, order, reference, too_large
from tests.functional.failure_cases import FakeTopic
from tests.functional.shipment_documents import events

pytestmark = pytest.mark.usefixtures("buyer")

PICKUP = '[order]\ntransitions = { "ready-for-pickup" = "Ready for Pickup" }\n'
READY = {"id": "state-1", "version": 1, "key": "ready-for-pickup", "name": {"en-US": "Ready", "de-DE": "Bereit"}}
OTHER = {"id": "state-2", "version": 1, "key": "follow-up", "name": {}}


def _moved(state_id: str, **payload: object) -> Json:
    return message("OrderStateTransition", "order", "order-1", state=reference("state", state_id), **payload)


def _paid(state: str) -> Json:
    return message("OrderPaymentStateChanged", "order", "order-1", paymentState=state, oldPaymentState="Pending")


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with a paid order in a listed workflow state."""
    sandbox.commercetools.put_all(
        {"states": [READY, OTHER], "orders": [order(paymentState="Paid", state=reference("state", "state-1"))]}
    )
    return sandbox


@pytest.mark.parametrize("notification", [_paid("Paid"), _moved("state-1")], ids=["paid", "moved"])
def test_both_are_off_by_default(shop: Sandbox, function: Function, notification: Json) -> None:
    """Their messages are ignored without a call."""
    done = measured(shop, function, notification)
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


def test_an_order_is_paid_once(shop: Sandbox, configured: Configured) -> None:
    """Repeats add nothing, also without the payload. Other payment states cost no calls."""
    function = configured('[metrics]\npaid_order = "Paid"\n')
    for notification in (_paid("Paid"), _paid("Paid"), too_large("OrderPaymentStateChanged", "order", "order-1")):
        assert function.deliver(notification).outcome == "synced"
    event = events(shop, "Paid")["order-1"]
    assert (event["value"], event["time"][:10]) == (20, "2026-05-02")
    assert (event["properties"]["PaymentState"], event["properties"]["OldPaymentState"]) == ("Paid", "Pending")
    for state in ("Failed", "CreditOwed", "BalanceDue"):
        done = measured(shop, function, _paid(state))
        assert (done.outcome, done.calls) == ("ignored payment_state", (0, 0))
    shop.commercetools.put("orders", order(paymentState="Failed"))
    assert function.deliver(too_large("OrderPaymentStateChanged", "order", "order-1")).reason == "payment_state"


def test_a_workflow_state_that_the_order_is_in(shop: Sandbox, configured: Configured) -> None:
    """Its key comes with the order: four reads, one write. The event has key and name, not the whole state."""
    function = configured(PICKUP)
    done = measured(shop, function, _moved("state-1"))
    assert (done.outcome, done.calls) == ("synced", (4, 1))
    assert "states.get" not in done.read
    assert function.deliver(_moved("state-1")).outcome == "synced"
    event = events(shop, "Ready for Pickup")["order-1:state-1"]
    assert (event["properties"]["State"], event["properties"]["StateName"]) == ("ready-for-pickup", "Ready")
    assert event["properties"]["state"] == reference("state", "state-1")
    assert event["value"] == 20


def test_a_workflow_state_that_the_order_has_left(shop: Sandbox, configured: Configured) -> None:
    """It is read by its id once, then remembered. The event is about the state that the message names."""
    function = configured(PICKUP)
    shop.commercetools.put("orders", order(state=reference("state", "state-2")))
    first, again = (measured(shop, function, _moved("state-1")) for _ in range(2))
    assert (first.outcome, first.read.count("states.get"), first.calls) == ("synced", 1, (5, 1))
    assert (again.outcome, again.read.count("states.get")) == ("synced", 0)
    assert events(shop, "Ready for Pickup").keys() == {"order-1:state-1"}


def test_a_workflow_state_that_is_not_listed(shop: Sandbox, configured: Configured) -> None:
    """Looking up its key takes two reads. After that it costs none."""
    function = configured(PICKUP)
    first, again = (measured(shop, function, _moved("state-2")) for _ in range(2))
    assert (first.outcome, first.read) == ("ignored transition", ("orders.get", "states.get"))
    assert (again.outcome, again.calls) == ("ignored transition", (0, 0))


def test_a_workflow_state_that_was_deleted(shop: Sandbox, configured: Configured) -> None:
    """Its key can't be looked up any more, so the message is ignored."""
    done = measured(shop, configured(PICKUP), _moved("state-9"))
    assert (done.outcome, done.written) == ("ignored state_gone", ())


def test_a_transition_whose_payload_is_too_large(shop: Sandbox, configured: Configured) -> None:
    """The order's current state is used. An order without a state is ignored."""
    function = configured(PICKUP)
    notification = too_large("OrderStateTransition", "order", "order-1")
    assert function.deliver(notification).outcome == "synced"
    assert events(shop, "Ready for Pickup").keys() == {"order-1:state-1"}
    shop.commercetools.put("orders", order())
    assert function.deliver(notification).reason == "state_gone"


def test_a_state_that_the_client_may_not_read(shop: Sandbox, configured: Configured) -> None:
    """If the order comes without its expanded state, the state is read. Without view_states the message is retried.

    It is not documented whether commercetools needs the scope to expand a state.
    """
    function = configured(PICKUP)
    shop.commercetools.tokens(deny_scopes=["view_states"])
    answer = function.deliver(_moved("state-1"))
    assert (answer.outcome, answer.reason) == ("retried", "commercetools_denied")


def test_a_malformed_state_is_dead_lettered(shop: Sandbox, dead_letters: FakeTopic, configured: Configured) -> None:
    """A state that is not a reference is unmappable."""
    function = configured(PICKUP)
    shop.commercetools.put("orders", order(state="ready"))
    assert function.deliver(_moved("state-1")).reason == "unmappable"
    assert len(dead_letters.published) == 1


def test_without_the_scope_transitions_are_not_subscribed(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> None:
    """Without view_states the message could not be handled; with the scope it is in the plan."""
    rules = settings_file(PICKUP)
    plan = ("subscriptions", "plan", "--topic", "projects/p/topics/t")
    assert "message order/OrderStateTransition" in manage_py(*plan, SYNC_CONFIG=rules).output
    without = sandbox.environment["CT_SCOPE"].replace("view_states:shop", "")
    output = manage_py(*plan, SYNC_CONFIG=rules, CT_SCOPE=without).output
    assert "message order/OrderStateTransition" not in output
    assert "order/OrderStateTransition: CT_SCOPE without view_states" in output
