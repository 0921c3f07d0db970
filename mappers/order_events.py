"""An order as Klaviyo events: placed, its products, fulfilled, cancelled and refunded, and facts of other mappers.

`now` is the time against which the age of events and Klaviyo's range for their times are measured, the current one
unless told otherwise. Sources: mapping.md; Klaviyo, Events API.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from core.settings import Settings
from mappers.documents import Money
from mappers.event_time import event_time, is_moved, starts_no_flow
from mappers.json_safe import SharedSizes
from mappers.limits import fit_event_properties, fit_profile
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.money import amount, number
from mappers.order_documents import Order, Transaction
from mappers.order_properties import Known, line_item_fields, order_fields
from mappers.profile import profile_body
from mappers.properties import NO_RULES, selected

_ESTIMATED: JsonObject = {"TimeEstimated": True}


@dataclass(frozen=True, slots=True)
class OwnedOrder:
    """An order, the profile that its events belong to, and what the shop knows beside it.

    `backfill` says that the events are history: Klaviyo records them and starts no flow, whatever their age. With
    `flows` it starts them all the same.
    """

    order: Order
    whose: JsonObject
    known: Known
    backfill: bool = False
    flows: bool = False

    @property
    def starts_flows(self) -> bool | None:
        """Whether Klaviyo may start flows for its events; None: for those that are young enough."""
        return self.flows if self.backfill else None


@dataclass(frozen=True, slots=True)
class _Happened:
    """What makes one event of an order different from the others."""

    metric: str
    unique_id: str
    written_time: str
    money: Money | None
    later: timedelta = timedelta()
    starts_flows: bool | None = None
    age_from: str = ""
    """What its age is counted from, where that is not when it happened: a bank takes days for a refund."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else that happened to an order, before it is known whose it is.

    `properties` makes what is said beside the order's own fields; `money` is None for an event without a value. `cuts`
    says what the order no longer has, and `is_estimated` that `occurred_at` is a guess. `age_from` is what its age is
    counted from, where that is not `occurred_at`.
    """

    metric: str
    unique_id: str
    occurred_at: str
    money: Money | None
    properties: Callable[[Known], JsonObject]
    cuts: tuple[str, ...] = ()
    is_estimated: bool = False
    age_from: str = ""


@mapper
def placed_order(owned: OwnedOrder, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Placed Order: unique by the order, at the time an imported order was completed, else when it was created."""
    return _order_event(settings.sync.metrics.placed_order, owned, placed_at(owned.order), settings, now)


@mapper
def ordered_products(owned: OwnedOrder, settings: Settings, *, now: datetime | None = None) -> list[Mapped]:
    """Ordered Product for each line item: unique by the line item, a second after Placed Order."""
    order = owned.order
    profile = fit_profile(owned.whose)
    events = []
    for line_item in order.get("lineItems") or []:
        happened = _Happened(
            settings.sync.metrics.ordered_product,
            line_item["id"],
            placed_at(order),
            line_item["totalPrice"],
            later=timedelta(seconds=1),
            starts_flows=owned.starts_flows,
        )
        schema = line_item_fields(order["id"], line_item, owned.known, settings)
        events.append(_event(happened, selected(line_item, NO_RULES), schema, profile, settings, now))
    return events


