"""Countries and the currencies that are legal tender there today. Source: CLDR."""

from collections.abc import Mapping
from functools import lru_cache

_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "ZZ"})
"""CLDR region codes that do not stand for a country."""


@lru_cache(maxsize=1)
def currencies_by_country() -> Mapping[str, tuple[str, ...]]:
    """Currencies by the country's ISO 3166 alpha-2 code, the most common one first."""
    from babel.core import get_global  # noqa: PLC0415 - cold start

    currencies: dict[str, tuple[str, ...]] = {}
    for country, history in get_global("territory_currencies").items():
        today = tuple(code for code, _, ended, tender in history if tender and ended is None)
        if today and country not in _NOT_COUNTRIES:
            currencies[country] = today
    return currencies
