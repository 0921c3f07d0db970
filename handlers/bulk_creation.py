"""Bodies for jobs that create items and variants in bulk, and checks whether the shop has changed since."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import Unmappable
from core.wire import encoded
from handlers.catalog_product import StockAndPrices, is_standalone, read_stock_and_prices
from handlers.category_creation import create_category
from handlers.services import Services
from mappers.catalog_documents import ProductProjection
from mappers.ids import variant_sku
from mappers.item import catalog_item, item_category_ids, product_skus, variants_of
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.variant import catalog_variants, variant_create


@dataclass(frozen=True, slots=True)
class Creation:
    """The bodies that create a product's item and, by SKU, its variants. `digest` is a hash of them all."""

    product_id: str
    item: Mapped
    variants: Mapping[str, JsonObject]
    digest: bytes
    size: int
    """Bytes of all bodies as JSON."""

    @property
    def records(self) -> int:
        """Number of items and variants."""
        return 1 + len(self.variants)


def creations(products: Sequence[ProductProjection], services: Services) -> list[Creation]:
    """The bodies for these products, with current stock and prices; none for unpublished or unmappable products."""
    creatable = [product for product in products if _is_creatable(product)]
    skus = [sku for product in creatable for sku in product_skus(product)]
    priced = [sku for product in creatable if is_standalone(product) for sku in product_skus(product)]
    stock_and_prices = read_stock_and_prices(skus, priced, services, standalone=bool(priced))
    mapped = (_creation(product, stock_and_prices, services) for product in creatable)
    return [creation for creation in mapped if creation]


def create_missing_categories(items: Iterable[Mapped], services: Services) -> frozenset[str]:
    """Create the items' categories that Klaviyo lacks. Returns the ids of those that the shop has deleted."""
    wanted = sorted(frozenset[str]().union(*(item_category_ids(item.body) for item in items)))
    known = services.klaviyo.category_names(wanted)
    return frozenset(
        category_id for category_id in wanted if category_id not in known and not create_category(category_id, services)
    )


def is_unchanged(sent: Creation, services: Services) -> bool:
    """True if the same bodies would be sent now: product, categories, stock and prices have not changed."""
    product = services.commercetools.product_projection(sent.product_id)
    return [one.digest for one in creations([product] if product else [], services)] == [sent.digest]


def surplus_skus(product_id: str, skus: Collection[str], services: Services) -> frozenset[str] | None:
    """Those of the SKUs that the product no longer has; None if it still has them all.

    If the product is no longer published, its item is surplus as well. Then returns all of the SKUs, which may be an
    empty set.
    """
    product = services.commercetools.product_projection(product_id)
    if not product:
        return frozenset(skus)
    return (frozenset(skus) - _skus(product)) or None


@mapper
def _skus(product: ProductProjection) -> frozenset[str]:
    return frozenset(variant_sku(product["id"], variant) for variant in variants_of(product))


def _is_creatable(product: ProductProjection) -> bool:
    try:
        product_skus(product)
    except Unmappable:
        return False
    return product.get("published") is not False


def _creation(product: ProductProjection, stock_and_prices: StockAndPrices, services: Services) -> Creation | None:
    now, settings = datetime.now(UTC), services.settings
    try:
        item = catalog_item(product, settings, now, stock_and_prices.prices)
        variants = catalog_variants(product, settings, now, stock_and_prices.prices, stock_and_prices.entries)
    except Unmappable:
        return None
    bodies = {sku: variant_create(sku, mapped.body, product["id"]) for sku, mapped in variants.items()}
    text = encoded([item.body, *bodies.values()])
    return Creation(product["id"], item, bodies, hashlib.sha256(text).digest(), len(text))
