"""Prices of a variant: the one shown in Klaviyo, and the tables of all of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import NamedTuple

from core.countries import currencies_by_country
from core.rules import PriceRules
from core.settings import Settings
from mappers.catalog_documents import Price
from mappers.documents import Money
from mappers.mapped import JsonObject, mapper
from mappers.money import number, optional_amount

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def current_price(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> Price | None:
    """Price of a variant by the rule of mapping.md; None when no price matches.

    Candidates are in PREFERRED_CURRENCY (unset: all), hold now, and name no country, channel or customer group but
    those of `[price]`. The most specific wins: customer group, then channel, then country; with no country set, one
    without country. Of equals it is one with dates, the earliest `validFrom`, the earliest `validUntil`, the first.
    """
    currency, country = settings.preferred_currency, settings.sync.price.country
    offers = [
        offer
        for offer in _offers(prices, settings.sync.price, now)
        if currency in (None, offer.currency) and (not country or offer.country in ("", country))
    ]
    return _best(offers, country).price if offers else None


def price_amount(price: Price | None, rules: PriceRules) -> float | int | None:
    """JSON number of a price in major units: a discounted value wins, as the shopper pays that."""
    found = _charged(price, rules)[1] if price else None
    return None if found is None else number(found)


def amount_before_discount(price: Price | None, rules: PriceRules) -> float | int | None:
    """JSON number of what a discounted price was, in major units; None where nothing is taken off what is shown."""
    if not price:
        return None
    shown, before = _charged(price, rules)[1], optional_amount(price.get("value") or {})
    return None if shown is None or before is None or before <= shown else number(before)


def price_metadata(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> tuple[JsonObject, JsonObject]:
    """Tables for `price_json` and `currency_json`: `{"price_EUR": 19.99, "price_DE": 19.99}`, `{"currency_DE": "EUR"}`.

    An entry follows the rule of `current_price` for its currency, or for its country. A price with a country stands for
    that country alone, one without for every country that uses its currency; where a country uses several of the
    currencies, the one that CLDR names first wins. Prices that don't hold now, or that are for another channel or
    customer group, are in neither table.
    """
    rules = settings.sync.price
    by_currency: dict[str, list[_Offer]] = {}
    general: dict[str, list[_Offer]] = {}
    own: dict[str, list[_Offer]] = {}
    for offer in _offers(prices, rules, now):
        by_currency.setdefault(offer.currency, []).append(offer)
        if offer.country:
            own.setdefault(offer.country, []).append(offer)
        else:
            general.setdefault(offer.currency, []).append(offer)
    amounts: JsonObject = {
        f"price_{currency}": _best_amount(found, rules.country) for currency, found in by_currency.items()
    }
    currencies: JsonObject = {}
    general_amounts = {currency: _best_amount(found, "") for currency, found in general.items()}
    for country, currency in _tender_among(tuple(general)).items():
        amounts[f"price_{country}"] = general_amounts[currency]
        currencies[f"currency_{country}"] = currency
    for country, found in own.items():
        currency = min(dict.fromkeys(offer.currency for offer in found), key=partial(_rank, country))
        offers = [offer for offer in found if offer.currency == currency] + general.get(currency, [])
        amounts[f"price_{country}"] = _best_amount(offers, country)
        currencies[f"currency_{country}"] = currency
    return amounts, currencies


def price_tiers(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """Table for `tiers_json`: `{"EUR": [{"from": 10, "price": 8.5}]}`, of the price that `price_json` has by currency.

    A discounted price has none: commercetools does not apply them.
    """
    rules = settings.sync.price
    by_currency: dict[str, list[_Offer]] = {}
    for offer in _offers(prices, rules, now):
        by_currency.setdefault(offer.currency, []).append(offer)
    shown = {currency: _best(found, rules.country).price for currency, found in by_currency.items()}
    return {
        currency: sorted(
            (
                {"from": tier["minimumQuantity"], "price": number(amount)}
                for tier in price["tiers"]
                if (amount := optional_amount(tier["value"])) is not None
            ),
            key=lambda tier: tier["from"],
        )
        for currency, price in shown.items()
        if price.get("tiers") and not price.get("discounted")
    }


@mapper
def may_be_shown(price: Price, rules: PriceRules, now: datetime) -> bool:
    """Whether a price holds now, and is for no other channel or customer group than those of `[price]`."""
    if price.get("active") is False or price.get("recurrencePolicy"):
        return False
    if _id(price, "channel") not in ("", rules.channel) or _id(price, "customerGroup") not in (
        "",
        rules.customer_group,
    ):
        return False
    begins, ends = _validity(price)
    return begins <= now < ends


class _Offer(NamedTuple):
    """A price that may be shown, and what is worked out from it."""

    price: Price
    currency: str
    amount: Decimal
    country: str


def _offers(prices: Sequence[Price] | None, rules: PriceRules, now: datetime) -> list[_Offer]:
    return [offer for price in prices or () if price and (offer := _offer(price, rules, now))]


def _offer(price: Price, rules: PriceRules, now: datetime) -> _Offer | None:
    """A price as an offer; None when it is for others, does not hold now, or says no amount."""
    if not may_be_shown(price, rules, now):
        return None
    money, charged = _charged(price, rules)
    currency = money.get("currencyCode")
    if not currency or charged is None:
        return None
    return _Offer(price, currency, charged, price.get("country") or "")


def _best(offers: Sequence[_Offer], country: str) -> _Offer:
    """The one to be shown in a country, empty for none in particular; `min` keeps the first of equals."""

    def preference(offer: _Offer) -> tuple[object, ...]:
        begins, ends = _validity(offer.price)
        return (
            offer.country not in ("", country),
            not _id(offer.price, "customerGroup"),
            not _id(offer.price, "channel"),
            offer.country != country,
            (begins, ends) == (_EARLIEST, _LATEST),
            begins,
            ends,
        )

    return offers[0] if len(offers) == 1 else min(offers, key=preference)


def _best_amount(offers: Sequence[_Offer], country: str) -> float | int:
    return number(_best(offers, country).amount)


@lru_cache(maxsize=256)
def _tender_among(currencies: tuple[str, ...]) -> Mapping[str, str]:
    """Which of the currencies each country uses that uses one of them."""
    used: dict[str, str] = {}
    for currency in currencies:
        for country in countries_of(currency):
            if country not in used or _rank(country, currency) < _rank(country, used[country]):
                used[country] = currency
    return used


def _id(price: Price, name: str) -> str:
    """Id of what a price is for; empty when it is for all."""
    return (price.get(name) or {}).get("id") or ""  # type: ignore[attr-defined]


def _validity(price: Price) -> tuple[datetime, datetime]:
    """From when, and until before when, a price holds."""
    return _moment(price.get("validFrom")) or _EARLIEST, _moment(price.get("validUntil")) or _LATEST


def _moment(written: str | None) -> datetime | None:
    if not written:
        return None
    moment = datetime.fromisoformat(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _charged(price: Price, rules: PriceRules) -> tuple[Money, Decimal | None]:
    """What is shown, and its amount: the discounted value where there is one, unless `[price] discounted` is off."""
    discounted = (price.get("discounted") or {}).get("value") if rules.discounted else None
    if discounted and (found := optional_amount(discounted)) is not None:
        return discounted, found
    money = price.get("value") or {}
    return money, optional_amount(money)


def countries_of(currency: str) -> tuple[str, ...]:
    """Countries where a currency is legal tender today, by CLDR, in alphabetical order."""
    return _countries_by_currency().get(currency, ())


def _rank(country: str, currency: str) -> int:
    """Place of a currency among those of a country; foreign ones come last."""
    official = currencies_by_country().get(country, ())
    return official.index(currency) if currency in official else len(official)


@lru_cache(maxsize=1)
def _countries_by_currency() -> Mapping[str, tuple[str, ...]]:
    countries: dict[str, list[str]] = {}
    for country, currencies in sorted(currencies_by_country().items()):
        for currency in currencies:
            countries.setdefault(currency, []).append(country)
    return {currency: tuple(found) for currency, found in countries.items()}
