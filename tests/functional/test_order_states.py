"""Paid Order and workflow states: off by default, once an order where they are on."""

from collections.abc import Callable

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, ManagePy, Serve
from tests.functional.documents import Json, message, order, reference, too_large
from tests.functional.shipment_documents import events

pytestmark = pytest.mark.usefixtures("buyer")

PICKUP = '[order]\ntransitions = { "ready-for-pickup" = "Ready for Pickup" }\n'
READY = {"id": "state-1", "version": 1, "key": "ready-for-pickup", "name": {"en-US": "Ready", "de-DE": "Bereit"}}
OTHER = {"id": "state-2", "version": 1, "key": "follow-up", "name": {}}

Configured = Callable[[str], Function]


@pytest.fixture
def configured(serve: Serve, settings_file: Callable[[str], str]) -> Configured:
    """A function with these tables as its sync.toml, that never takes a slow machine for a slow write."""
    return lambda text: serve(SYNC_CONFIG=settings_file(text))


def _moved(state_id: str, **payload: object) -> Json:
    return message("OrderStateTransition", "order", "order-1", state=reference("state", state_id), **payload)


def _paid(state: str) -> Json:
    return message("OrderPaymentStateChanged", "order", "order-1", paymentState=state, oldPaymentState="Pending")


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """An order in the state that is listed."""
    sandbox.commercetools.put_all(
        {"states": [READY, OTHER], "orders": [order(paymentState="Paid", state=reference("state", "state-1"))]}
    )
    return sandbox


@pytest.mark.parametrize("told", [_paid("Paid"), _moved("state-1")], ids=["paid", "moved"])
def test_both_are_off_by_default(shop: Sandbox, function: Function, told: Json) -> None:
    """And cost no call."""
    done = measured(shop, function, told)
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


def test_an_order_is_paid_once(shop: Sandbox, configured: Configured) -> None:
    """Told twice, and with its payload left out; other states cost no call."""
    function = configured('[metrics]\npaid_order = "Paid"\n')
    for told in (_paid("Paid"), _paid("Paid"), too_large("OrderPaymentStateChanged", "order", "order-1")):
        assert function.deliver(told).outcome == "synced"
    event = events(shop, "Paid")["order-1"]
    assert (event["value"], event["time"][:10]) == (20, "2026-05-02")
    assert (event["properties"]["PaymentState"], event["properties"]["OldPaymentState"]) == ("Paid", "Pending")
    for state in ("Failed", "CreditOwed", "BalanceDue"):
        done = measured(shop, function, _paid(state))
        assert (done.outcome, done.calls) == ("ignored payment_state", (0, 0))
    shop.commercetools.put("orders", order(paymentState="Failed"))
    assert function.deliver(too_large("OrderPaymentStateChanged", "order", "order-1")).reason == "payment_state"


def test_a_workflow_state_that_the_order_is_in(shop: Sandbox, configured: Configured) -> None:
    """Its key comes with the order: four reads, one write; the event says the state, not the whole of it."""
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
    """It is read by its id, once, then remembered; the event is the message's."""
    function = configured(PICKUP)
    shop.commercetools.put("orders", order(state=reference("state", "state-2")))
    first, again = (measured(shop, function, _moved("state-1")) for _ in range(2))
    assert (first.outcome, first.read.count("states.get"), first.calls) == ("synced", 1, (5, 1))
    assert (again.outcome, again.read.count("states.get")) == ("synced", 0)
    assert events(shop, "Ready for Pickup").keys() == {"order-1:state-1"}


def test_a_workflow_state_that_is_not_listed(shop: Sandbox, configured: Configured) -> None:
    """Two reads until its key is known, then none."""
    function = configured(PICKUP)
    first, again = (measured(shop, function, _moved("state-2")) for _ in range(2))
    assert (first.outcome, first.read) == ("ignored transition", ("orders.get", "states.get"))
    assert (again.outcome, again.calls) == ("ignored transition", (0, 0))


def test_a_workflow_state_that_is_gone(shop: Sandbox, configured: Configured) -> None:
    """Nobody can say its key."""
    done = measured(shop, configured(PICKUP), _moved("state-9"))
    assert (done.outcome, done.written) == ("ignored state_gone", ())


def test_a_transition_whose_payload_is_left_out(shop: Sandbox, configured: Configured) -> None:
    """The order's own state; an order without one has none to tell."""
    function = configured(PICKUP)
    told = too_large("OrderStateTransition", "order", "order-1")
    assert function.deliver(told).outcome == "synced"
    assert events(shop, "Ready for Pickup").keys() == {"order-1:state-1"}
    shop.commercetools.put("orders", order())
    assert function.deliver(told).reason == "state_gone"


def test_an_expansion_that_the_client_may_not_see(shop: Sandbox, configured: Configured) -> None:
    """Whether expanding needs view_states is not documented: without `obj` the state is asked for, which waits."""
    function = configured(PICKUP)
    shop.commercetools.tokens(deny_scopes=["view_states"])
    answer = function.deliver(_moved("state-1"))
    assert (answer.outcome, answer.reason) == ("retried", "commercetools_denied")


def test_states_that_can_not_be_read(shop: Sandbox, configured: Configured) -> None:
    """They are unmappable, which goes to the dead letters."""
    function = configured(PICKUP)
    shop.commercetools.put("orders", order(state="ready"))
    assert function.deliver(_moved("state-1")).reason == "unmappable"


def test_without_the_scope_transitions_are_not_asked_for(
    sandbox: Sandbox, manage_py: ManagePy, settings_file: Callable[[str], str]
) -> None:
    """As the message could not be worked on; with it they are in the plan."""
    rules = settings_file(PICKUP)
    plan = ("subscriptions", "plan", "--topic", "projects/p/topics/t")
    assert "message order/OrderStateTransition" in manage_py(*plan, SYNC_CONFIG=rules).output
    without = sandbox.environment["CT_SCOPE"].replace("view_states:shop", "")
    told = manage_py(*plan, SYNC_CONFIG=rules, CT_SCOPE=without).output
    assert "message order/OrderStateTransition" not in told
    assert "order/OrderStateTransition: CT_SCOPE without view_states" in told
