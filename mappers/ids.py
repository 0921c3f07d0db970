"""Ids in Klaviyo's catalog. They are built here and nowhere else.

Source: Klaviyo, Catalogs API; `$custom` and `$default` are the only integration and catalog an API client can use.
"""

from mappers.catalog_documents import Variant
from mappers.json_safe import encodable
from mappers.localized import text

_PREFIX = "$custom:::$default:::"

CUSTOM_CATALOG = {"integration_type": "$custom", "catalog_type": "$default"}
"""Attributes that every category, item and variant is created with. They can't be changed later."""


def item_id(product_id: str) -> str:
    """Catalog item id of a product."""
    return _PREFIX + product_id


def variant_id(sku: str) -> str:
    """Catalog variant id of a SKU. The SKU may hold any characters."""
    return _PREFIX + sku


def category_id(commercetools_id: str) -> str:
    """Catalog category id of a commercetools category."""
    return _PREFIX + commercetools_id


def external_id(compound_id: str) -> str:
    """The commercetools id or SKU in an id of Klaviyo's catalog: the reverse of the functions above."""
    return compound_id.removeprefix(_PREFIX)


def variant_sku(product_id: str, variant: Variant) -> str:
    """SKU of a variant, else its key, else `<product id>-<variant id>`."""
    for name in (variant.get("sku"), variant.get("key")):
        if name and text(name):
            return encodable(name)
    return f"{product_id}-{variant['id']}"
