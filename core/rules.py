"""sync.toml: what is synced, and under what name."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from core.countries import currencies_by_country
from core.rules_consent import ConsentRules
from core.setting_errors import like, meant
from core.url_template import has_other_braces, placeholders

CONSUMED = "consumed"
"""Of the context in which the rules are validated: the keys of all messages that are consumed under some settings."""

ORDER_STATES = ("Open", "Confirmed", "Complete", "Cancelled")
SHIPMENT_STATES = ("Shipped", "Delivered", "Ready", "Pending", "Delayed", "Partial", "Backorder", "Canceled")
TRANSACTION_STATES = ("Initial", "Pending", "Success", "Failure")
"""Source: commercetools API, OrderState, ShipmentState and TransactionState. New ones may come."""

MetricName = Annotated[str, Field(min_length=1, max_length=127)]
"""Klaviyo: metric names have fewer than 128 characters."""

OptionalMetricName = Annotated[str, Field(max_length=127)]
"""The same for a metric that can be switched off: it is off while its name is empty."""

TIERS = "tiers_json"
METADATA_TABLES = ("title_json", "slug_json", "price_json", "currency_json", TIERS)
"""Keys of `custom_metadata` that items and variants always have, or, as variants the tiers, by a rule."""

ClearableAttribute = Literal["first_name", "last_name", "title", "organization", "locale", "phone_number", "location"]


class _Section(BaseModel):
    """A table of sync.toml: an unknown key is a mistake, not something to pass over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PropertyRules(_Section):
    """Which fields become properties: `include` (empty: all), then `exclude`, then `rename`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class CustomerProperties(PropertyRules):
    """The same for a customer's own fields, of which few leave the shop unasked."""

    include: tuple[str, ...] = ("customerNumber", "customerGroup", "stores")


_MESSAGE = re.compile("[a-z-]+/[A-Za-z]+")


class Messages(_Section):
    """`resource/type` keys that are acknowledged without effect."""

    disabled: tuple[str, ...] = ()

    @field_validator("disabled")
    @classmethod
    def _consumed(cls, keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """What is not consumed can't be switched off; a slip would leave the message on. All slips in one message."""
        known = (info.context or {}).get(CONSUMED) or ()
        malformed = [f"{key}, which must be such as order/OrderImported" for key in keys if not _MESSAGE.fullmatch(key)]
        unknown = [
            f"{key}, which is not consumed{meant(key, known)}"
            for key in keys
            if _MESSAGE.fullmatch(key) and known and key not in known
        ]
        if malformed or unknown:
            raise ValueError(f"names {', '.join([*malformed, *unknown])}")
        return keys


class Metrics(_Section):
    """Names of the Klaviyo metrics."""

    placed_order: MetricName = "Placed Order"
    ordered_product: MetricName = "Ordered Product"
    fulfilled_order: MetricName = "Fulfilled Order"
    cancelled_order: MetricName = "Cancelled Order"
    refunded_order: MetricName = "Refunded Order"
    shipped_order: OptionalMetricName = "Shipped Order"
    partially_shipped_order: OptionalMetricName = "Partially Shipped Order"
    delivered_order: OptionalMetricName = "Delivered Order"
    confirmed_shipment: OptionalMetricName = "Confirmed Shipment"
    requested_return: OptionalMetricName = "Requested Return"
    returned_order: OptionalMetricName = "Returned Order"
    paid_order: OptionalMetricName = ""


class EventRules(_Section):
    """From which age on (seconds) an event starts no flow; 0: never."""

    flow_max_age: Annotated[float, Field(ge=0)] = 259_200


class OrderRules(_Section):
    """States that make events, what an order is worth, whose events are sent, and what becomes properties.

    `transitions` are the metrics of workflow states by the state's key.
    """

    value: Literal["gross", "total"] = "gross"
    deleted_customers: Literal["skip", "email"] = "skip"
    placed_states: tuple[str, ...] = ()
    fulfilled_states: tuple[str, ...] = ("Confirmed", "Complete")
    cancelled_states: tuple[str, ...] = ("Cancelled",)
    fulfilled_shipment_states: tuple[str, ...] = ()
    transitions: dict[str, MetricName] = {}
    properties: PropertyRules = PropertyRules()
    custom_fields: PropertyRules = PropertyRules()


TRACKING_PLACEHOLDERS = ("trackingId", "carrier", "postalCode", "locale")
"""What the address of a tracking page may hold in double braces."""


def _tracking_url(template: str) -> str:
    if has_other_braces(template, TRACKING_PLACEHOLDERS):
        known = ", ".join(f"{{{{{name}}}}}" for name in TRACKING_PLACEHOLDERS)
        raise ValueError(f"must have no braces but those of {known}")
    return template


TrackingUrl = Annotated[
    str,
    like(r"https?://.+", "https://carrier.example/track?id={{trackingId}}"),
    AfterValidator(_tracking_url),
]


class ShipmentRules(_Section):
    """Shipment states that make events, links to the carriers' tracking pages, and which parcels make events."""

    shipped_states: tuple[str, ...] = ("Shipped",)
    partial_states: tuple[str, ...] = ("Partial",)
    delivered_states: tuple[str, ...] = ("Delivered",)
    tracking_urls: dict[str, TrackingUrl] = {}
    wait_for_tracking: bool = True
    returns: bool = False


class CustomerRules(_Section):
    """Erasure, attributes to clear, and what becomes properties."""

    erase: bool = True
    clear: tuple[ClearableAttribute, ...] = ()
    properties: CustomerProperties = CustomerProperties()
    custom_fields: PropertyRules = PropertyRules()


class PaymentRules(_Section):
    """States that make a refund, and how long a refund waits for its order (seconds)."""

    refund_states: tuple[str, ...] = ("Success",)
    order_wait: Annotated[float, Field(ge=0)] = 3600


class ProductRules(_Section):
    """The brand's attribute, and what becomes of an unpublished product."""

    brand_attribute: str = "brand"
    unpublished: Literal["delete", "hide"] = "delete"


def _several(channel: object) -> object:
    """One id as a list of one; none for an empty one."""
    return ([channel] if channel else []) if isinstance(channel, str) else channel


class InventoryRules(_Section):
    """The supply channels whose stock counts, summed; none: the stock without a channel, else that of all channels."""

    channel: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)] = ()


