"""The settings in sync.toml: what is synced, and under which names."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from core.countries import currencies_by_country
from core.rules_consent import ConsentRules
from core.setting_errors import did_you_mean, like
from core.url_template import has_other_braces, placeholders

CONSUMED = "consumed"
"""Key in the validation context: the keys of all messages that have a handler."""

ORDER_STATES = ("Open", "Confirmed", "Complete", "Cancelled")
SHIPMENT_STATES = ("Shipped", "Delivered", "Ready", "Pending", "Delayed", "Partial", "Backorder", "Canceled")
TRANSACTION_STATES = ("Initial", "Pending", "Success", "Failure")
"""Source: commercetools API, OrderState, ShipmentState and TransactionState. commercetools may add states."""

MetricName = Annotated[str, Field(min_length=1, max_length=127)]
"""Klaviyo allows fewer than 128 characters in a metric's name."""

OptionalMetricName = Annotated[str, Field(max_length=127)]
"""Name of a metric that can be switched off: empty is off."""

TIERS = "tiers_json"
METADATA_TABLES = ("title_json", "slug_json", "price_json", "currency_json", TIERS)
"""Fixed keys of `custom_metadata`: the first four are always written, `tiers_json` with `[price] tiers`."""

ClearableAttribute = Literal["first_name", "last_name", "title", "organization", "locale", "phone_number", "location"]


class _Section(BaseModel):
    """A table of sync.toml. Unknown keys are refused, as they are usually typos."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PropertyRules(_Section):
    """Which fields become properties: apply `include` (empty: all), then `exclude`, then `rename`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class CustomerProperties(PropertyRules):
    """`PropertyRules` of a customer's standard fields; by default only a few of them leave the shop."""

    include: tuple[str, ...] = ("customerNumber", "customerGroup", "stores")


_MESSAGE = re.compile("[a-z-]+/[A-Za-z]+")


class Messages(_Section):
    """`resource/type` keys of messages to acknowledge without doing anything."""

    disabled: tuple[str, ...] = ()

    @field_validator("disabled")
    @classmethod
    def _only_consumed(cls, keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Refuse keys without a handler: a typo would leave the message on. One error lists all of them."""
        known = (info.context or {}).get(CONSUMED) or ()
        malformed = [f"{key}, which must look like order/OrderImported" for key in keys if not _MESSAGE.fullmatch(key)]
        unknown = [
            f"{key}, which is not consumed{did_you_mean(key, known)}"
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
    """Events older than `flow_max_age` seconds start no flow; 0: every event starts flows."""

    flow_max_age: Annotated[float, Field(ge=0)] = 259_200


class OrderRules(_Section):
    """Which states create events, which total is the value, and what becomes properties.

    `transitions` maps a workflow state's key to a metric. `deleted_customers` says whether events of deleted customers
    are skipped, or sent with the order's e-mail.
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
"""Placeholders that the URL of a tracking page may have in double braces."""


def _tracking_url(template: str) -> str:
    if has_other_braces(template, TRACKING_PLACEHOLDERS):
        known = ", ".join(f"{{{{{name}}}}}" for name in TRACKING_PLACEHOLDERS)
        raise ValueError(f"must not have braces other than {known}")
    return template


TrackingUrl = Annotated[
    str,
    like(r"https?://.+", "https://carrier.example/track?id={{trackingId}}"),
    AfterValidator(_tracking_url),
]


class ShipmentRules(_Section):
    """Which shipment states, parcels and returns create events, and URLs of the carriers' tracking pages."""

    shipped_states: tuple[str, ...] = ("Shipped",)
    partial_states: tuple[str, ...] = ("Partial",)
    delivered_states: tuple[str, ...] = ("Delivered",)
    tracking_urls: dict[str, TrackingUrl] = {}
    wait_for_tracking: bool = True
    returns: bool = False


class CustomerRules(_Section):
    """Erasure, which attributes to clear, and what becomes properties."""

    erase: bool = True
    clear: tuple[ClearableAttribute, ...] = ()
    properties: CustomerProperties = CustomerProperties()
    custom_fields: PropertyRules = PropertyRules()


class PaymentRules(_Section):
    """Which states create a refund event, and how many seconds a refund waits for its order."""

    refund_states: tuple[str, ...] = ("Success",)
    order_wait: Annotated[float, Field(ge=0)] = 3600


class ProductRules(_Section):
    """Which attribute is the brand, and what happens to an unpublished product."""

    brand_attribute: str = "brand"
    unpublished: Literal["delete", "hide"] = "delete"


def _as_list(channel: object) -> object:
    """A single id as a list, an empty one as an empty list."""
    return ([channel] if channel else []) if isinstance(channel, str) else channel


class InventoryRules(_Section):
    """Supply channels whose stock is summed. Empty: stock without a channel, or of all channels if there is none."""

    channel: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)] = ()


def _country(code: str) -> str:
    """A country code in upper case."""
    code = code.strip().upper()
    if code and code not in currencies_by_country():
        raise ValueError("must be the ISO 3166 code of a country, such as DE or GB")
    return code


def _free_metadata_key(key: str) -> str:
    if key in METADATA_TABLES:
        raise ValueError(f"must not be {key}, which is already in use")
    return key


ResourceId = Annotated[
    str,
    like(r"[A-Za-z0-9_-]{0,256}", "8e1b7c2a-0d3f (`manage.py check --find KEY` prints ids)"),
]
"""Id of a commercetools resource, or an empty string."""


class PriceRules(_Section):
    """Which price is shown, and what else about prices is sent."""

    country: Annotated[str, AfterValidator(_country)] = ""
    channel: ResourceId = ""
    customer_group: ResourceId = ""
    discounted: bool = True
    compare_at: Annotated[str, AfterValidator(_free_metadata_key)] = "compare_at_price"
    tiers: bool = False
    standalone: bool = True


class Limits(_Section):
    """Timeouts in seconds, and counts; sync.toml explains each."""

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
    """Share of Klaviyo's limits, how to import customers, days of orders per window, seconds to read a page."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    profiles: Literal["bulk", "single"] = "bulk"
    order_window: Annotated[int, Field(ge=1)] = 30
    read_timeout: Annotated[float, Field(gt=0)] = 60.0


class ReconcileRules(_Section):
    """Seconds until a difference is re-checked, share of Klaviyo's limits, and limits on deletes and on drift."""

    second_look: Annotated[float, Field(ge=0)] = 60.0
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_delete: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_drift: Annotated[float, Field(ge=0, le=1)] = 0.001


class SyncRules(_Section):
    """All of sync.toml."""

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


def warnings_for(rules: SyncRules) -> Iterator[str]:
    """Valid settings that look like mistakes: unknown states, URLs without a tracking id, consent without a time."""
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
                yield f"{name} names {state}, which commercetools does not have{did_you_mean(state, known)}"
    for carrier, template in rules.shipment.tracking_urls.items():
        if "trackingId" not in placeholders(template):
            yield f"shipment.tracking_urls.{carrier} has no {{{{trackingId}}}}, so all parcels get the same link"
    if rules.consent.confirmed and rules.consent.places and not rules.consent.consented_at:
        yield (
            "consent.confirmed needs consent.consented_at: without it, only a message about the answer itself says when"
            " a yes was given, and a yes without a time subscribes nobody"
        )
