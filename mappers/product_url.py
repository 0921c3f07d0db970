"""URL of a product in the shop, from PRODUCT_URL_TEMPLATE."""

from core.settings import Settings
from core.url_template import filled, placeholders
from mappers.catalog_documents import ProductProjection, Variant
from mappers.ids import variant_sku
from mappers.localized import localized_with_locale, text

_PLACEHOLDERS = frozenset({"productSlug", "productKey", "productId", "sku", "locale"})


def product_url(template: str | None, product: ProductProjection, variant: Variant | None, settings: Settings) -> str:
    """URL of a product: the template with its placeholders replaced by URL-encoded values.

    `{{locale}}` is PREFERRED_LOCALE, else the locale of the slug in use. A placeholder without a value becomes empty.
    Other text in braces stays.

    Without a template, the URL is the text `None`, because Klaviyo requires one. Klaviyo's Node plugin writes the same
    text, so items don't change when a shop moves over.
    """
    if not template:
        return "None"
    return filled(template, _values(template, product, variant, settings))


def complete_product_url(product: ProductProjection, variant: Variant | None, settings: Settings) -> str | None:
    """URL of a product; None without a template, or if the product lacks a value that the template needs."""
    template = settings.product_url_template
    if not template:
        return None
    values = _values(template, product, variant, settings)
    return filled(template, values) if all(values.values()) else None


def _values(
    template: str, product: ProductProjection, variant: Variant | None, settings: Settings
) -> dict[str, str | None]:
    """Value of each known placeholder in the template."""
    return {name: _value(name, product, variant, settings) for name in placeholders(template) if name in _PLACEHOLDERS}


def _value(name: str, product: ProductProjection, variant: Variant | None, settings: Settings) -> str | None:
    match name:
        case "productId":
            return product["id"]
        case "productKey":
            return text(product.get("key"))
        case "sku":
            return variant_sku(product["id"], variant) if variant else None
        case "locale" if settings.preferred_locale:
            return settings.preferred_locale
    slug = localized_with_locale(product.get("slug"), settings.preferred_locale)
    return slug and slug[0 if name == "locale" else 1]
