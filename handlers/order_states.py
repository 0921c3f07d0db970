"""Other states of orders become events: paid, and the workflow states of the project's own."""

from core.conditions import setting
from core.errors import Ignored
from core.notification import Notification
from handlers.order import order_now
from handlers.order_facts import send_facts
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import Reference
from mappers.mapped import mapper
from mappers.order_documents import Order
from mappers.state_events import PAID, paid_order, transition, transition_metric


@handles("order", "OrderPaymentStateChanged", when=setting("metrics.paid_order"))
def pay_order(notification: Notification, services: Services) -> None:
    """Send Paid Order when the order's payment state becomes Paid."""
    told = notification.payload.get("paymentState")
    if told not in (None, PAID):
        raise Ignored("payment_state")
    services.prepare("Events")
    order = order_now(notification, services)
    if told is None and order.get("paymentState") != PAID:
        raise Ignored("payment_state")
    old_state = str(notification.payload.get("oldPaymentState") or "")
    fact = paid_order(order, notification.created_at, services.settings, old_state=old_state)
    send_facts(notification, order, [fact], services)


@handles("order", "OrderStateTransition", when=setting("order.transitions"), scope="view_states")
def move_order(notification: Notification, services: Services) -> None:
    """Send the metric that `[order] transitions` has for the workflow state that the order came into."""
    settings, knowledge = services.settings, services.order_knowledge
    state_id = _told_state(notification)
    known = knowledge.known_state(state_id)
    if known and not transition_metric(known, settings):
        raise Ignored("transition")
    services.prepare("Events")
    order = order_now(notification, services, with_state=True)
    held = _held(order)
    state_id = state_id or held.get("id", "")
    state = knowledge.state(state_id, held) if state_id else None
    metric = transition_metric(state, settings) if state else None
    if not state or not metric:
        raise Ignored("transition" if state else "state_gone")
    fact = transition(order, state, metric, notification.created_at, settings)
    send_facts(notification, _unexpanded(order), [fact], services)


def _told_state(notification: Notification) -> str:
    """Id of the state that the message tells; empty where its payload is left out."""
    match notification.payload.get("state"):
        case {"id": str(state_id)}:
            return state_id
    return ""


@mapper
def _held(order: Order) -> Reference:
    """The state that the order is in now; empty without one."""
    held = order.get("state") or {}
    return {"typeId": "state", "id": held["id"], "obj": held.get("obj") or {}} if held else held


def _unexpanded(order: Order) -> Order:
    """The order as its other events have it."""
    held = _held(order)
    return {**order, "state": {"typeId": "state", "id": held["id"]}} if held else order
