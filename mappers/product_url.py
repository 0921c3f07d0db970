"""Address of a product in the shop, from PRODUCT_URL_TEMPLATE."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from mappers.documents import ProductProjection, Variant
from mappers.ids import variant_sku
from mappers.localized import localized_with_locale, text
from settings import Settings

_PLACEHOLDER = re.compile(r"\{\{\s*(productSlug|productKey|productId|sku|locale)\s*\}\}")


def product_url(template: str | None, product: ProductProjection, variant: Variant | None, settings: Settings) -> str:
    """URL of a product, with the placeholders of the template filled and URL-encoded; without template `None`, as text.

    `{{locale}}` is PREFERRED_LOCALE, else the locale of the slug that is shown. A placeholder the product has no value
    for is filled with nothing, other text in braces stays.
    """
    if not template:
        return "None"
    values = _values(product, variant, settings)
    return _PLACEHOLDER.sub(lambda found: _encoded(values.get(found[1]) or ""), template)


def complete_product_url(product: ProductProjection, variant: Variant | None, settings: Settings) -> str | None:
    """URL of a product, or None without a template, or when the product lacks a value the template asks for."""
    template = settings.product_url_template
    if not template:
        return None
    values = _values(product, variant, settings)
    if not all(values.get(name) for name in _PLACEHOLDER.findall(template)):
        return None
    return product_url(template, product, variant, settings)


def _values(product: ProductProjection, variant: Variant | None, settings: Settings) -> Mapping[str, str | None]:
    slug = localized_with_locale(product.get("slug"), settings.preferred_locale)
    return {
        "productSlug": slug[1] if slug else None,
        "productKey": text(product.get("key")),
        "productId": product["id"],
        "sku": variant_sku(product["id"], variant) if variant else None,
        "locale": settings.preferred_locale or (slug[0] if slug else None),
    }


def _encoded(value: str) -> str:
    return quote(value, safe="", errors="replace")