def _country(code: str) -> str:
    """A country's code in capitals."""
    code = code.strip().upper()
    if code and code not in currencies_by_country():
        raise ValueError("must be the ISO 3166 code of a country, such as DE or GB")
    return code


def _own_key(key: str) -> str:
    if key in METADATA_TABLES:
        raise ValueError(f"must not be {key}, which holds something else")
    return key


ResourceId = Annotated[
    str,
    like(r"[A-Za-z0-9_-]{0,256}", "8e1b7c2a-0d3f (`manage.py check --find KEY` prints ids)"),
]
"""Id of a commercetools resource, or empty."""


class PriceRules(_Section):
    """Whose price is shown, and what else of the prices is sent."""

    country: Annotated[str, AfterValidator(_country)] = ""
    channel: ResourceId = ""
    customer_group: ResourceId = ""
    discounted: bool = True
    compare_at: Annotated[str, AfterValidator(_own_key)] = "compare_at_price"
    tiers: bool = False
    standalone: bool = True


class Limits(_Section):
    """How long and how often: seconds and counts, as sync.toml explains them."""

    connect_timeout: Annotated[float, Field(gt=0)] = 3.0
    read_timeout: Annotated[float, Field(gt=0)] = 10.0
    message_seconds: Annotated[float, Field(gt=0, le=50)] = 25.0
    call_attempts: Annotated[int, Field(ge=1)] = 3
    message_retries: Annotated[int, Field(ge=0)] = 4
    retry_after_max: Annotated[float, Field(ge=0)] = 5.0
    backoff: Annotated[float, Field(ge=0)] = 0.2
    stale_after: Annotated[float, Field(ge=0)] = 0.0
    parallel_writes: Annotated[int, Field(ge=0)] = 0
    product_categories_ttl: Annotated[float, Field(ge=0)] = 300
    dead_letter_seconds: Annotated[float, Field(gt=0)] = 5.0


class BackfillRules(_Section):
    """Share of Klaviyo's limits, customers in bulk or one by one, days of orders a window, seconds to read a page."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    profiles: Literal["bulk", "single"] = "bulk"
    order_window: Annotated[int, Field(ge=1)] = 30
    read_timeout: Annotated[float, Field(gt=0)] = 60.0


class ReconcileRules(_Section):
    """Seconds until a difference is looked at again, share of Klaviyo's limits, and bounds of deletes and of drift."""

    second_look: Annotated[float, Field(ge=0)] = 60.0
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_delete: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_drift: Annotated[float, Field(ge=0, le=1)] = 0.001


class SyncRules(_Section):
    """sync.toml as a whole."""

    messages: Messages = Messages()
    metrics: Metrics = Metrics()
    events: EventRules = EventRules()
    order: OrderRules = OrderRules()
    shipment: ShipmentRules = ShipmentRules()
    customer: CustomerRules = CustomerRules()
    consent: ConsentRules = ConsentRules()
    payment: PaymentRules = PaymentRules()
    product: ProductRules = ProductRules()
    price: PriceRules = PriceRules()
    inventory: InventoryRules = InventoryRules()
    limits: Limits = Limits()
    backfill: BackfillRules = BackfillRules()
    reconcile: ReconcileRules = ReconcileRules()


def doubts(rules: SyncRules) -> Iterator[str]:
    """What looks like a mistake and may be none: states that commercetools does not have (yet), links to no parcel."""
    for name, states, known in (
        ("order.placed_states", rules.order.placed_states, ORDER_STATES),
        ("order.fulfilled_states", rules.order.fulfilled_states, ORDER_STATES),
        ("order.cancelled_states", rules.order.cancelled_states, ORDER_STATES),
        ("order.fulfilled_shipment_states", rules.order.fulfilled_shipment_states, SHIPMENT_STATES),
        ("shipment.shipped_states", rules.shipment.shipped_states, SHIPMENT_STATES),
        ("shipment.partial_states", rules.shipment.partial_states, SHIPMENT_STATES),
        ("shipment.delivered_states", rules.shipment.delivered_states, SHIPMENT_STATES),
        ("payment.refund_states", rules.payment.refund_states, TRANSACTION_STATES),
    ):
        for state in states:
            if state not in known:
                yield f"{name} names {state}, which commercetools does not have{meant(state, known)}"
    for carrier, template in rules.shipment.tracking_urls.items():
        if "trackingId" not in placeholders(template):
            yield f"shipment.tracking_urls.{carrier} has no {{{{trackingId}}}}, so all parcels get the same link"
    if rules.consent.confirmed and rules.consent.places and not rules.consent.consented_at:
        yield "consent.confirmed needs consent.consented_at: without a time nobody is subscribed by a plain change"
