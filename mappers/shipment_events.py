"""What the shipping of an order becomes: Shipped, Partially Shipped and Delivered Order, and Confirmed Shipment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from core.rules import ShipmentRules, SyncRules
from core.settings import Settings
from mappers.address import event_address
from mappers.deliveries import (
    Shipment,
    deliveries_fields,
    is_return_label,
    parts_in,
    remaining_count,
    shipments,
    tracking_fields,
    tracking_number,
    tracking_of,
)
from mappers.localized import text
from mappers.mapped import JsonObject, mapper
from mappers.order_documents import Order, Parcel
from mappers.order_events import Fact, worth
from mappers.order_parts import Part, order_lines, parts_of, total
from mappers.order_properties import Known
from mappers.properties import present


@dataclass(frozen=True, slots=True)
class StateChange:
    """A shipment state that an order came into, and what told it.

    Without `message_id` no message is known to have told it: the order was found in that state, and `occurred_at` is a
    guess.
    """

    state: str
    occurred_at: str
    message_id: str = ""
    old_state: str = ""


def metrics_of(state: str, rules: SyncRules) -> list[tuple[str, bool]]:
    """The metrics that a shipment state makes, and whether an order may have them again.

    A state may stand in several lists. A metric that is off hides none of the others.
    """
    shipment, metrics = rules.shipment, rules.metrics
    lists = (
        (shipment.shipped_states, metrics.shipped_order, False),
        (shipment.partial_states, metrics.partially_shipped_order, True),
        (shipment.delivered_states, metrics.delivered_order, False),
    )
    return [(metric, is_repeated) for states, metric, is_repeated in lists if metric and state in states]


def is_told_of(state: str, rules: SyncRules) -> bool:
    """Whether coming into a shipment state makes any event."""
    return bool(metrics_of(state, rules)) or state in rules.order.fulfilled_shipment_states


@mapper
def shipment_state(order: Order, change: StateChange, settings: Settings) -> list[Fact]:
    """What it means that an order came into a shipment state: its own metrics, and Fulfilled Order where that is set.

    An order is shipped, delivered and fulfilled once. It may be shipped in part again and again, so that is unique by
    the message, and nothing where there is none.
    """
    rules, facts = settings.sync, []
    is_estimated = not change.message_id
    if change.state in rules.order.fulfilled_shipment_states:
        facts.append(
            Fact(
                rules.metrics.fulfilled_order,
                order["id"],
                change.occurred_at,
                worth(order, settings),
                lambda _: {},
                is_estimated=is_estimated,
            )
        )
    states = {"ShipmentState": change.state, "OldShipmentState": change.old_state}
    lines = order_lines(order)
    in_deliveries = [part for one in shipments(order) for part in parts_in(lines, one.delivery.get("items") or [])]
    facts.extend(
        Fact(
            metric,
            f"{order['id']}:{change.message_id}" if is_repeated else order["id"],
            change.occurred_at,
            worth(order, settings),
            lambda known: present(states) | deliveries_fields(order, known, settings),
            cuts=_cuts("Deliveries[].Items[]", in_deliveries),
            is_estimated=is_estimated,
        )
        for metric, is_repeated in metrics_of(change.state, rules)
        if not (is_repeated and is_estimated)
    )
    return facts


def why_unconfirmed(parcel: Parcel, rules: ShipmentRules) -> str:
    """Why a parcel makes no event (yet); empty where it does."""
    if is_return_label(parcel) and not rules.returns:
        return "return_label"
    return "no_tracking" if rules.wait_for_tracking and not tracking_number(parcel) else ""


@dataclass(frozen=True, slots=True)
class Left:
    """A parcel that left, its delivery, and when."""

    parcel: Parcel
    shipment: Shipment
    occurred_at: str


class _Content:
    """What is in a parcel, with the fields of its items made once: parcels may share all that is in their delivery."""

    def __init__(self, found: Sequence[Part | None]) -> None:
        self.parts = [part for part in found if part]
        self.cuts = _cuts("ShippedItems[]", found)
        self._fields: list[JsonObject] = []

    def fields(self, known: Known, settings: Settings) -> list[JsonObject]:
        """`ShippedItems`."""
        self._fields = self._fields or [part.fields(known, settings) for part in self.parts]
        return self._fields


@mapper
def confirmed_shipments(order: Order, parcels: Iterable[Left], settings: Settings) -> list[Fact]:
    """Parcels left, with their tracking numbers: unique by both, so that a corrected number is told again."""
    lines, remaining = order_lines(order), remaining_count(order)
    contents: dict[tuple[tuple[str | None, int], ...], _Content] = {}
    facts = []
    for left in parcels:
        items = left.shipment.items_of(left.parcel)
        key = tuple((item.get("id"), item["quantity"]) for item in items)
        content = contents[key] = contents.get(key) or _Content(parts_of(lines, key))
        number, parcel_id = tracking_number(left.parcel), left.parcel["id"]
        facts.append(
            Fact(
                settings.sync.metrics.confirmed_shipment,
                f"{parcel_id}:{number}" if number else parcel_id,
                left.occurred_at,
                total(content.parts),
                partial(_parcel_fields, order, left, content, remaining, settings),
                cuts=content.cuts,
            )
        )
    return facts


def _parcel_fields(
    order: Order, left: Left, content: _Content, remaining: int, settings: Settings, known: Known
) -> JsonObject:
    shipment = left.shipment
    expected = shipment.info.get("estimatedDelivery") or {}
    return {
        **tracking_fields(order, left.parcel, shipment, settings),
        **present(
            {
                "DeliveryId": shipment.delivery.get("id"),
                "Provider": text(tracking_of(left.parcel).get("provider")),
                "ShippedItems": content.fields(known, settings),
                "ShippedItemCount": sum(part.quantity for part in content.parts) if content.parts else None,
                "RemainingItemCount": remaining,
                "ShippingMethod": text(shipment.info.get("shippingMethodName")),
                "EstimatedDeliveryFrom": text(expected.get("from")),
                "EstimatedDeliveryUntil": text(expected.get("until")),
                "DeliveryAddress": event_address(shipment.address) or None,
            }
        ),
    }


def _cuts(path: str, parts: Sequence[Part | None]) -> tuple[str, ...]:
    return (f"{path}: the order no longer has its line",) if None in parts else ()
