"""Whose price is shown: every subset of the dimensions, against an oracle that is written from the rule."""

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
"""Customer group, channel and country; empty: none."""


def _price(number: int, whose: Dimensions, validity: str = "always") -> dict[str, Any]:
    group, channel, country = whose
    named = {
        "customerGroup": {"typeId": "customer-group", "id": group} if group else None,
        "channel": {"typeId": "channel", "id": channel} if channel else None,
        "country": country or None,
    }
    given = {name: value for name, value in named.items() if value}
    return {"id": f"price-{number}", "value": euros(100 + number), **given, **VALIDITIES[validity]}


def _right_one(prices: Iterable[Mapping[str, Any]], ours: Dimensions) -> str | None:
    """The rule, step by step: filters first, then one narrowing after the other."""
    group, channel, country = ours
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
    left.sort(key=lambda price: (price.get("validFrom", "0"), price.get("validUntil", "9")))  # equals keep their order
    return left[0]["id"] if left else None


SETTINGS = tuple(product(("", GROUP), ("", CHANNEL), ("", COUNTRY)))
WHOSE = tuple(product(("", GROUP, "group-2"), ("", CHANNEL, "channel-2"), ("", COUNTRY, "FR")))


def _subsets() -> Iterator[list[Dimensions]]:
    """Each set of the eight kinds of prices that are ours, empty one included."""
    own = tuple(product(("", GROUP), ("", CHANNEL), ("", COUNTRY)))
    for taken in product((False, True), repeat=len(own)):
        yield [whose for whose, wanted in zip(own, taken, strict=True) if wanted]


@cache
def _settings(ours: Dimensions) -> Settings:
    group, channel, country = ours
    rules = {"price": {"country": country, "channel": channel, "customer_group": group}}
    return settings_with(rules, preferred_currency="EUR")


def _shown(prices: list[dict[str, Any]], ours: Dimensions) -> str | None:
    found: Any = current_price(prices, _settings(ours), NOW)  # type: ignore[arg-type]
    return found["id"] if found else None


@pytest.mark.parametrize("ours", SETTINGS, ids=lambda ours: "+".join(filter(None, ours)) or "nobody's")
def test_every_set_of_dimensions(ours: Dimensions) -> None:
    """Of each of the 256 sets of prices for group, channel and country, in both orders: the most specific of ours."""
    for whose in _subsets():
        prices = [_price(number, one) for number, one in enumerate(whose)]
        for ordered in (prices, prices[::-1]):
            assert _shown(ordered, ours) == _right_one(ordered, ours), whose


@pytest.mark.parametrize("ours", SETTINGS, ids=lambda ours: "+".join(filter(None, ours)) or "nobody's")
def test_prices_of_others_and_validity(ours: Dimensions) -> None:
    """Prices for other groups, channels and countries, with dates of all kinds, mixed by chance."""
    rng = random.Random(str(ours))
    for _ in range(400):
        prices = [
            _price(number, rng.choice(WHOSE), rng.choice(list(VALIDITIES))) for number in range(rng.randint(0, 6))
        ]
        assert _shown(prices, ours) == _right_one(prices, ours), prices


@pytest.mark.parametrize("ours", SETTINGS, ids=lambda ours: "+".join(filter(None, ours)) or "nobody's")
def test_a_countrys_entry_is_what_its_own_setting_would_show(ours: Dimensions) -> None:
    """`price_DE` is the price that `country = "DE"` shows, for every set of prices that has one for a country.

    A country of the euro that no price names has what is shown of the prices without country. `price_EUR` is what is
    shown, or would be with no country set where there is no price for the one that is.
    """
    group, channel, country = ours
    for whose in _subsets():
        prices = [_price(number, one) for number, one in enumerate(whose)]
        amounts, _currencies = price_metadata(prices, _settings(ours), NOW)  # type: ignore[arg-type]
        by_id = {price["id"]: price["value"]["centAmount"] / 100 for price in prices}
        for_germany = _right_one(prices, (group, channel, COUNTRY))
        assert amounts.get("price_DE") == by_id.get(for_germany or ""), whose
        for_all = _right_one([price for price in prices if "country" not in price], (group, channel, ""))
        assert amounts.get("price_IT") == by_id.get(for_all or ""), whose
        shown = _right_one(prices, ours) or _right_one(prices, (group, channel, ""))
        assert amounts.get("price_EUR") == by_id.get(shown or ""), (whose, country)


def test_a_price_of_a_subscription_is_never_shown() -> None:
    """A `recurrencePolicy` is for orders that repeat."""
    recurring = {**_price(1, ("", "", "")), "recurrencePolicy": {"typeId": "recurrence-policy", "id": "monthly"}}
    assert _shown([recurring], ("", "", "")) is None
    assert price_metadata([recurring], _settings(("", "", "")), NOW) == ({}, {})  # type: ignore[list-item]


def test_a_currency_always_has_an_entry() -> None:
    """Also where all its prices are for other countries than the one that is set: none is shown, all are listed."""
    settings = _settings(("", "", "DE"))
    prices: Any = [_price(1, ("", "", "FR")), _price(2, ("", "", "IT"))]
    assert current_price(prices, settings, NOW) is None
    assert price_metadata(prices, settings, NOW)[0] == {"price_EUR": 1.01, "price_FR": 1.01, "price_IT": 1.02}
