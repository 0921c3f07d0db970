"""A published product as a catalog item in Klaviyo."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.settings import Settings
from mappers.catalog_documents import Price, ProductProjection, Variant
from mappers.documents import Reference
from mappers.ids import CUSTOM_CATALOG, category_id, external_id, item_id, variant_sku
from mappers.image_url import image_url
from mappers.json_safe import Cuts, encodable, json_safe
from mappers.limits import fit_metadata
from mappers.localized import localized, text
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import price_attributes, price_tables, text_tables
from mappers.price import current_price, price_amount
from mappers.product_url import product_url

_IMMUTABLE = frozenset({"external_id", *CUSTOM_CATALOG})

PricesBySku = Mapping[str, Sequence[Price]]
"""Standalone prices by SKU."""


@mapper
def catalog_item(
    product: ProductProjection, settings: Settings, now: datetime, prices_by_sku: PricesBySku | None = None
) -> Mapped:
    """Body of `POST /api/catalog-items`, for a published projection with expanded categories and ancestors.

    The price is that of the first variant that has one, starting with the master variant. A product with
    `priceMode: Standalone` gets its prices from `prices_by_sku`. If that is None (they can't be read), the prices are
    left out.
    """
    variants = variants_of(product)
    prices = _item_prices(product, variants, settings, now, prices_by_sku)
    images = product_images(variants)
    metadata, metadata_cuts = fit_metadata({**text_tables(product), **price_tables(prices, settings, now)})
    attributes: JsonObject = {
        **CUSTOM_CATALOG,
        "external_id": product["id"],
        **product_texts(product, settings),
        "url": product_url(settings.product_url_template, product, variants[0] if variants else None, settings),
        "image_full_url": images[0] if images else None,
        "images": images,
        "custom_metadata": metadata,
        "published": True,
    }
    price = price_amount(current_price(prices, settings, now), settings.sync.price)
    if price is not None:
        attributes["price"] = price
    attribute_cuts = Cuts()
    attributes = json_safe(attributes, attribute_cuts)
    categories = [{"type": "catalog-category", "id": category_id(own_id)} for own_id in _category_ids(product)]
    return Mapped(
        {
            "data": {
                "type": "catalog-item",
                "attributes": attributes,
                "relationships": {"categories": {"data": categories}},
            }
        },
        (*attribute_cuts.listed(), *metadata_cuts),
    )


@mapper
def item_update(create_body: JsonObject) -> JsonObject:
    """Body of `PATCH /api/catalog-items/<id>`: the create body without the attributes that can't change."""
    data = create_body["data"]
    attributes = {name: value for name, value in data["attributes"].items() if name not in _IMMUTABLE}
    return {"data": {**data, "id": item_id(data["attributes"]["external_id"]), "attributes": attributes}}


@mapper
def item_category_ids(body: JsonObject) -> frozenset[str]:
    """Ids of the categories in a body from `catalog_item`."""
    return frozenset(external_id(category["id"]) for category in body["data"]["relationships"]["categories"]["data"])


def item_price_update(create_body: JsonObject) -> JsonObject:
    """Body of the PATCH that sets an item's price and metadata, and nothing else."""
    attributes = create_body["data"]["attributes"]
    identity = item_id(attributes["external_id"])
    return {"data": {"type": "catalog-item", "id": identity, "attributes": price_attributes(attributes)}}


def hidden_item(product_id: str) -> JsonObject:
    """Body of the PATCH that hides the item of an unpublished product."""
    return {"data": {"type": "catalog-item", "id": item_id(product_id), "attributes": {"published": False}}}


def variants_of(product: ProductProjection) -> list[Variant]:
    """All variants, the master variant first. Products of the Modular catalog may have none."""
    return [
        variant
        for variant in (product.get("masterVariant"), *(product.get("variants") or []))
        if variant and (variant.get("id") is not None or variant.get("sku") or variant.get("key"))
    ]


@mapper
def product_skus(product: ProductProjection) -> list[str]:
    """SKUs that the product has in commercetools, without the substitutes of `variant_sku`.

    A variant without a SKU has neither inventory entries nor standalone prices.
    """
    return list(
        dict.fromkeys(encodable(variant["sku"]) for variant in variants_of(product) if text(variant.get("sku")))
    )


def product_texts(product: ProductProjection, settings: Settings) -> dict[str, str]:
    """Title and description, both required by Klaviyo. Without a name, the title is the key, else the id."""
    locale = settings.preferred_locale
    title = localized(product.get("name"), locale) or text(product.get("key")) or product["id"]
    return {"title": title, "description": localized(product.get("description"), locale) or ""}


def variant_images(variant: Variant) -> list[str]:
    """URLs of a variant's images."""
    return [image_url(url) for image in variant.get("images") or [] if (url := text((image or {}).get("url")))]


def product_images(variants: Sequence[Variant]) -> list[str]:
    """URLs of all images of a product, the master variant's first, without duplicates."""
    return list(dict.fromkeys(url for variant in variants for url in variant_images(variant)))


def prices_of(
    product: ProductProjection, variant: Variant, prices_by_sku: PricesBySku | None
) -> Sequence[Price] | None:
    """Prices of a variant: its own, or the standalone prices of its SKU. None if those can't be read."""
    if product.get("priceMode") != "Standalone":
        return variant.get("prices") or []
    return None if prices_by_sku is None else prices_by_sku.get(variant_sku(product["id"], variant)) or []


@mapper
def decides_item_price(
    product: ProductProjection, sku: str, settings: Settings, now: datetime, prices_by_sku: PricesBySku
) -> bool:
    """True if the item's price may depend on this SKU: the product has it, and no variant before it has a price."""
    for variant in variants_of(product):
        if variant_sku(product["id"], variant) == sku:
            return True
        if current_price(prices_of(product, variant, prices_by_sku), settings, now):
            return False
    return False


def _item_prices(
    product: ProductProjection,
    variants: Sequence[Variant],
    settings: Settings,
    now: datetime,
    prices_by_sku: PricesBySku | None,
) -> Sequence[Price] | None:
    by_variant = [prices_of(product, variant, prices_by_sku) for variant in variants]
    if not by_variant:
        return []
    return next((prices for prices in by_variant if current_price(prices, settings, now)), by_variant[0])


def _category_ids(product: ProductProjection) -> list[str]:
    """Ids of the categories and all their ancestors, ancestors first, without duplicates."""
    ids: dict[str, None] = {}
    for reference in product.get("categories") or []:
        ancestors: list[Reference] = (reference.get("obj") or {}).get("ancestors") or []
        ids.update((ancestor["id"], None) for ancestor in ancestors)
        ids[reference["id"]] = None
    return list(ids)
