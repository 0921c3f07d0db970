"""Prices of a variant: the one shown in Klaviyo, and the tables of all of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial

from mappers.documents import Money, Price
from mappers.mapped import JsonObject
from mappers.money import number, optional_amount
from settings import Settings

_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "ZZ"})
"""Region codes of CLDR that stand for no country."""


def current_price(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> Price | None:
    """Price of a variant by the rule of mapping.md; None when no price matches.

    Of the prices in PREFERRED_CURRENCY (unset: all) without channel and customer group: one whose validity holds now
    wins over one without validity; then the earliest `validFrom`, the earliest `validUntil`, the first.
    """
    currency = settings.preferred_currency
    return _best([price for price in _shown(prices, now) if currency in (None, _currency(price))])


def price_amount(price: Price | None) -> float | int | None:
    """JSON number of a price in major units: a discounted value wins, as the shopper pays that."""
    found = optional_amount(_money(price)) if price else None
    return None if found is None else number(found)


def price_metadata(prices: Sequence[Price] | None, now: datetime) -> tuple[JsonObject, JsonObject]:
    """Tables for `price_json` and `currency_json`: `{"price_EUR": 19.99, "price_DE": 19.99}`, `{"currency_DE": "EUR"}`.

    A currency's entry follows the rule of `current_price`. A price with a country stands for that country alone, one
    without for every country that uses its currency and has no price of its own; where a country uses several of the
    currencies, the one that CLDR names first wins. Prices that are not valid now, or that are for a channel or a
    customer group, are in neither table.
    """
    by_currency: dict[str, list[Price]] = {}
    general: dict[str, list[Price]] = {}
    own: dict[str, list[Price]] = {}
    for price in _shown(prices, now):
        currency, country = _currency(price), price.get("country")
        by_currency.setdefault(currency, []).append(price)
        if country:
            own.setdefault(country, []).append(price)
        else:
            general.setdefault(currency, []).append(price)
    amounts: JsonObject = {f"price_{currency}": _best_amount(found) for currency, found in by_currency.items()}
    currencies: JsonObject = {}
    general_amounts = {currency: _best_amount(found) for currency, found in general.items()}
    for country, currency in _tender_among(tuple(general)).items():
        amounts[f"price_{country}"] = general_amounts[currency]
        currencies[f"currency_{country}"] = currency
    for country, found in own.items():
        currency = min(dict.fromkeys(map(_currency, found)), key=partial(_rank, country))
        amounts[f"price_{country}"] = _best_amount([price for price in found if _currency(price) == currency])
        currencies[f"currency_{country}"] = currency
    return amounts, currencies


def _best_amount(prices: Sequence[Price]) -> float | int | None:
    return price_amount(_best(prices))


@lru_cache(maxsize=256)
def _tender_among(currencies: tuple[str, ...]) -> Mapping[str, str]:
    """Which of the currencies each country uses that uses one of them."""
    used: dict[str, str] = {}
    for currency in currencies:
        for country in countries_of(currency):
            if country not in used or _rank(country, currency) < _rank(country, used[country]):
                used[country] = currency
    return used


def _shown(prices: Sequence[Price] | None, now: datetime) -> list[Price]:
    """Prices for everybody that hold now and say an amount."""
    return [
        price
        for price in prices or ()
        if price
        and not price.get("channel")
        and not price.get("customerGroup")
        and price.get("active") is not False
        and _holds(price, now)
        and _money(price).get("currencyCode")
        and price_amount(price) is not None
    ]


def _holds(price: Price, now: datetime) -> bool:
    begins, ends = _moment(price.get("validFrom")), _moment(price.get("validUntil"))
    return (begins is None or begins <= now) and (ends is None or now < ends)


def _best(prices: Sequence[Price]) -> Price | None:
    """Best of prices that hold now; `min` keeps the first of equals."""
    return min(prices, key=_preference, default=None)


def _preference(price: Price) -> tuple[bool, datetime, datetime]:
    begins, ends = _moment(price.get("validFrom")), _moment(price.get("validUntil"))
    always = begins is None and ends is None
    return always, begins or datetime.min.replace(tzinfo=UTC), ends or datetime.max.replace(tzinfo=UTC)


def _moment(written: str | None) -> datetime | None:
    if not written:
        return None
    moment = datetime.fromisoformat(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _money(price: Price) -> Money:
    discounted = (price.get("discounted") or {}).get("value")
    return discounted if optional_amount(discounted) is not None and discounted else price.get("value") or {}


def _currency(price: Price) -> str:
    return _money(price)["currencyCode"]


def countries_of(currency: str) -> tuple[str, ...]:
    """Countries where a currency is legal tender today, by CLDR, in alphabetical order."""
    return _tender()[0].get(currency, ())


def _rank(country: str, currency: str) -> int:
    """Place of a currency among those of a country; foreign ones come last."""
    official = _tender()[1].get(country, ())
    return official.index(currency) if currency in official else len(official)


@lru_cache(maxsize=1)
def _tender() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Countries by currency, and currencies by country."""
    from babel.core import get_global  # noqa: PLC0415 - cold start

    currencies: dict[str, tuple[str, ...]] = {}
    for country, history in get_global("territory_currencies").items():
        if country not in _NOT_COUNTRIES:
            currencies[country] = tuple(code for code, _, ended, tender in history if tender and ended is None)
    countries: dict[str, list[str]] = {}
    for country in sorted(currencies):
        for currency in currencies[country]:
            countries.setdefault(currency, []).append(country)
    return {currency: tuple(found) for currency, found in countries.items()}, currencies
