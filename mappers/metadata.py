"""`custom_metadata` of items and variants: names, slugs and prices in all locales, currencies and countries.

Klaviyo accepts only a flat object, so each table is encoded as JSON text.
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
    """Names and slugs by locale, the same for an item and all its variants.

    An empty table is sent as `{}`, to overwrite what it held before.
    """
    return {
        "title_json": _json(_by_locale("title", product.get("name"))),
        "slug_json": _json(_by_locale("slug", product.get("slug"))),
    }


def price_tables(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """Tables of prices and currencies, and the price before the discount under the key `[price] compare_at`.

    Empty if `prices` is None: they can't be read.
    """
    if prices is None:
        return {}
    amounts, currencies = price_metadata(prices, settings, now)
    tables: JsonObject = {"price_json": _json(amounts), "currency_json": _json(currencies)}
    rules = settings.sync.price
    before = amount_before_discount(current_price(prices, settings, now), rules) if rules.compare_at else None
    return tables if before is None else {**tables, rules.compare_at: before}


def tier_table(prices: Sequence[Price] | None, settings: Settings, now: datetime) -> JsonObject:
    """Table of a variant's price tiers; empty if it has none or `[price] tiers` is off."""
    tiers = price_tiers(prices, settings, now) if settings.sync.price.tiers else {}
    return {TIERS: _json(tiers)} if tiers else {}


def price_attributes(attributes: Mapping[str, Any]) -> JsonObject:
    """The attributes of an item or variant that depend on prices. Metadata is included as a whole."""
    return {name: attributes[name] for name in ("price", "custom_metadata") if name in attributes}


def item_metadata_names(settings: Settings) -> frozenset[str]:
    """Keys of an item's `custom_metadata` that belong to us. Those in Klaviyo that we no longer send are cleared.

    The default of `[price] compare_at` is always included, so that it is cleared when a shop turns the setting off.
    """
    names = (*METADATA_TABLES, settings.sync.price.compare_at, PriceRules().compare_at)
    return frozenset(filter(None, names)) - {TIERS}


def variant_metadata_names(settings: Settings) -> frozenset[str]:
    """Keys of a variant's `custom_metadata` that belong to us: those of an item, and the tiers."""
    return item_metadata_names(settings) | {TIERS}


def _json(table: JsonObject) -> str:
    return encoded(dict(sorted(table.items()))).decode()


def _by_locale(name: str, texts: LocalizedString | None) -> JsonObject:
    return {f"{name}_{locale}": encodable(value) for locale, value in (texts or {}).items() if text(value)}
