"""The variants of a published product as catalog variants in Klaviyo."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.settings import Settings
from mappers.catalog_documents import ProductProjection
from mappers.ids import CUSTOM_CATALOG, item_id, variant_id, variant_sku
from mappers.item import PricesBySku, prices_of, product_images, product_texts, variant_images, variants_of
from mappers.json_safe import Cuts, json_safe
from mappers.limits import fit_metadata
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import price_attributes, price_tables, text_tables, tier_table
from mappers.price import current_price, price_amount
from mappers.product_url import product_url
from mappers.stock import EntriesBySku, entry_stock


@mapper
def catalog_variants(
    product: ProductProjection,
    settings: Settings,
    now: datetime,
    prices_by_sku: PricesBySku | None = None,
    entries_by_sku: EntriesBySku | None = None,
    *,
    only: str = "",
) -> dict[str, Mapped]:
    """Attributes of every variant by SKU, for `variant_create` and `variant_update`. Of duplicate SKUs, the first.

    A variant without a price has no `price` here: `variant_create` adds the one that Klaviyo requires, and an update
    keeps the old one. `prices_by_sku` as in `catalog_item`. A SKU that `entries_by_sku` lacks is not tracked. With
    `only`, only that SKU is mapped.
    """
    variants = variants_of(product)
    item_image = next(iter(product_images(variants)), None)
    texts = product_texts(product, settings)
    locale_tables = text_tables(product)
    mapped: dict[str, Mapped] = {}
    for variant in variants:
        sku = variant_sku(product["id"], variant)
        if sku in mapped or (only and sku != only):
            continue
        prices = prices_of(product, variant, prices_by_sku)
        metadata, metadata_cuts = fit_metadata(
            {**locale_tables, **price_tables(prices, settings, now), **tier_table(prices, settings, now)}
        )
        attributes: JsonObject = {
            "sku": sku,
            **texts,
            "url": product_url(settings.product_url_template, product, variant, settings),
            "image_full_url": next(iter(variant_images(variant)), item_image),
            **entry_stock((entries_by_sku or {}).get(sku, ()), settings.sync.inventory.channel),
            "custom_metadata": metadata,
            "published": True,
        }
        price = price_amount(current_price(prices, settings, now), settings.sync.price)
        if price is not None:
            attributes["price"] = price
        attribute_cuts = Cuts()
        mapped[sku] = Mapped(json_safe(attributes, attribute_cuts), (*attribute_cuts.listed(), *metadata_cuts))
    return mapped


@mapper
def variant_price_attributes(
    product: ProductProjection, sku: str, settings: Settings, now: datetime, prices_by_sku: PricesBySku
) -> JsonObject:
    """Attributes of a SKU's variant that depend on prices, for `variant_update`."""
    return price_attributes(catalog_variants(product, settings, now, prices_by_sku, only=sku)[sku].body)


def variant_create(sku: str, attributes: Mapping[str, Any], product_id: str) -> JsonObject:
    """Body of `POST /api/catalog-variants`. Klaviyo requires a price, so it is 0 if there is none."""
    return {
        "data": {
            "type": "catalog-variant",
            "attributes": {**CUSTOM_CATALOG, "external_id": sku, "price": 0, **attributes},
            "relationships": {"item": {"data": {"type": "catalog-item", "id": item_id(product_id)}}},
        }
    }


def variant_update(sku: str, attributes: Mapping[str, Any]) -> JsonObject:
    """Body of `PATCH /api/catalog-variants/<id>` with these attributes."""
    return {"data": {"type": "catalog-variant", "id": variant_id(sku), "attributes": dict(attributes)}}


def stock_update(sku: str, stock: Mapping[str, Any]) -> JsonObject:
    """Body of the PATCH that sets a variant's stock and nothing else, from the keys that `stock` has."""
    names = ("inventory_quantity", "inventory_policy")
    return variant_update(sku, {name: stock[name] for name in names if name in stock})
