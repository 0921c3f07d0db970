"""Events of an order's shipping: Shipped, Partially Shipped and Delivered Order, and Confirmed Shipment."""

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
from mappers.order_events import Fact, order_value
from mappers.order_parts import Part, order_lines, parts_of, total
from mappers.order_properties import OrderDetails
from mappers.properties import present


@dataclass(frozen=True, slots=True)
class StateChange:
    """A shipment state that an order entered.

    `message_id` is the message about the change. If it is empty, only the order's current state is known, and
    `occurred_at` is a guess.
    """

    state: str
    occurred_at: str
    message_id: str = ""
    old_state: str = ""


def metrics_of(state: str, rules: SyncRules) -> list[tuple[str, bool]]:
    """The metrics of a shipment state, each with True if an order may have it more than once.

    A state may be in several lists of `[shipment]`, and then has several metrics. A metric that is off is left out.
    """
    shipment, metrics = rules.shipment, rules.metrics
    lists = (
        (shipment.shipped_states, metrics.shipped_order, False),
        (shipment.partial_states, metrics.partially_shipped_order, True),
        (shipment.delivered_states, metrics.delivered_order, False),
    )
    return [(metric, is_repeated) for states, metric, is_repeated in lists if metric and state in states]


def has_shipment_events(state: str, rules: SyncRules) -> bool:
    """True if an order that enters this shipment state gets an event."""
    return bool(metrics_of(state, rules)) or state in rules.order.fulfilled_shipment_states


@mapper
def shipment_facts(order: Order, change: StateChange, settings: Settings) -> list[Fact]:
    """Events of an order that entered a shipment state: the state's metrics, and Fulfilled Order if so configured.

    An order is shipped, delivered and fulfilled once. It may be partially shipped several times, so that event is
    unique by the message, and is left out if no message is known.
    """
    rules, facts = settings.sync, []
    is_estimated = not change.message_id
    if change.state in rules.order.fulfilled_shipment_states:
        facts.append(
            Fact(
                rules.metrics.fulfilled_order,
                order["id"],
                change.occurred_at,
                order_value(order, settings),
                lambda _: {},
                is_estimated=is_estimated,
            )
        )
    states = {"ShipmentState": change.state, "OldShipmentState": change.old_state}
    lines = order_lines(order)
    in_deliveries = [
        part for shipment in shipments(order) for part in parts_in(lines, shipment.delivery.get("items") or [])
    ]
    facts.extend(
        Fact(
            metric,
            f"{order['id']}:{change.message_id}" if is_repeated else order["id"],
            change.occurred_at,
            order_value(order, settings),
            lambda details: present(states) | deliveries_fields(order, details, settings),
            cuts=_cuts("Deliveries[].Items[]", in_deliveries),
            is_estimated=is_estimated,
        )
        for metric, is_repeated in metrics_of(change.state, rules)
        if not (is_repeated and is_estimated)
    )
    return facts


def why_unconfirmed(parcel: Parcel, rules: ShipmentRules) -> str:
    """Why a parcel gets no event, or not yet; empty if it gets one."""
    if is_return_label(parcel) and not rules.returns:
        return "return_label"
    return "no_tracking" if rules.wait_for_tracking and not tracking_number(parcel) else ""


@dataclass(frozen=True, slots=True)
class ShippedParcel:
    """A parcel that was shipped, its shipment, and the time of the event."""

    parcel: Parcel
    shipment: Shipment
    occurred_at: str


class _Content:
    """The parts in a parcel. Their fields are mapped once, because parcels may share the parts of their delivery."""

    def __init__(self, parts: Sequence[Part | None]) -> None:
        self.parts = [part for part in parts if part]
        self.cuts = _cuts("ShippedItems[]", parts)
        self._fields: list[JsonObject] = []

    def fields(self, details: OrderDetails, settings: Settings) -> list[JsonObject]:
        """The parts as `ShippedItems`."""
        self._fields = self._fields or [part.fields(details, settings) for part in self.parts]
        return self._fields


@mapper
def confirmed_shipments(order: Order, parcels: Iterable[ShippedParcel], settings: Settings) -> list[Fact]:
    """Confirmed Shipment for each parcel.

    It is unique by parcel and tracking number, so that a corrected number sends another event.
    """
    lines, remaining = order_lines(order), remaining_count(order)
    contents: dict[tuple[tuple[str | None, int], ...], _Content] = {}
    facts = []
    for shipped in parcels:
        items = shipped.shipment.items_of(shipped.parcel)
        key = tuple((item.get("id"), item["quantity"]) for item in items)
        content = contents[key] = contents.get(key) or _Content(parts_of(lines, key))
        number, parcel_id = tracking_number(shipped.parcel), shipped.parcel["id"]
        facts.append(
            Fact(
                settings.sync.metrics.confirmed_shipment,
                f"{parcel_id}:{number}" if number else parcel_id,
                shipped.occurred_at,
                total(content.parts),
                partial(_parcel_fields, order, shipped, content, remaining, settings),
                cuts=content.cuts,
            )
        )
    return facts


def _parcel_fields(
    order: Order, shipped: ShippedParcel, content: _Content, remaining: int, settings: Settings, details: OrderDetails
) -> JsonObject:
    shipment = shipped.shipment
    expected = shipment.info.get("estimatedDelivery") or {}
    return {
        **tracking_fields(order, shipped.parcel, shipment, settings),
        **present(
            {
                "DeliveryId": shipment.delivery.get("id"),
                "Provider": text(tracking_of(shipped.parcel).get("provider")),
                "ShippedItems": content.fields(details, settings),
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
