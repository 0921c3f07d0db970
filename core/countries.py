"""Countries, and the currencies that are legal tender there today, by CLDR."""

from collections.abc import Mapping
from functools import lru_cache

_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "ZZ"})
"""Region codes of CLDR that stand for no country."""


@lru_cache(maxsize=1)
def currencies_by_country() -> Mapping[str, tuple[str, ...]]:
    """The currencies of each country, the most usual first, by its ISO 3166 alpha-2 code."""
    from babel.core import get_global  # noqa: PLC0415 - cold start

    currencies: dict[str, tuple[str, ...]] = {}
    for country, history in get_global("territory_currencies").items():
        today = tuple(code for code, _, ended, tender in history if tender and ended is None)
        if today and country not in _NOT_COUNTRIES:
            currencies[country] = today
    return currencies
