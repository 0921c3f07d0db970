"""The price that is shown, for every set of prices by group, channel and country, compared with the rule."""

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import Any

import pytest

from core.settings import Settings
from mappers.price import current_price, price_metadata
from tests.unit.strategies import euros, settings_with

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GROUP, CHANNEL, COUNTRY = "group-1", "channel-1", "DE"

VALIDITIES: Mapping[str, Mapping[str, str]] = {
    "always": {},
    "now": {"validFrom": "2026-05-01T00:00:00.000Z", "validUntil": "2026-07-01T00:00:00.000Z"},
    "longer": {"validFrom": "2025-05-01T00:00:00.000Z", "validUntil": "2026-07-01T00:00:00.000Z"},
    "over": {"validUntil": "2026-05-01T00:00:00.000Z"},
    "to come": {"validFrom": "2026-07-01T00:00:00.000Z"},
}

Dimensions = tuple[str, str, str]
"""Customer group, channel and country of a price. Empty means none."""


def _price(number: int, dimensions: Dimensions, validity: str = "always") -> dict[str, Any]:
    group, channel, country = dimensions
    named = {
        "customerGroup": {"typeId": "customer-group", "id": group} if group else None,
        "channel": {"typeId": "channel", "id": channel} if channel else None,
        "country": country or None,
    }
    given = {name: value for name, value in named.items() if value}
    return {"id": f"price-{number}", "value": euros(100 + number), **given, **VALIDITIES[validity]}


def _expected(prices: Iterable[Mapping[str, Any]], configured: Dimensions) -> str | None:
    """The id of the price to show, by the rule of docs/mapping.md: filter first, then narrow down step by step."""
    group, channel, country = configured
    left = [
        price
        for price in prices
        if price.get("customerGroup", {}).get("id", group) == group
        and price.get("channel", {}).get("id", channel) == channel
        and (not country or price.get("country", country) == country)
        and price.get("validFrom", "0") <= "2026-06-01" < price.get("validUntil", "9")
    ]
    if not country:
        left = [price for price in left if "country" not in price] or left
    for name in ("customerGroup", "channel", "country"):
        left = [price for price in left if name in price] or left
    left = [price for price in left if "validFrom" in price or "validUntil" in price] or left
    # The sort is stable: equal prices keep their order.
    left.sort(key=lambda price: (price.get("validFrom", "0"), price.get("validUntil", "9")))
    return left[0]["id"] if left else None


CONFIGURATIONS = tuple(product(("", GROUP), ("", CHANNEL), ("", COUNTRY)))
ALL_DIMENSIONS = tuple(product(("", GROUP, "group-2"), ("", CHANNEL, "channel-2"), ("", COUNTRY, "FR")))
EACH_CONFIGURATION = pytest.mark.parametrize(
    "configured", CONFIGURATIONS, ids=lambda configured: "+".join(filter(None, configured)) or "nobody's"
)


def _subsets() -> Iterator[list[Dimensions]]:
    """Each set of the eight combinations of the configured dimensions, including the empty set."""
    for taken in product((False, True), repeat=len(CONFIGURATIONS)):
        yield [dimensions for dimensions, is_taken in zip(CONFIGURATIONS, taken, strict=True) if is_taken]


@cache
def _settings(configured: Dimensions) -> Settings:
    group, channel, country = configured
    rules = {"price": {"country": country, "channel": channel, "customer_group": group}}
    return settings_with(rules, preferred_currency="EUR")


def _shown(prices: list[dict[str, Any]], configured: Dimensions) -> str | None:
    found: Any = current_price(prices, _settings(configured), NOW)  # type: ignore[arg-type]
    return found["id"] if found else None


@EACH_CONFIGURATION
def test_the_most_specific_price_is_shown(configured: Dimensions) -> None:
    """This holds for all 256 sets of prices for group, channel and country, in either order."""
    for dimensions in _subsets():
        prices = [_price(number, one) for number, one in enumerate(dimensions)]
        for ordered in (prices, prices[::-1]):
            assert _shown(ordered, configured) == _expected(ordered, configured), dimensions


@EACH_CONFIGURATION
def test_prices_of_others_and_of_other_times_are_skipped(configured: Dimensions) -> None:
    """Random sets include prices for other groups, channels and countries, with all kinds of validity."""
    rng = random.Random(str(configured))
    for _ in range(400):
        prices = [
            _price(number, rng.choice(ALL_DIMENSIONS), rng.choice(list(VALIDITIES)))
            for number in range(rng.randint(0, 6))
        ]
        assert _shown(prices, configured) == _expected(prices, configured), prices


@EACH_CONFIGURATION
def test_a_countrys_entry_is_the_price_shown_for_that_country(configured: Dimensions) -> None:
    """`price_DE` is the price that would be shown with `country = "DE"`.

    A euro country without prices of its own has the price shown among those without a country. `price_EUR` is the price
    that is shown. If there is none for the configured country, it is the one shown without a configured country.
    """
    group, channel, country = configured
    for dimensions in _subsets():
        prices = [_price(number, one) for number, one in enumerate(dimensions)]
        amounts, _currencies = price_metadata(prices, _settings(configured), NOW)  # type: ignore[arg-type]
        by_id = {price["id"]: price["value"]["centAmount"] / 100 for price in prices}
        for_germany = _expected(prices, (group, channel, COUNTRY))
        assert amounts.get("price_DE") == by_id.get(for_germany or ""), dimensions
        for_all = _expected([price for price in prices if "country" not in price], (group, channel, ""))
        assert amounts.get("price_IT") == by_id.get(for_all or ""), dimensions
        shown = _expected(prices, configured) or _expected(prices, (group, channel, ""))
        assert amounts.get("price_EUR") == by_id.get(shown or ""), (dimensions, country)


def test_a_price_for_recurring_orders_is_never_shown() -> None:
    """Such a price has a `recurrencePolicy`."""
    recurring = {**_price(1, ("", "", "")), "recurrencePolicy": {"typeId": "recurrence-policy", "id": "monthly"}}
    assert _shown([recurring], ("", "", "")) is None
    assert price_metadata([recurring], _settings(("", "", "")), NOW) == ({}, {})  # type: ignore[list-item]


def test_a_currency_always_has_an_entry() -> None:
    """If all of its prices are for countries other than the configured one, none is shown, but all are listed."""
    settings = _settings(("", "", "DE"))
    prices: Any = [_price(1, ("", "", "FR")), _price(2, ("", "", "IT"))]
    assert current_price(prices, settings, NOW) is None
    assert price_metadata(prices, settings, NOW)[0] == {"price_EUR": 1.01, "price_FR": 1.01, "price_IT": 1.02}
