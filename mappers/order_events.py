"""Map an order to Klaviyo events: placed, its products, fulfilled, cancelled, refunded, and facts from other mappers.

`now` is used to compute the age of an event and Klaviyo's range of times. It defaults to the current time.
Sources: docs/mapping.md; Klaviyo, Events API.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from core.settings import Settings
from mappers.documents import Money
from mappers.event_time import event_time, is_out_of_range, is_too_old_for_flows, later
from mappers.json_safe import SizeCache
from mappers.limits import fit_event_properties, fit_profile
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.money import amount, number
from mappers.order_documents import Order, Transaction
from mappers.order_properties import OrderDetails, line_item_fields, order_fields
from mappers.profile import profile_body
from mappers.properties import NO_RULES, selected

_ESTIMATED: JsonObject = {"TimeEstimated": True}


@dataclass(frozen=True, slots=True)
class OwnedOrder:
    """An order, the profile that its events belong to, and looked-up details.

    `backfill` marks the events as history: Klaviyo records them and starts no flow, whatever their age. With `flows` it
    starts flows anyway.
    """

    order: Order
    profile: JsonObject
    details: OrderDetails
    backfill: bool = False
    flows: bool = False

    @property
    def starts_flows(self) -> bool | None:
        """True if Klaviyo may start flows for the events, False if not, None if it depends on the age of each event."""
        return self.flows if self.backfill else None


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """What distinguishes one event of an order from its other events."""

    metric: str
    unique_id: str
    timestamp: str
    money: Money | None
    delay: timedelta = timedelta()
    """How long after `timestamp` the event is dated, to keep events in order."""
    starts_flows: bool | None = None
    age_from: str = ""
    """Time to count the event's age from, if not its own time: a refund can take the bank days."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to an order, such as a shipment. `fact_events` turns it into an event.

    `properties` returns the event's own properties, in addition to the order's fields. `money` is None for an event
    without a value. `cuts` lists what is missing because the order no longer has it. `is_estimated` is True if
    `occurred_at` is a guess. The event's age counts from `age_from` if set, else from `occurred_at`.
    """

    metric: str
    unique_id: str
    occurred_at: str
    money: Money | None
    properties: Callable[[OrderDetails], JsonObject]
    cuts: tuple[str, ...] = ()
    is_estimated: bool = False
    age_from: str = ""


@mapper
def placed_order(owned: OwnedOrder, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Placed Order, unique by order. Its time is when the order was created, or completed if it was imported."""
    return _order_event(settings.sync.metrics.placed_order, owned, placed_at(owned.order), settings, now)


@mapper
def ordered_products(owned: OwnedOrder, settings: Settings, *, now: datetime | None = None) -> list[Mapped]:
    """Ordered Product for each line item, unique by line item, one second after Placed Order."""
    order = owned.order
    profile = fit_profile(owned.profile)
    events = []
    for line_item in order.get("lineItems") or []:
        occurrence = _Occurrence(
            settings.sync.metrics.ordered_product,
            line_item["id"],
            placed_at(order),
            line_item["totalPrice"],
            delay=timedelta(seconds=1),
            starts_flows=owned.starts_flows,
        )
        schema = line_item_fields(order["id"], line_item, owned.details, settings)
        events.append(_event(occurrence, selected(line_item, NO_RULES), schema, profile, settings, now))
    return events


