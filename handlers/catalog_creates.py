"""What creates the items and variants of products that Klaviyo lacks, and whether the shop still says the same."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import Unmappable
from core.wire import encoded
from handlers.catalog_product import Supplies, is_standalone, supplies_of
from handlers.category_tree import create_category
from handlers.services import Services
from mappers.catalog_documents import ProductProjection
from mappers.ids import variant_sku
from mappers.item import catalog_item, item_category_ids, stocked_skus, variants_of
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.variant import catalog_variants, variant_create


@dataclass(frozen=True, slots=True)
class Creation:
    """The bodies that create a product's item and its variants by SKU. `digest` tells what they were made of."""

    product_id: str
    item: Mapped
    variants: Mapping[str, JsonObject]
    digest: bytes
    size: int
    """Bytes of all bodies as JSON."""

    @property
    def records(self) -> int:
        """Items and variants."""
        return 1 + len(self.variants)


def creations(products: Sequence[ProductProjection], services: Services) -> list[Creation]:
    """What creates these published products, with stock and prices of now, but for those that can't be mapped."""
    readable = [product for product in products if _is_readable(product)]
    skus = [sku for product in readable for sku in stocked_skus(product)]
    priced = [sku for product in readable if is_standalone(product) for sku in stocked_skus(product)]
    supplies = supplies_of(skus, priced, services, standalone=bool(priced))
    made = (_creation(product, supplies, services) for product in readable)
    return [creation for creation in made if creation]


def gone_categories(items: Iterable[Mapped], services: Services) -> frozenset[str]:
    """Create the categories of these items that Klaviyo lacks; the ids of those that the shop lacks as well."""
    wanted = sorted(frozenset[str]().union(*(item_category_ids(item.body) for item in items)))
    known = services.klaviyo.category_names(wanted)
    return frozenset(own for own in wanted if own not in known and not create_category(own, services))


def is_unchanged(sent: Creation, services: Services) -> bool:
    """Whether the same would be sent again: the product, its categories, stock and prices are as they were."""
    product = services.commercetools.product_projection(sent.product_id)
    return [one.digest for one in creations([product] if product else [], services)] == [sent.digest]


def left_over(product_id: str, skus: Collection[str], services: Services) -> frozenset[str] | None:
    """Those of the SKUs that the product does not have any more, None if it has them all.

    Of a product that is not published all are left over, and its item, also if it had none.
    """
    product = services.commercetools.product_projection(product_id)
    if not product:
        return frozenset(skus)
    return (frozenset(skus) - _skus(product)) or None


@mapper
def _skus(product: ProductProjection) -> frozenset[str]:
    return frozenset(variant_sku(product["id"], variant) for variant in variants_of(product))


def _is_readable(product: ProductProjection) -> bool:
    try:
        stocked_skus(product)
    except Unmappable:
        return False
    return product.get("published") is not False


def _creation(product: ProductProjection, supplies: Supplies, services: Services) -> Creation | None:
    now, settings = datetime.now(UTC), services.settings
    try:
        item = catalog_item(product, settings, now, supplies.prices)
        variants = catalog_variants(product, settings, now, supplies.prices, supplies.entries)
    except Unmappable:
        return None
    bodies = {sku: variant_create(sku, mapped.body, product["id"]) for sku, mapped in variants.items()}
    text = encoded([item.body, *bodies.values()])
    return Creation(product["id"], item, bodies, hashlib.sha256(text).digest(), len(text))
