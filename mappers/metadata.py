"""`custom_metadata` of items and variants: names, slugs and prices of all locales, currencies and countries.

Klaviyo takes a flat object here, so each table is JSON text of its own.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from mappers.documents import LocalizedString, Price, ProductProjection
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.price import price_metadata
from settings import Settings


def product_metadata(
    product: ProductProjection, prices: Sequence[Price] | None, settings: Settings, now: datetime
) -> dict[str, str]:
    """Four tables; without those of the prices when these can't be read (None).

    A table without entries is sent as `{}`, so that what it held before does not stay.
    """
    tables = {
        "title_json": _by_locale("title", product.get("name")),
        "slug_json": _by_locale("slug", product.get("slug")),
    }
    if prices is not None:
        tables["price_json"], tables["currency_json"] = price_metadata(prices, settings, now)
    return {name: json.dumps(table, sort_keys=True, ensure_ascii=False) for name, table in tables.items()}


def _by_locale(name: str, texts: LocalizedString | None) -> JsonObject:
    return {f"{name}_{locale}": value for locale, value in (texts or {}).items() if text(value)}
