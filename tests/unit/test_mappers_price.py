"""Which price is shown, which tables hold all of them, and what stock says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mappers.price import current_price, price_amount, price_metadata
from mappers.stock import concerns_stock, entry_stock, stock
from tests.unit.strategies import euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, LONG_PAST, FUTURE = "2026-05-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"


def price(cents: int, currency: str = "EUR", **fields: Any) -> Any:
    """Make a price."""
    return {"id": str(cents), "value": euros(cents, currency), **fields}


@pytest.mark.parametrize(
    ("prices", "currency", "cents"),
    [
        ([price(1), price(2)], None, 1),
        ([price(1, "USD"), price(2)], "EUR", 2),
        ([price(1, "USD"), price(2)], None, 1),
        ([price(1, "USD")], "EUR", None),
        ([price(1, channel={"id": "ch"}), price(2, customerGroup={"id": "g"}), price(3)], "EUR", 3),
        ([price(1), price(2, validFrom=PAST)], "EUR", 2),
        ([price(1), price(2, validUntil=FUTURE)], "EUR", 2),
        ([price(1, validFrom=FUTURE), price(2, validUntil=PAST), price(3)], "EUR", 3),
        ([price(1, validFrom=FUTURE)], "EUR", None),
        ([price(1, validFrom=PAST), price(2, validFrom=LONG_PAST)], "EUR", 2),
        ([price(1, validFrom=PAST), price(2, validFrom=PAST, validUntil=FUTURE)], "EUR", 2),
        ([price(1, validFrom=PAST, validUntil=FUTURE), price(2, validFrom=PAST, validUntil=FUTURE)], "EUR", 1),
        ([price(1, validUntil="2026-06-01T00:00:00Z"), price(2)], "EUR", 2),
        ([price(1, validFrom="2026-06-01T00:00:00Z"), price(2)], "EUR", 1),
        ([price(1, active=False), price(2, active=True)], "EUR", 2),
        ([price(1, validFrom=None, channel=None, country="DE")], "EUR", 1),
        ([], "EUR", None),
        (None, None, None),
    ],
)
def test_the_price_that_holds_now_is_shown(prices: Any, currency: str | None, cents: int | None) -> None:
    """Currency, no channel or group, validity now before none, earliest from, earliest until, the first."""
    found = current_price(prices, settings_with(preferred_currency=currency), NOW)
    assert (found and found["id"]) == (None if cents is None else str(cents))


@pytest.mark.parametrize(
    ("shown", "amount"),
    [
        (price(1999), 19.99),
        (price(1999, discounted={"value": euros(999)}), 9.99),
        (price(1999, discounted=None), 19.99),
        ({"value": euros(500, "JPY", 0)}, 500),
        ({"value": {"type": "highPrecision", "preciseAmount": 12345, "centAmount": 12, "fractionDigits": 5}}, 0.12345),
        ({"value": euros(0)}, 0),
        (None, None),
        ({"value": {}}, None),
    ],
)
def test_the_shopper_s_price_is_shown(shown: Any, amount: float | None) -> None:
    """A discounted value wins; yen have no decimals; 0 is a price."""
    assert price_amount(shown) == amount


def test_prices_are_listed_by_currency_and_by_country_that_uses_it() -> None:
    """A price without country is that of every country with its currency, by CLDR."""
    amounts, currencies = price_metadata([price(1999), price(2500, "CHF")], NOW)
    assert amounts["price_EUR"] == amounts["price_DE"] == amounts["price_FR"] == 19.99
    assert amounts["price_CHF"] == amounts["price_CH"] == amounts["price_LI"] == 25
    assert (currencies["currency_DE"], currencies["currency_CH"]) == ("EUR", "CHF")
    assert "price_EU" not in amounts
    assert len([name for name in amounts if name.startswith("price_")]) == len(currencies) + 2
    assert "currency_US" not in currencies


def test_a_price_with_a_country_is_of_that_country_alone() -> None:
    """It beats the general price there, and stands for its currency where it is the first."""
    amounts, currencies = price_metadata([price(1000), price(1200, country="FR"), price(900, "USD", country="CH")], NOW)
    assert (amounts["price_EUR"], amounts["price_DE"], amounts["price_FR"]) == (10, 10, 12)
    assert (amounts["price_USD"], amounts["price_CH"]) == (9, 9)
    assert (currencies["currency_FR"], currencies["currency_CH"]) == ("EUR", "USD")
    assert "price_US" not in amounts
    only, _ = price_metadata([price(1000, country="DE")], NOW)
    assert only == {"price_EUR": 10, "price_DE": 10}


def test_of_several_currencies_a_country_shows_its_first() -> None:
    """Whatever the order of the prices: Panama's balboa before its dollar, Germany's euro before a foreign price."""
    for prices in ([price(1, "USD"), price(2, "PAB")], [price(2, "PAB"), price(1, "USD")]):
        assert price_metadata(prices, NOW)[1]["currency_PA"] == "PAB"
    own = [price(1, "USD", country="DE"), price(2, "EUR", country="DE")]
    assert price_metadata(own, NOW)[1] == {"currency_DE": "EUR"}


def test_only_prices_for_everybody_that_hold_now_are_listed() -> None:
    """No channels, no groups, nothing that is over or to come; a currency nobody uses has its own entry alone."""
    hidden = [
        price(1, channel={"id": "c"}),
        price(2, customerGroup={"id": "g"}),
        price(3, validFrom=FUTURE),
        {"value": None},
    ]
    assert price_metadata(hidden, NOW) == ({}, {})
    assert price_metadata([price(100, "XXX")], NOW) == ({"price_XXX": 1}, {})


@pytest.mark.parametrize(
    ("availability", "channel", "quantity", "policy"),
    [
        ({"availableQuantity": 12, "channels": {"ch": {"availableQuantity": 7}}}, "", 12, 1),
        ({"availableQuantity": 12, "channels": {"ch": {"availableQuantity": 7}}}, "ch", 7, 1),
        ({"availableQuantity": 12, "channels": {"other": {"availableQuantity": 7}}}, "ch", 0, 1),
        ({"channels": {"ch": {"availableQuantity": 7}}}, "", 0, 1),
        ({"availableQuantity": 0}, "", 0, 1),
        ({"availableQuantity": -3}, "", -3, 1),
        ({"isOnStock": True, "availableQuantity": None, "channels": None}, "ch", 0, 1),
        (None, "", 0, 2),
        (None, "ch", 0, 2),
    ],
)
def test_stock_is_that_of_the_configured_channel(availability: Any, channel: str, quantity: int, policy: int) -> None:
    """Only a variant without any availability is not tracked, so not hidden as sold out."""
    assert stock(availability, channel) == {"inventory_quantity": quantity, "inventory_policy": policy}


HERE, THERE = {"supplyChannel": {"typeId": "channel", "id": "ch"}, "availableQuantity": 3}, {"availableQuantity": 8}


@pytest.mark.parametrize(
    ("entries", "channel", "quantity"),
    [
        ([HERE, THERE], "ch", 3),
        ([HERE, THERE], "", 8),
        ([HERE], "", 0),
        ([{"quantityOnStock": 4}], "", 4),
        ([{"quantityOnStock": 4, "availableQuantity": 0}], "", 0),
    ],
)
def test_entries_say_the_stock_of_the_configured_channel(entries: Any, channel: str, quantity: int) -> None:
    """What is available, else what is on stock; a SKU with entries is tracked, so never shown as if it were not."""
    says = entry_stock(entries, channel)
    assert says["inventory_quantity"] == quantity
    assert says.get("inventory_policy") != 2


@pytest.mark.parametrize("channel", ["", "ch"])
def test_a_sku_without_entries_is_not_tracked(channel: str) -> None:
    """After the last entry is gone the variant must not look sold out."""
    assert entry_stock([], channel) == {"inventory_quantity": 0, "inventory_policy": 2}


@pytest.mark.parametrize(
    ("entry", "channel", "concerns"),
    [
        (HERE, "ch", True),
        (HERE, "", False),
        (THERE, "", True),
        (THERE, "ch", False),
        ({"supplyChannel": None}, "", True),
    ],
)
def test_an_entry_concerns_its_own_channel(entry: Any, channel: str, concerns: bool) -> None:  # noqa: FBT001 - a table
    """The configured channel, or none when none is configured."""
    assert concerns_stock(entry, channel) is concerns
