"""Ids of Klaviyo's catalog: the one place where they are built.

Source: Klaviyo, Catalogs API; `$custom` and `$default` are the only integration and catalog an API client can use.
"""

from mappers.catalog_documents import Variant
from mappers.json_safe import encodable
from mappers.localized import text

_PREFIX = "$custom:::$default:::"

CUSTOM_CATALOG = {"integration_type": "$custom", "catalog_type": "$default"}
"""Attributes that a category, item or variant is created with; they can't change."""


def item_id(product_id: str) -> str:
    """Id of the catalog item of a product."""
    return _PREFIX + product_id


def variant_id(sku: str) -> str:
    """Id of the catalog variant of a SKU, whatever characters the SKU holds."""
    return _PREFIX + sku


def category_id(commercetools_id: str) -> str:
    """Id of the catalog category of a category."""
    return _PREFIX + commercetools_id


def external_id(compound_id: str) -> str:
    """Our own id within an id of Klaviyo's catalog: the reverse of the three above."""
    return compound_id.removeprefix(_PREFIX)


def variant_sku(product_id: str, variant: Variant) -> str:
    """SKU of a variant, else its key, else `<product id>-<variant id>`."""
    for name in (variant.get("sku"), variant.get("key")):
        if name and text(name):
            return encodable(name)
    return f"{product_id}-{variant['id']}"