@mapper
def fulfilled_order(owned: OwnedOrder, occurred_at: str, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Fulfilled Order, unique by order. `occurred_at` is the message's `createdAt`, or an estimate in a backfill."""
    return _order_event(settings.sync.metrics.fulfilled_order, owned, occurred_at, settings, now, _estimated(owned))


@mapper
def cancelled_order(owned: OwnedOrder, occurred_at: str, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Cancelled Order, unique by order. `occurred_at` is the message's `createdAt`, or an estimate in a backfill."""
    return _order_event(settings.sync.metrics.cancelled_order, owned, occurred_at, settings, now, _estimated(owned))


@mapper
def refunded_order(
    owned: OwnedOrder,
    payment_id: str,
    transaction: Transaction,
    occurred_at: str,
    settings: Settings,
    *,
    now: datetime | None = None,
) -> Mapped:
    """Refunded Order, unique by payment and transaction. Its value is the refunded amount.

    Its time is the transaction's `timestamp`, else `occurred_at`, the message's `createdAt`. Its age counts from the
    later of the two, because a bank can take days for a refund.
    """
    refunded = transaction["amount"]
    timestamp = transaction.get("timestamp") or occurred_at
    occurrence = _Occurrence(
        settings.sync.metrics.refunded_order,
        f"{payment_id}:{transaction['id']}",
        timestamp,
        refunded,
        starts_flows=owned.starts_flows,
        age_from=later(timestamp, occurred_at),
    )
    schema = order_fields(owned.order, owned.details, settings) | {
        "RefundAmount": number(amount(refunded)),
        "TransactionId": transaction["id"],
        "PaymentId": payment_id,
    }
    return _event(occurrence, _raw_fields(owned.order, settings), schema, fit_profile(owned.profile), settings, now)


@mapper
def fact_events(
    owned: OwnedOrder, facts: Sequence[Fact], settings: Settings, *, now: datetime | None = None
) -> list[Mapped]:
    """The events of facts, each with the order's own fields and those of Klaviyo's schema.

    The fields that all events share are mapped once, because an order may have hundreds of parcels.
    """
    raw, profile, sizes = _raw_fields(owned.order, settings), fit_profile(owned.profile), SizeCache()
    schema = order_fields(owned.order, owned.details, settings)
    events = []
    for fact in facts:
        occurrence = _Occurrence(
            fact.metric,
            fact.unique_id,
            fact.occurred_at,
            fact.money,
            starts_flows=owned.starts_flows,
            age_from=fact.age_from,
        )
        properties = schema | fact.properties(owned.details) | (_ESTIMATED if fact.is_estimated else {})
        event = _event(occurrence, raw, properties, profile, settings, now, sizes)
        events.append(Mapped(event.body, (*fact.cuts, *event.cuts)))
    return events


def _estimated(owned: OwnedOrder) -> JsonObject:
    """Property that marks the time of a state change as estimated, in a backfill: commercetools does not store it."""
    return _ESTIMATED if owned.backfill else {}


def _order_event(
    metric: str,
    owned: OwnedOrder,
    timestamp: str,
    settings: Settings,
    now: datetime | None,
    extra: JsonObject | None = None,
) -> Mapped:
    """Event of a whole order, unique by order, with the order's value. `extra` holds additional properties."""
    order = owned.order
    occurrence = _Occurrence(
        metric, order["id"], timestamp, order_value(order, settings), starts_flows=owned.starts_flows
    )
    schema = order_fields(order, owned.details, settings) | (extra or {})
    return _event(occurrence, _raw_fields(order, settings), schema, fit_profile(owned.profile), settings, now)


def _raw_fields(order: Order, settings: Settings) -> JsonObject:
    """An order's own fields and its custom fields. If both have the same name, the order's own field wins.

    `custom` itself is not included, because custom fields have their own rules.
    """
    rules = settings.sync.order
    own = selected({name: value for name, value in order.items() if name != "custom"}, rules.properties)
    custom = selected((order.get("custom") or {}).get("fields"), rules.custom_fields)
    return own | custom | own


def _event(
    occurrence: _Occurrence,
    raw: JsonObject,
    schema: JsonObject,
    profile: tuple[JsonObject, tuple[str, ...]],
    settings: Settings,
    now: datetime | None,
    sizes: SizeCache | None = None,
) -> Mapped:
    now = now or datetime.now(UTC)
    properties, cuts = fit_event_properties(raw | schema, schema.keys(), sizes)
    attributes, profile_cuts = profile
    event: dict[str, Any] = {
        "properties": properties,
        "time": (event_time(occurrence.timestamp, now) + occurrence.delay).isoformat(),
        **_value(occurrence.money),
        "unique_id": occurrence.unique_id,
        "backfill": _is_backfill(occurrence, now, settings),
        "metric": {"data": {"type": "metric", "attributes": {"name": occurrence.metric}}},
        "profile": profile_body(attributes),
    }
    moved = ("time: out of Klaviyo's range",) if is_out_of_range(occurrence.timestamp, now) else ()
    return Mapped(
        {"data": {"type": "event", "attributes": event}},
        (*moved, *cuts, *(f"profile.{cut}" for cut in profile_cuts)),
    )


def _value(money: Money | None) -> JsonObject:
    return {} if money is None else {"value": number(amount(money)), "value_currency": money["currencyCode"]}


def _is_backfill(occurrence: _Occurrence, now: datetime, settings: Settings) -> bool:
    """True if Klaviyo should record the event without starting a flow."""
    if occurrence.starts_flows is not None:
        return not occurrence.starts_flows
    return is_too_old_for_flows(occurrence.age_from or occurrence.timestamp, now, settings.sync.events.flow_max_age)


def placed_at(order: Order) -> str:
    """When an order was placed: its `createdAt`, or `completedAt` if it was imported."""
    return order.get("completedAt") or order["createdAt"]


def order_value(order: Order, settings: Settings) -> Money:
    """What the customer pays for the order, by `[order] value`.

    `gross` is the total with tax, which `totalPrice` does not include if prices are net. Otherwise, or without a
    calculated tax, it is `totalPrice`.
    """
    gross = (order.get("taxedPrice") or {}).get("totalGross")
    return gross if gross and settings.sync.order.value == "gross" else order["totalPrice"]
