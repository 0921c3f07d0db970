"""Payment and workflow states of orders become events: Paid Order, and the metrics of `[order] transitions`."""

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from handlers.order import current_order
from handlers.order_owner import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Reference
from mappers.mapped import mapper
from mappers.order_documents import Order
from mappers.state_events import PAID, paid_order, transition, transition_metric


@handles("order", "OrderPaymentStateChanged", when=setting("metrics.paid_order"))
def send_paid_order(notification: Notification, services: Services) -> None:
    """Send Paid Order when the order's payment state becomes Paid."""
    payment_state = notification.payload.get("paymentState")
    if payment_state not in (None, PAID):
        raise Ignored("payment_state")
    services.prepare("Events")
    order = current_order(notification, services)
    if payment_state is None and order.get("paymentState") != PAID:
        raise Ignored("payment_state")
    old_state = str(notification.payload.get("oldPaymentState") or "")
    fact = paid_order(order, notification.created_at, services.settings, old_state=old_state)
    send_facts(notification, order, [fact], services)


@handles("order", "OrderStateTransition", when=setting("order.transitions"), scope="view_states")
def send_transition(notification: Notification, services: Services) -> None:
    """Send the metric that `[order] transitions` lists for the workflow state that the order entered."""
    settings, lookups = services.settings, services.order_lookups
    state_id = _state_in_payload(notification)
    known = lookups.cached_state(state_id)
    if known and not transition_metric(known, settings):
        raise Ignored("transition")
    services.prepare("Events")
    order = current_order(notification, services, with_state=True)
    expanded = _expanded_state(order)
    state_id = state_id or expanded.get("id", "")
    state = lookups.state(state_id, expanded) if state_id else None
    metric = transition_metric(state, settings) if state else None
    if not state or not metric:
        raise Ignored("transition" if state else "state_gone")
    fact = transition(order, state, metric, notification.created_at, settings)
    send_facts(notification, _unexpanded(order), [fact], services)


def _state_in_payload(notification: Notification) -> str:
    """Id of the state in the message's payload; empty if the payload was left out."""
    match notification.payload.get("state"):
        case {"id": str(state_id)}:
            return state_id
    return ""


@mapper
def _expanded_state(order: Order) -> Reference:
    """Reference to the order's workflow state, with the state itself; empty if the order has none."""
    reference = order.get("state") or {}
    return {"typeId": "state", "id": reference["id"], "obj": reference.get("obj") or {}} if reference else reference


def _unexpanded(order: Order) -> Order:
    """The order without the expanded state, as other messages read it: all events have the same properties."""
    reference = _expanded_state(order)
    return {**order, "state": {"typeId": "state", "id": reference["id"]}} if reference else order
