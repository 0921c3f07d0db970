"""Events of an order: their ids, times, values and profiles, and whether they start flows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import Unmappable
from mappers.order_events import (
    OwnedOrder,
    cancelled_order,
    fulfilled_order,
    ordered_products,
    placed_order,
    refunded_order,
)
from mappers.order_properties import NO_DETAILS
from mappers.profile import email_in_event
from tests.unit.order_documents import NOW, ORDER, SCHEMA_FIELDS, SETTINGS, TOTE, TOTE_FIELDS, order, owned, placed
from tests.unit.strategies import euros, settings_with

MESSAGE_TIME = "2026-05-02T08:00:00.000Z"


def test_a_placed_order_has_raw_custom_and_schema_fields() -> None:
    """Schema fields replace all others of the same name, raw fields replace custom ones. Raw `custom` is left out."""
    mapped = placed_order(owned(ORDER), SETTINGS, now=NOW)
    event = mapped.body["data"]
    raw = {name: value for name, value in ORDER.items() if name != "custom"}
    assert event["type"] == "event"
    assert event["attributes"] == {
        "properties": {**raw, "gift": True, **SCHEMA_FIELDS},
        "time": "2026-05-01T10:00:00.250000+00:00",
        "value": 23.99,
        "value_currency": "EUR",
        "unique_id": "o1",
        "backfill": True,
        "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "jane@x.io", "external_id": "c1"}}},
    }
    assert mapped.cuts == ()


def test_each_line_item_is_an_ordered_product() -> None:
    """Its id is the line item's, its time a second after the order's, its value the row total.

    Custom line items are no products.
    """
    events = [mapped.body["data"]["attributes"] for mapped in ordered_products(owned(ORDER), SETTINGS, now=NOW)]
    assert [event["unique_id"] for event in events] == ["li1", "li2"]
    assert {event["time"] for event in events} == {"2026-05-01T10:00:01.250000+00:00"}
    assert [(event["value"], event["value_currency"]) for event in events] == [(18, "EUR"), (5, "EUR")]
    raw = {name: value for name, value in TOTE.items() if name != "note"}
    assert events[0]["properties"] == {**raw, **TOTE_FIELDS, "OrderId": "o1", "ProductBrand": "ACME"}
    assert "ProductBrand" not in events[1]["properties"]
    assert "ProductURL" not in events[1]["properties"]
    assert events[0]["metric"]["data"]["attributes"]["name"] == "Ordered Product"
    assert events[0]["profile"] == placed(ORDER)["profile"]


def test_fulfilled_and_cancelled_orders_have_the_messages_time() -> None:
    """Their properties are those of Placed Order, their names come from `[metrics]`."""
    settings = settings_with({"metrics": {"cancelled_order": "Storno"}})
    fulfilled = fulfilled_order(owned(ORDER), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]
    cancelled = cancelled_order(owned(ORDER), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]
    for event, name in ((fulfilled, "Fulfilled Order"), (cancelled, "Storno")):
        assert event["metric"]["data"]["attributes"]["name"] == name
        assert (event["unique_id"], event["value"]) == ("o1", 23.99)
        assert event["time"] == "2026-05-02T08:00:00+00:00"
        assert event["properties"] == placed(ORDER, settings)["properties"]


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [("2026-05-03T12:00:00Z", "2026-05-03T12:00:00+00:00"), (None, "2026-05-02T08:00:00+00:00")],
)
def test_a_refund_is_valued_at_its_transaction(timestamp: str | None, time: str) -> None:
    """It is unique by payment and transaction. Its time is the transaction's, else the message's."""
    transaction: Any = {"id": "t1", "type": "Refund", "state": "Success", "amount": euros(700), "timestamp": timestamp}
    event = refunded_order(owned(ORDER), "pay1", transaction, MESSAGE_TIME, SETTINGS, now=NOW).body["data"][
        "attributes"
    ]
    assert (event["unique_id"], event["time"]) == ("pay1:t1", time)
    assert (event["value"], event["value_currency"]) == (7, "EUR")
    refund = {"RefundAmount": 7, "TransactionId": "t1", "PaymentId": "pay1"}
    assert event["properties"] == {**placed(ORDER)["properties"], **refund}


@pytest.mark.parametrize(
    ("timestamp", "message_time", "flagged"),
    [
        ("2026-04-20T12:00:00Z", "2026-05-02T08:00:00Z", False),
        ("2026-04-20T12:00:00Z", "2026-04-21T08:00:00Z", True),
        (None, "2026-04-21T08:00:00Z", True),
    ],
)
def test_a_refund_that_took_days_still_starts_its_flow(
    timestamp: str | None, message_time: str, *, flagged: bool
) -> None:
    """The message's time decides, not the transaction's: banks take days, and the customer waits for the mail."""
    transaction: Any = {"id": "t1", "type": "Refund", "state": "Success", "amount": euros(700), "timestamp": timestamp}
    now = datetime(2026, 5, 2, 9, tzinfo=UTC)
    event = refunded_order(owned(ORDER), "pay1", transaction, message_time, SETTINGS, now=now).body["data"][
        "attributes"
    ]
    assert event["backfill"] is flagged


def test_a_guests_event_has_name_and_location_but_no_phone_number() -> None:
    """They come from the billing address. A customer's profile is synced by messages of its own."""
    guest = placed(order(customerId=None))
    assert guest["properties"]["IsGuest"] is True
    assert guest["profile"]["data"]["attributes"] == {
        "email": "jane@x.io",
        "first_name": "Jane",
        "last_name": "Doe",
        "location": {"address1": "Main", "city": "Berlin", "country": "DE"},
        "locale": "de-DE",
    }
    without_address = placed(order(customerId=None, billingAddress=None, locale=None))
    assert without_address["profile"]["data"]["attributes"] == {"email": "jane@x.io"}
    assert email_in_event(ORDER) == {"email": "jane@x.io"}