@mapper
def fulfilled_order(owned: OwnedOrder, occurred_at: str, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Order fulfilled: unique by the order; `occurred_at` is the message's `createdAt`, an estimate in a backfill."""
    return _order_event(settings.sync.metrics.fulfilled_order, owned, occurred_at, settings, now, _estimated(owned))


@mapper
def cancelled_order(owned: OwnedOrder, occurred_at: str, settings: Settings, *, now: datetime | None = None) -> Mapped:
    """Order cancelled: unique by the order; `occurred_at` is the message's `createdAt`, an estimate in a backfill."""
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
    """Refunded Order: unique by payment and transaction, valued at what was refunded.

    Its time is the transaction's `timestamp`, else `occurred_at`, the message's `createdAt`.
    """
    refunded = transaction["amount"]
    written_time = transaction.get("timestamp") or occurred_at
    happened = _Happened(
        settings.sync.metrics.refunded_order,
        f"{payment_id}:{transaction['id']}",
        written_time,
        refunded,
        starts_flows=owned.starts_flows,
        age_from=max(written_time, occurred_at),
    )
    schema = order_fields(owned.order, owned.known, settings) | {
        "RefundAmount": number(amount(refunded)),
        "TransactionId": transaction["id"],
        "PaymentId": payment_id,
    }
    return _event(happened, _raw_fields(owned.order, settings), schema, fit_profile(owned.whose), settings, now)


@mapper
def fact_events(
    owned: OwnedOrder, facts: Sequence[Fact], settings: Settings, *, now: datetime | None = None
) -> list[Mapped]:
    """The events of facts, with the order's own fields and those of Klaviyo's schema.

    What all of them say of the order is made once, as an order may have hundreds of parcels.
    """
    raw, profile, sizes = _raw_fields(owned.order, settings), fit_profile(owned.whose), SharedSizes()
    schema = order_fields(owned.order, owned.known, settings)
    events = []
    for fact in facts:
        happened = _Happened(
            fact.metric,
            fact.unique_id,
            fact.occurred_at,
            fact.money,
            starts_flows=owned.starts_flows,
            age_from=fact.age_from,
        )
        own = schema | fact.properties(owned.known) | (_ESTIMATED if fact.is_estimated else {})
        event = _event(happened, raw, own, profile, settings, now, sizes)
        events.append(Mapped(event.body, (*fact.cuts, *event.cuts)))
    return events


def _estimated(owned: OwnedOrder) -> JsonObject:
    """The mark of a state change in a backfill: commercetools does not keep when an order came into its state."""
    return _ESTIMATED if owned.backfill else {}


def _order_event(
    metric: str,
    owned: OwnedOrder,
    written_time: str,
    settings: Settings,
    now: datetime | None,
    marks: JsonObject | None = None,
) -> Mapped:
    """Event of a whole order, unique by the order and worth what it is worth; `marks` are further properties."""
    order = owned.order
    happened = _Happened(metric, order["id"], written_time, worth(order, settings), starts_flows=owned.starts_flows)
    schema = order_fields(order, owned.known, settings) | (marks or {})
    return _event(happened, _raw_fields(order, settings), schema, fit_profile(owned.whose), settings, now)


def _raw_fields(order: Order, settings: Settings) -> JsonObject:
    """An order's own fields and its custom fields; of one name its own wins.

    The raw `custom` is not one of the own fields, as custom fields have rules of their own.
    """
    rules = settings.sync.order
    own = selected({name: value for name, value in order.items() if name != "custom"}, rules.properties)
    custom = selected((order.get("custom") or {}).get("fields"), rules.custom_fields)
    return own | custom | own


def _event(
    happened: _Happened,
    raw: JsonObject,
    schema: JsonObject,
    profile: tuple[JsonObject, tuple[str, ...]],
    settings: Settings,
    now: datetime | None,
    sizes: SharedSizes | None = None,
) -> Mapped:
    now = now or datetime.now(UTC)
    properties, cuts = fit_event_properties(raw | schema, schema.keys(), sizes)
    attributes, profile_cuts = profile
    event: dict[str, Any] = {
        "properties": properties,
        "time": (event_time(happened.written_time, now) + happened.later).isoformat(),
        **_value(happened.money),
        "unique_id": happened.unique_id,
        "backfill": _is_backfill(happened, now, settings),
        "metric": {"data": {"type": "metric", "attributes": {"name": happened.metric}}},
        "profile": profile_body(attributes),
    }
    moved = ("time: out of Klaviyo's range",) if is_moved(happened.written_time, now) else ()
    return Mapped(
        {"data": {"type": "event", "attributes": event}},
        (*moved, *cuts, *(f"profile.{cut}" for cut in profile_cuts)),
    )


def _value(money: Money | None) -> JsonObject:
    return {} if money is None else {"value": number(amount(money)), "value_currency": money["currencyCode"]}


def _is_backfill(happened: _Happened, now: datetime, settings: Settings) -> bool:
    """Whether Klaviyo is to record the event and start no flow."""
    if happened.starts_flows is not None:
        return not happened.starts_flows
    return starts_no_flow(happened.age_from or happened.written_time, now, settings.sync.events.flow_max_age)


def placed_at(order: Order) -> str:
    """When an order was placed: an imported one when it was completed, else when it was created."""
    return order.get("completedAt") or order["createdAt"]


def worth(order: Order, settings: Settings) -> Money:
    """What the customer pays: with tax, which `totalPrice` lacks where prices are net; or `totalPrice` itself."""
    gross = (order.get("taxedPrice") or {}).get("totalGross")
    return gross if gross and settings.sync.order.value == "gross" else order["totalPrice"]
