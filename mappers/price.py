"""Prices of a variant: the one shown in Klaviyo, and the tables of all of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from operator import attrgetter
from typing import NamedTuple

from core.settings import Settings
from mappers.documents import Money, Price
from mappers.mapped import JsonObject
from mappers.money import number, optional_amount

_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "ZZ"})
"""Region codes of CLDR that stand for no country."""
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_PREFERENCE = attrgetter("preference")


def current_price(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> Price | None:
    """Price of a variant by the rule of mapping.md; None when no price matches.

    Of the prices in PREFERRED_CURRENCY (unset: all) without channel and customer group: one whose validity holds now
    wins over one without validity; then the earliest `validFrom`, the earliest `validUntil`, the first.
    """
    currency = settings.preferred_currency
    offers = [offer for offer in _offers(prices, now) if currency in (None, offer.currency)]
    return _best(offers).price if offers else None


def price_amount(price: Price | None) -> float | int | None:
    """JSON number of a price in major units: a discounted value wins, as the shopper pays that."""
    found = _charged(price)[1] if price else None
    return None if found is None else number(found)


def price_metadata(prices: Sequence[Price] | None, now: datetime) -> tuple[JsonObject, JsonObject]:
    """Tables for `price_json` and `currency_json`: `{"price_EUR": 19.99, "price_DE": 19.99}`, `{"currency_DE": "EUR"}`.

    A currency's entry follows the rule of `current_price`. A price with a country stands for that country alone, one
    without for every country that uses its currency and has no price of its own; where a country uses several of the
    currencies, the one that CLDR names first wins. Prices that are not valid now, or that are for a channel or a
    customer group, are in neither table.
    """
    by_currency: dict[str, list[_Offer]] = {}
    general: dict[str, list[_Offer]] = {}
    own: dict[str, list[_Offer]] = {}
    for offer in _offers(prices, now):
        country = offer.price.get("country")
        by_currency.setdefault(offer.currency, []).append(offer)
        if country:
            own.setdefault(country, []).append(offer)
        else:
            general.setdefault(offer.currency, []).append(offer)
    amounts: JsonObject = {f"price_{currency}": _best_amount(found) for currency, found in by_currency.items()}
    currencies: JsonObject = {}
    general_amounts = {currency: _best_amount(found) for currency, found in general.items()}
    for country, currency in _tender_among(tuple(general)).items():
        amounts[f"price_{country}"] = general_amounts[currency]
        currencies[f"currency_{country}"] = currency
    for country, found in own.items():
        currency = min(dict.fromkeys(offer.currency for offer in found), key=partial(_rank, country))
        amounts[f"price_{country}"] = _best_amount([offer for offer in found if offer.currency == currency])
        currencies[f"currency_{country}"] = currency
    return amounts, currencies


class _Offer(NamedTuple):
    """A price for everybody that holds now, and what is worked out from it; the least `preference` is shown."""

    price: Price
    currency: str
    amount: Decimal
    preference: tuple[bool, datetime, datetime]


def _offers(prices: Sequence[Price] | None, now: datetime) -> list[_Offer]:
    return [offer for price in prices or () if price and (offer := _offer(price, now))]


def _offer(price: Price, now: datetime) -> _Offer | None:
    """A price as an offer; None when it is not for everybody, does not hold now, or says no amount."""
    if price.get("channel") or price.get("customerGroup") or price.get("active") is False:
        return None
    begins, ends = _moment(price.get("validFrom")), _moment(price.get("validUntil"))
    if (begins and begins > now) or (ends and ends <= now):
        return None
    money, charged = _charged(price)
    currency = money.get("currencyCode")
    if not currency or charged is None:
        return None
    always = begins is None and ends is None
    return _Offer(price, currency, charged, (always, begins or _EARLIEST, ends or _LATEST))


def _best(offers: Sequence[_Offer]) -> _Offer:
    """The one to be shown; `min` keeps the first of equals."""
    return min(offers, key=_PREFERENCE)


def _best_amount(offers: Sequence[_Offer]) -> float | int:
    return number(_best(offers).amount)


@lru_cache(maxsize=256)
def _tender_among(currencies: tuple[str, ...]) -> Mapping[str, str]:
    """Which of the currencies each country uses that uses one of them."""
    used: dict[str, str] = {}
    for currency in currencies:
        for country in countries_of(currency):
            if country not in used or _rank(country, currency) < _rank(country, used[country]):
                used[country] = currency
    return used


def _moment(written: str | None) -> datetime | None:
    if not written:
        return None
    moment = datetime.fromisoformat(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _charged(price: Price) -> tuple[Money, Decimal | None]:
    """What the shopper pays, and its amount: the discounted value where it has one."""
    discounted = (price.get("discounted") or {}).get("value")
    if discounted and (found := optional_amount(discounted)) is not None:
        return discounted, found
    money = price.get("value") or {}
    return money, optional_amount(money)


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
