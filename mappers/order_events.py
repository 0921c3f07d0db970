"""An order as Klaviyo events: placed, its products, fulfilled, cancelled and refunded.

`categories` holds the category paths of the order's products, by product id. `now` is the time against which Klaviyo's
range for event times is measured, the current one unless told otherwise. Sources: mapping.md; Klaviyo, Events API.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from core.settings import Settings
from mappers.address import location
from mappers.documents import Money, Order, Transaction
from mappers.event_time import event_time, is_moved
from mappers.limits import fit_event_properties, fit_profile
from mappers.localized import text
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.money import amount, number
from mappers.order_properties import ProductCategories, line_item_fields, order_fields
from mappers.profile import profile_body
from mappers.properties import NO_RULES, present, selected


@dataclass(frozen=True, slots=True)
class _Happened:
    """What makes one event of an order different from the others."""

    metric: str
    unique_id: str
    written_time: str
    money: Money
    later: timedelta = timedelta()


@mapper
def placed_order(
    order: Order, categories: ProductCategories, settings: Settings, *, now: datetime | None = None
) -> Mapped:
    """Placed Order: unique by the order, at the time an imported order was completed, else when it was created."""
    happened = _Happened(settings.sync.metrics.placed_order, order["id"], _placed_at(order), order["totalPrice"])
    return _order_event(happened, order, order_fields(order, categories, settings), settings, now)


@mapper
def ordered_products(
    order: Order, categories: ProductCategories, settings: Settings, *, now: datetime | None = None
) -> list[Mapped]:
    """Ordered Product for each line item: unique by the line item, a second after Placed Order."""
    profile = fit_profile(_profile_attributes(order))
    events = []
    for line_item in order.get("lineItems") or []:
        happened = _Happened(
            settings.sync.metrics.ordered_product,
            line_item["id"],
            _placed_at(order),
            line_item["totalPrice"],
            later=timedelta(seconds=1),
        )
        schema = line_item_fields(order["id"], line_item, categories, settings)
        events.append(_event(happened, selected(line_item, NO_RULES), schema, profile, now))
    return events


@mapper
def fulfilled_order(
    order: Order, occurred_at: str, categories: ProductCategories, settings: Settings, *, now: datetime | None = None
) -> Mapped:
    """Order fulfilled: unique by the order; `occurred_at` is the message's `createdAt`."""
    happened = _Happened(settings.sync.metrics.fulfilled_order, order["id"], occurred_at, order["totalPrice"])
    return _order_event(happened, order, order_fields(order, categories, settings), settings, now)


@mapper
def cancelled_order(
    order: Order, occurred_at: str, categories: ProductCategories, settings: Settings, *, now: datetime | None = None
) -> Mapped:
    """Order cancelled: unique by the order; `occurred_at` is the message's `createdAt`."""
    happened = _Happened(settings.sync.metrics.cancelled_order, order["id"], occurred_at, order["totalPrice"])
    return _order_event(happened, order, order_fields(order, categories, settings), settings, now)


@mapper
def refunded_order(
    order: Order,
    payment_id: str,
    transaction: Transaction,
    occurred_at: str,
    categories: ProductCategories,
    settings: Settings,
    *,
    now: datetime | None = None,
) -> Mapped:
    """Refunded Order: unique by payment and transaction, valued at what was refunded.

    Its time is the transaction's `timestamp`, else `occurred_at`, the message's `createdAt`.
    """
    refunded = transaction["amount"]
    happened = _Happened(
        settings.sync.metrics.refunded_order,
        f"{payment_id}:{transaction['id']}",
        transaction.get("timestamp") or occurred_at,
        refunded,
    )
    schema = order_fields(order, categories, settings) | {
        "RefundAmount": number(amount(refunded)),
        "TransactionId": transaction["id"],
        "PaymentId": payment_id,
    }
    return _order_event(happened, order, schema, settings, now)


def _order_event(
    happened: _Happened, order: Order, schema: JsonObject, settings: Settings, now: datetime | None
) -> Mapped:
    """Event of a whole order: its own fields, its custom fields and the schema fields.

    Of one name the schema field wins, then the order's own. The raw `custom` is not one of the own fields, as custom
    fields have rules of their own.
    """
    rules = settings.sync.order
    own = selected({name: value for name, value in order.items() if name != "custom"}, rules.properties)
    custom = selected((order.get("custom") or {}).get("fields"), rules.custom_fields)
    return _event(happened, own | custom | own, schema, fit_profile(_profile_attributes(order)), now)


def _event(
    happened: _Happened,
    raw: JsonObject,
    schema: JsonObject,
    profile: tuple[JsonObject, tuple[str, ...]],
    now: datetime | None,
) -> Mapped:
    now = now or datetime.now(UTC)
    properties, cuts = fit_event_properties(raw | schema, schema.keys())
    attributes, profile_cuts = profile
    event: dict[str, Any] = {
        "properties": properties,
        "time": (event_time(happened.written_time, now) + happened.later).isoformat(),
        "value": number(amount(happened.money)),
        "value_currency": happened.money["currencyCode"],
        "unique_id": happened.unique_id,
        "backfill": False,
        "metric": {"data": {"type": "metric", "attributes": {"name": happened.metric}}},
        "profile": profile_body(attributes),
    }
    moved = ("time: out of Klaviyo's range",) if is_moved(happened.written_time, now) else ()
    return Mapped(
        {"data": {"type": "event", "attributes": event}},
        (*moved, *cuts, *(f"profile.{cut}" for cut in profile_cuts)),
    )


def _placed_at(order: Order) -> str:
    return order.get("completedAt") or order["createdAt"]


def _profile_attributes(order: Order) -> JsonObject:
    """Who ordered; of a guest also the name and place of the billing address, but no number a shop may not call."""
    attributes: JsonObject = {"email": text(order.get("customerEmail")), "external_id": order.get("customerId")}
    if not order.get("customerId"):
        address = order.get("billingAddress") or {}
        attributes |= {
            "first_name": text(address.get("firstName")),
            "last_name": text(address.get("lastName")),
            "location": location(address) or None,
        }
    return present(attributes)
