"""What other states of an order become: Paid Order, and the metrics of `[order] transitions`."""

from core.settings import Settings
from mappers.localized import localized, text
from mappers.mapped import mapper
from mappers.order_documents import Order, State
from mappers.order_events import Fact, worth
from mappers.properties import present

PAID = "Paid"


@mapper
def paid_order(
    order: Order, occurred_at: str, settings: Settings, *, old_state: str = "", is_estimated: bool = False
) -> Fact:
    """The order's payment state is Paid: unique by the order."""
    states = present({"PaymentState": PAID, "OldPaymentState": old_state})
    return Fact(
        settings.sync.metrics.paid_order,
        order["id"],
        occurred_at,
        worth(order, settings),
        lambda _: states,
        is_estimated=is_estimated,
    )


@mapper
def transition_metric(state: State, settings: Settings) -> str | None:
    """The metric of a workflow state, by its key; None for a state that is not listed."""
    return settings.sync.order.transitions.get(text(state.get("key")) or "")


@mapper
def transition(order: Order, state: State, metric: str, occurred_at: str, settings: Settings) -> Fact:
    """The order came into a workflow state: unique by the order and the state."""
    said = present({"State": state.get("key"), "StateName": localized(state.get("name"), settings.preferred_locale)})
    return Fact(metric, f"{order['id']}:{state['id']}", occurred_at, worth(order, settings), lambda _: said)
