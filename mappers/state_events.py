"""Events of an order's payment state and workflow states: Paid Order, and the metrics in `[order] transitions`."""

from core.settings import Settings
from mappers.localized import localized, text
from mappers.mapped import mapper
from mappers.order_documents import Order, State
from mappers.order_events import Fact, order_value
from mappers.properties import present

PAID = "Paid"


@mapper
def paid_order(
    order: Order, occurred_at: str, settings: Settings, *, old_state: str = "", is_estimated: bool = False
) -> Fact:
    """Paid Order, for an order whose payment state is Paid. Unique by order."""
    states = present({"PaymentState": PAID, "OldPaymentState": old_state})
    return Fact(
        settings.sync.metrics.paid_order,
        order["id"],
        occurred_at,
        order_value(order, settings),
        lambda _: states,
        is_estimated=is_estimated,
    )


@mapper
def transition_metric(state: State, settings: Settings) -> str | None:
    """Metric of a workflow state, by the key of the state; None if `[order] transitions` does not list it."""
    return settings.sync.order.transitions.get(text(state.get("key")) or "")


@mapper
def transition(order: Order, state: State, metric: str, occurred_at: str, settings: Settings) -> Fact:
    """Event of an order that entered a workflow state. Unique by order and state."""
    fields = present({"State": state.get("key"), "StateName": localized(state.get("name"), settings.preferred_locale)})
    return Fact(metric, f"{order['id']}:{state['id']}", occurred_at, order_value(order, settings), lambda _: fields)