@pytest.mark.parametrize(("max_age", "flagged"), [(259_200, False), (3600, True), (0, False)])
def test_an_old_event_starts_no_flow(max_age: int, flagged: bool) -> None:  # noqa: FBT001 - from a table
    """`[events] flow_max_age` limits the age of the event. With 0, every event starts flows."""
    settings = settings_with({"events": {"flow_max_age": max_age}})
    day_before = order(completedAt="2026-05-31T00:00:00Z")
    assert placed(day_before, settings)["backfill"] is flagged
    products = [mapped.body["data"]["attributes"] for mapped in ordered_products(owned(day_before), settings, now=NOW)]
    assert {product["backfill"] for product in products} == {flagged}


@pytest.mark.parametrize(
    ("rules", "taxed", "value"),
    [
        ({}, {"totalNet": euros(2399), "totalGross": euros(2855)}, 28.55),
        ({"value": "total"}, {"totalNet": euros(2399), "totalGross": euros(2855)}, 23.99),
        ({}, {"totalNet": euros(2399)}, 23.99),
        ({}, None, 23.99),
    ],
)
def test_the_value_of_an_order_is_its_gross_total(rules: Any, taxed: Any, value: float) -> None:
    """Otherwise a full refund would exceed its order in shops with net prices. `value = "total"` uses `totalPrice`."""
    settings = settings_with({"order": rules})
    net = order(taxedPrice=taxed)
    assert placed(net, settings)["value"] == value
    for event in (fulfilled_order, cancelled_order):
        assert event(owned(net), MESSAGE_TIME, settings, now=NOW).body["data"]["attributes"]["value"] == value


@pytest.mark.parametrize(
    ("fields", "time", "moved"),
    [
        ({"completedAt": "2020-01-01T00:00:00+02:00"}, "2019-12-31T22:00:00+00:00", False),
        ({"completedAt": None}, "2026-05-01T10:00:00.250000+00:00", False),
        ({"completedAt": "1970-01-01T00:00:00Z"}, "1990-01-02T00:00:00+00:00", True),
        ({"completedAt": "2999-01-01T00:00:00Z"}, "2027-05-31T00:00:00+00:00", True),
    ],
)
def test_an_imported_order_was_placed_when_it_was_completed(fields: Any, time: str, moved: bool) -> None:  # noqa: FBT001 - from a table
    """The time is in UTC. A time that Klaviyo would refuse is moved into its range, and the cut is noted."""
    mapped = placed_order(owned(order(**fields)), SETTINGS, now=NOW)
    assert mapped.body["data"]["attributes"]["time"] == time
    assert mapped.cuts == (("time: out of Klaviyo's range",) if moved else ())


@pytest.mark.parametrize(
    "document",
    [{}, {"id": "o1"}, order(totalPrice={}, taxedPrice=None), order(createdAt="yesterday"), order(lineItems=5)],
)
def test_a_malformed_order_is_unmappable(document: Any) -> None:
    """A document of the wrong shape becomes a dead letter."""
    with pytest.raises(Unmappable):
        placed_order(OwnedOrder(document, {}, NO_DETAILS), SETTINGS, now=NOW)
