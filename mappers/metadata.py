"""`custom_metadata` of items and variants: names, slugs and prices of all locales, currencies and countries.

Klaviyo takes a flat object here, so each table is JSON text of its own.
"""

from collections.abc import Sequence
from datetime import datetime

from core.wire import encoded
from mappers.documents import LocalizedString, Price, ProductProjection
from mappers.json_safe import encodable
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.price import price_metadata


def text_tables(product: ProductProjection) -> dict[str, str]:
    """Names and slugs by locale: the same for an item and all its variants.

    A table without entries is sent as `{}`, so that what it held before does not stay.
    """
    return {
        "title_json": _json(_by_locale("title", product.get("name"))),
        "slug_json": _json(_by_locale("slug", product.get("slug"))),
    }


def price_tables(prices: Sequence[Price] | None, now: datetime) -> dict[str, str]:
    """Prices and their currencies; none when the prices can't be read (None)."""
    if prices is None:
        return {}
    amounts, currencies = price_metadata(prices, now)
    return {"price_json": _json(amounts), "currency_json": _json(currencies)}


def _json(table: JsonObject) -> str:
    return encoded(dict(sorted(table.items()))).decode()


def _by_locale(name: str, texts: LocalizedString | None) -> JsonObject:
    return {f"{name}_{locale}": encodable(value) for locale, value in (texts or {}).items() if text(value)}
