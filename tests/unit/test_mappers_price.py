"""Prices and stock: the price that is shown, the tables of all prices, and the quantity."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mappers.metadata import price_tables, tier_table
from mappers.price import amount_before_discount, current_price, price_amount, price_metadata, price_tiers
from mappers.stock import entry_stock
from tests.unit.strategies import euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, LONG_PAST, FUTURE = "2026-05-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"


def price(cents: int, currency: str = "EUR", **fields: Any) -> Any:
    """A price. Its id is its cents."""
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
def test_the_current_price_is_chosen(prices: Any, currency: str | None, cents: int | None) -> None:
    """It has the currency, no channel or group, and is valid now.

    A limited validity comes before an unlimited one, then the earliest `validFrom`, then `validUntil`, then the first.
    """
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
def test_the_discounted_amount_is_shown(shown: Any, amount: float | None) -> None:
    """A discounted value replaces the price. Yen have no decimals. 0 is a price."""
    assert price_amount(shown, settings_with().sync.price) == amount


def test_prices_are_listed_by_currency_and_country() -> None:
    """A price without a country is listed for every country that uses its currency, according to CLDR."""
    amounts, currencies = price_metadata([price(1999), price(2500, "CHF")], settings_with(), NOW)
    assert amounts["price_EUR"] == amounts["price_DE"] == amounts["price_FR"] == 19.99
    assert amounts["price_CHF"] == amounts["price_CH"] == amounts["price_LI"] == 25
    assert (currencies["currency_DE"], currencies["currency_CH"]) == ("EUR", "CHF")
    assert "price_EU" not in amounts
    assert len([name for name in amounts if name.startswith("price_")]) == len(currencies) + 2
    assert "currency_US" not in currencies


def test_a_price_with_a_country_is_listed_for_that_country_only() -> None:
    """It replaces the general price there. The first price of a currency is also the currency's entry."""
    amounts, currencies = price_metadata(
        [price(1000), price(1200, country="FR"), price(900, "USD", country="CH")], settings_with(), NOW
    )
    assert (amounts["price_EUR"], amounts["price_DE"], amounts["price_FR"]) == (10, 10, 12)
    assert (amounts["price_USD"], amounts["price_CH"]) == (9, 9)
    assert (currencies["currency_FR"], currencies["currency_CH"]) == ("EUR", "USD")
    assert "price_US" not in amounts
    only, _ = price_metadata([price(1000, country="DE")], settings_with(), NOW)
    assert only == {"price_EUR": 10, "price_DE": 10}


def test_of_several_currencies_a_country_shows_its_main_one() -> None:
    """Panama shows its balboa rather than the dollar, Germany its euro, in whatever order the prices come."""
    for prices in ([price(1, "USD"), price(2, "PAB")], [price(2, "PAB"), price(1, "USD")]):
        assert price_metadata(prices, settings_with(), NOW)[1]["currency_PA"] == "PAB"
    own = [price(1, "USD", country="DE"), price(2, "EUR", country="DE")]
    assert price_metadata(own, settings_with(), NOW)[1] == {"currency_DE": "EUR"}


def test_only_current_prices_for_everybody_are_listed() -> None:
    """Prices of channels, groups and other times are skipped. A currency without a country has only its own entry."""
    hidden = [
        price(1, channel={"id": "c"}),
        price(2, customerGroup={"id": "g"}),
        price(3, validFrom=FUTURE),
        {"value": None},
    ]
    assert price_metadata(hidden, settings_with(), NOW) == ({}, {})
    assert price_metadata([price(100, "XXX")], settings_with(), NOW) == ({"price_XXX": 1}, {})


def _entry(quantity: int | None, channel: str = "", **fields: Any) -> Any:
    entry = {"availableQuantity": quantity, **fields}
    return entry | {"supplyChannel": {"typeId": "channel", "id": channel}} if channel else entry


BERLIN, PARIS, GENERAL = _entry(3, "berlin"), _entry(4, "paris"), _entry(8)


@pytest.mark.parametrize(
    ("entries", "channels", "quantity", "policy"),
    [
        ([BERLIN, PARIS, GENERAL], (), 8, 1),
        ([BERLIN, PARIS], (), 7, 1),
        ([BERLIN, PARIS, GENERAL], ("berlin",), 3, 1),
        ([BERLIN, PARIS, GENERAL], ("berlin", "paris"), 7, 1),
        ([PARIS, GENERAL], ("berlin",), 0, 2),
        ([], (), 0, 2),
        ([], ("berlin",), 0, 2),
        ([_entry(0), BERLIN], (), 0, 1),
        ([_entry(-3)], (), -3, 1),
        ([_entry(None, quantityOnStock=4)], (), 4, 1),
        ([_entry(0, quantityOnStock=4)], (), 0, 1),
        ([_entry(5, supplyChannel=None), BERLIN], (), 5, 1),
    ],
)
def test_stock_is_the_sum_of_the_relevant_entries(
    entries: Any, channels: tuple[str, ...], quantity: int, policy: int
) -> None:
    """If channels are configured, only their entries count. If not, those without a channel count, or else all.

    If no entry counts, stock is not tracked.
    """
    assert entry_stock(entries, channels) == {"inventory_quantity": quantity, "inventory_policy": policy}


SALE = price(11900, discounted={"value": euros(8900)})


@pytest.mark.parametrize(
    ("shown", "discounted", "amount", "before"),
    [
        (SALE, True, 89, 119),
        (SALE, False, 119, None),
        (price(11900), True, 119, None),
        (price(11900, discounted={"value": euros(11900)}), True, 119, None),
        (None, True, None, None),
    ],
)
def test_price_before_the_discount(
    shown: Any,
    discounted: bool,  # noqa: FBT001 - from a table
    amount: Any,
    before: Any,
) -> None:
    """There is one only if the discount lowers the price and the discounted value is shown."""
    rules = settings_with({"price": {"discounted": discounted}}).sync.price
    assert (price_amount(shown, rules), amount_before_discount(shown, rules)) == (amount, before)


def test_the_price_before_the_discount_is_in_the_metadata() -> None:
    """It is a number under the key that `compare_at` names. Without that key, or without discounts, it is left out."""
    tables = price_tables([SALE], settings_with(), NOW)
    assert tables["compare_at_price"] == 119
    assert '"price_DE":89' in tables["price_json"]
    assert price_tables([SALE], settings_with({"price": {"compare_at": "was"}}), NOW)["was"] == 119
    for rules in ({"compare_at": ""}, {"discounted": False}):
        assert set(price_tables([SALE], settings_with({"price": rules}), NOW)) == {"price_json", "currency_json"}


def test_tiers_of_listed_prices() -> None:
    """They are listed by currency and quantity. A discounted price and one not listed have none."""
    tiers = [{"minimumQuantity": 20, "value": euros(700)}, {"minimumQuantity": 10, "value": euros(850)}]
    on = settings_with({"price": {"tiers": True}})
    francs = {"value": euros(1, "CHF")}
    listed = [price(1000, tiers=tiers), price(900, "USD"), price(1, "CHF", tiers=tiers, discounted=francs)]
    assert price_tiers(listed, on, NOW) == {"EUR": [{"from": 10, "price": 8.5}, {"from": 20, "price": 7}]}
    assert tier_table(listed, on, NOW) == {"tiers_json": '{"EUR":[{"from":10,"price":8.5},{"from":20,"price":7}]}'}
    assert price_tiers([price(500, validFrom=PAST), price(1000, tiers=tiers)], on, NOW) == {}
    assert tier_table(listed, settings_with(), NOW) == {}
    assert tier_table([price(1000)], on, NOW) == {}
