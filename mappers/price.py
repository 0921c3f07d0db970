"""Prices of a variant: the one that Klaviyo shows, and tables of all prices."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import NamedTuple

from core.countries import currencies_by_country
from core.rules import PriceRules
from core.settings import Settings
from core.times import required_time
from mappers.catalog_documents import Price
from mappers.documents import Money
from mappers.mapped import JsonObject, mapper
from mappers.money import number, optional_amount

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def current_price(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> Price | None:
    """The price of a variant that Klaviyo shows; None if no price matches. docs/mapping.md states the same rule.

    Candidates are valid now, in PREFERRED_CURRENCY (in any currency if unset), and either general or for the country,
    channel and customer group in `[price]`. The most specific wins: customer group first, then channel, then country.
    If `[price] country` is unset, a price without a country comes first. Among equals, a price with dates wins, then
    the earliest `validFrom`, then the earliest `validUntil`, then the first.
    """
    currency, country = settings.preferred_currency, settings.sync.price.country
    offers = [
        offer
        for offer in _offers(prices, settings.sync.price, now)
        if currency in (None, offer.currency) and (not country or offer.country in ("", country))
    ]
    return _best(offers, country).price if offers else None


def price_amount(price: Price | None, rules: PriceRules) -> float | int | None:
    """Amount of a price in major units, as a JSON number.

    It is the discounted value if there is one and `[price] discounted` is on, because the shopper pays that.
    """
    shown = _shown_money(price, rules)[1] if price else None
    return None if shown is None else number(shown)


def amount_before_discount(price: Price | None, rules: PriceRules) -> float | int | None:
    """Amount before the discount in major units, as a JSON number; None if the shown price is not discounted."""
    if not price:
        return None
    shown, before = _shown_money(price, rules)[1], optional_amount(price.get("value") or {})
    return None if shown is None or before is None or before <= shown else number(before)


def price_metadata(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> tuple[JsonObject, JsonObject]:
    """Tables for `price_json` and `currency_json`: `{"price_EUR": 19.99, "price_DE": 19.99}`, `{"currency_DE": "EUR"}`.

    Each entry follows the rule of `current_price`, for its currency or country. A price with a country applies to that
    country only. A price without one applies to every country that uses its currency. If a country uses several of the
    currencies, the one that CLDR lists first wins. Prices that are not valid now, or are for another channel or
    customer group, are left out.
    """
    rules = settings.sync.price
    by_currency: dict[str, list[_Offer]] = {}
    general: dict[str, list[_Offer]] = {}
    by_country: dict[str, list[_Offer]] = {}
    for offer in _offers(prices, rules, now):
        by_currency.setdefault(offer.currency, []).append(offer)
        if offer.country:
            by_country.setdefault(offer.country, []).append(offer)
        else:
            general.setdefault(offer.currency, []).append(offer)
    amounts: JsonObject = {
        f"price_{currency}": _best_amount(offers, rules.country) for currency, offers in by_currency.items()
    }
    currencies: JsonObject = {}
    general_amounts = {currency: _best_amount(offers, "") for currency, offers in general.items()}
    for country, currency in _currency_by_country(tuple(general)).items():
        amounts[f"price_{country}"] = general_amounts[currency]
        currencies[f"currency_{country}"] = currency
    for country, own_offers in by_country.items():
        currency = min(dict.fromkeys(offer.currency for offer in own_offers), key=partial(_rank, country))
        offers = [offer for offer in own_offers if offer.currency == currency] + general.get(currency, [])
        amounts[f"price_{country}"] = _best_amount(offers, country)
        currencies[f"currency_{country}"] = currency
    return amounts, currencies


def price_tiers(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """Table for `tiers_json`: `{"EUR": [{"from": 10, "price": 8.5}]}`.

    The tiers are those of the price that `price_json` shows for the currency. A discounted price has none, because
    commercetools does not apply its tiers.
    """
    rules = settings.sync.price
    by_currency: dict[str, list[_Offer]] = {}
    for offer in _offers(prices, rules, now):
        by_currency.setdefault(offer.currency, []).append(offer)
    shown = {currency: _best(offers, rules.country).price for currency, offers in by_currency.items()}
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
    """True if a price is valid now, and is general or for the channel and customer group in `[price]`.

    Prices of recurring orders and inactive standalone prices are never shown.
    """
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
    """A price that may be shown, with its currency, amount and country. `country` is empty for a general price."""

    price: Price
    currency: str
    amount: Decimal
    country: str


def _offers(prices: Sequence[Price] | None, rules: PriceRules, now: datetime) -> list[_Offer]:
    return [offer for price in prices or () if price and (offer := _offer(price, rules, now))]


def _offer(price: Price, rules: PriceRules, now: datetime) -> _Offer | None:
    """A price as an offer; None if it may not be shown, or has no currency or amount."""
    if not may_be_shown(price, rules, now):
        return None
    money, charged = _shown_money(price, rules)
    currency = money.get("currencyCode")
    if not currency or charged is None:
        return None
    return _Offer(price, currency, charged, price.get("country") or "")


def _best(offers: Sequence[_Offer], country: str) -> _Offer:
    """The offer to show in a country, or in general if `country` is empty. `min` returns the first of equals."""

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
def _currency_by_country(currencies: tuple[str, ...]) -> Mapping[str, str]:
    """Currency by country, for every country that uses one of these currencies."""
    used: dict[str, str] = {}
    for currency in currencies:
        for country in countries_of(currency):
            if country not in used or _rank(country, currency) < _rank(country, used[country]):
                used[country] = currency
    return used


def _id(price: Price, name: str) -> str:
    """Id of the channel or customer group that a price is for; empty if it is for all."""
    return (price.get(name) or {}).get("id") or ""  # type: ignore[attr-defined]


def _validity(price: Price) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of a price's validity.

    Raises ValueError if they can't be read: the product is then Unmappable, as a price that is not valid must not show.
    """
    begins, ends = price.get("validFrom"), price.get("validUntil")
    return required_time(begins) if begins else _EARLIEST, required_time(ends) if ends else _LATEST


def _shown_money(price: Price, rules: PriceRules) -> tuple[Money, Decimal | None]:
    """The money that is shown, and its amount: the discounted value if there is one and `[price] discounted` is on."""
    discounted = (price.get("discounted") or {}).get("value") if rules.discounted else None
    if discounted and (discounted_amount := optional_amount(discounted)) is not None:
        return discounted, discounted_amount
    money = price.get("value") or {}
    return money, optional_amount(money)


def countries_of(currency: str) -> tuple[str, ...]:
    """Countries where a currency is legal tender today, in alphabetical order. Source: CLDR."""
    return _countries_by_currency().get(currency, ())


def _rank(country: str, currency: str) -> int:
    """Rank of a currency among those of a country. Foreign currencies come last."""
    official = currencies_by_country().get(country, ())
    return official.index(currency) if currency in official else len(official)


@lru_cache(maxsize=1)
def _countries_by_currency() -> Mapping[str, tuple[str, ...]]:
    countries: dict[str, list[str]] = {}
    for country, currencies in sorted(currencies_by_country().items()):
        for currency in currencies:
            countries.setdefault(currency, []).append(country)
    return {currency: tuple(names) for currency, names in countries.items()}
