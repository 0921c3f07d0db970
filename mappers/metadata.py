"""`custom_metadata` of items and variants: names, slugs and prices of all locales, currencies and countries.

Klaviyo takes a flat object here, so each table is JSON text of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.rules import METADATA_TABLES, TIERS, PriceRules
from core.settings import Settings
from core.wire import encoded
from mappers.catalog_documents import Price, ProductProjection
from mappers.documents import LocalizedString
from mappers.json_safe import encodable
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.price import amount_before_discount, current_price, price_metadata, price_tiers


def text_tables(product: ProductProjection) -> dict[str, str]:
    """Names and slugs by locale: the same for an item and all its variants.

    A table without entries is sent as `{}`, so that what it held before does not stay.
    """
    return {
        "title_json": _json(_by_locale("title", product.get("name"))),
        "slug_json": _json(_by_locale("slug", product.get("slug"))),
    }


def price_tables(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """Prices and their currencies, and what the shown price was before a discount, under `[price] compare_at`.

    None when the prices can't be read (None).
    """
    if prices is None:
        return {}
    amounts, currencies = price_metadata(prices, settings, now)
    tables: JsonObject = {"price_json": _json(amounts), "currency_json": _json(currencies)}
    rules = settings.sync.price
    before = amount_before_discount(current_price(prices, settings, now), rules) if rules.compare_at else None
    return tables if before is None else {**tables, rules.compare_at: before}


def tier_table(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """The tiers of a variant's prices, where it has any and `[price] tiers` is on."""
    tiers = price_tiers(prices, settings, now) if settings.sync.price.tiers else {}
    return {TIERS: _json(tiers)} if tiers else {}


def priced(attributes: Mapping[str, Any]) -> JsonObject:
    """Those of the attributes of an item or a variant that prices decide: a metadata object is sent as a whole."""
    return {name: attributes[name] for name in ("price", "custom_metadata") if name in attributes}


def item_metadata_names(settings: Settings) -> frozenset[str]:
    """Keys of an item's `custom_metadata` that are ours: one that is there, and no longer sent, is to go.

    The default of `[price] compare_at` is one of them whatever is set: a shop that takes it off wants it gone.
    """
    names = (*METADATA_TABLES, settings.sync.price.compare_at, PriceRules().compare_at)
    return frozenset(filter(None, names)) - {TIERS}


def variant_metadata_names(settings: Settings) -> frozenset[str]:
    """The same of a variant, which has tiers besides."""
    return item_metadata_names(settings) | {TIERS}


def _json(table: JsonObject) -> str:
    return encoded(dict(sorted(table.items()))).decode()


def _by_locale(name: str, texts: LocalizedString | None) -> JsonObject:
    return {f"{name}_{locale}": encodable(value) for locale, value in (texts or {}).items() if text(value)}
