"""Copy a published product to Klaviyo's catalog: the item, its variants, and SKUs that move between products."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from core.errors import DeadLetter, UnknownItem
from core.notification import Notification, Resource
from handlers.catalog_item import CategoryMove, error_after_create, item_to_write, put_item
from handlers.current import YOUNG_SECONDS, Changed, Sharing, Source, copy_current, version
from handlers.inventory import entry_versions, sku_lock_key
from handlers.services import Services
from mappers.catalog_documents import ProductProjection
from mappers.category import product_category_ids
from mappers.difference import has_differences, with_stale_keys_cleared
from mappers.ids import variant_sku
from mappers.item import PricesBySku, catalog_item, product_skus, variants_of
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import variant_metadata_names
from mappers.stock import EntriesBySku
from mappers.variant import catalog_variants


@dataclass(frozen=True, slots=True)
class StockAndPrices:
    """Inventory entries and standalone prices by SKU: what variants need in addition to the product.

    `prices` is None if standalone prices are switched off in the settings, or the API client may not read them.
    """

    entries: EntriesBySku
    prices: PricesBySku | None


@dataclass(frozen=True, slots=True)
class CopiedProduct:
    """The result of a copy: the stock and prices that were read for it, and what was written.

    `written` are the SKUs of the variants, and `wrote_item` is True if the item was written too.
    """

    stock_and_prices: StockAndPrices
    written: frozenset[str]
    wrote_item: bool


Write = Callable[[ProductProjection | None], CopiedProduct | None]
"""Writes a product, given as None if it is not published. Returns what was copied, None if nothing was."""


def copy_product(
    product_id: str, notification: Notification, services: Services, *, deletes_variants: bool = True
) -> None:
    """Copy a published product for a message about something else, holding the product's lock.

    Without `deletes_variants`, variants that the product does not have are kept.
    """

    def write(product: ProductProjection | None) -> CopiedProduct | None:
        return (
            put_product(product, notification, services, move="yes", deletes_variants=deletes_variants)
            if product
            else None
        )

    with services.one_at_a_time([str(Resource("product", product_id))], record_release=False):
        copy_current_product(
            write, lambda: services.commercetools.product_projection(product_id), notification, services
        )


def copy_products_holding(skus: Collection[str], notification: Notification, services: Services) -> None:
    """Copy the other published products that have these SKUs, when the message's product is no longer published.

    An earlier write for the message, from an older read, may have moved a variant from another product's item to this
    one's. Deleting this item would delete that variant too, so it is moved back first.
    """
    if skus:
        holders = services.commercetools.other_products_with(sorted(skus), notification.resource.id)
        for other in sorted(set(holders.values())):
            copy_product(other, notification, services)


def copy_current_product(
    write: Write,
    read: Callable[[], ProductProjection | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
) -> None:
    """Copy the product that `read` returns, with `write`, and check after each write whether it has changed.

    The check compares the product's version and categories, and the stock and standalone prices of the SKUs whose
    variants were written. If the item was written, it compares the standalone prices of all SKUs.
    """

    def recheck(
        product: ProductProjection | None, copied: CopiedProduct | None
    ) -> Changed[ProductProjection | None] | None:
        again = read()
        # If a category moves, the item's categories change, but not the product's version.
        if version(again) != version(product) or _categories(again) != _categories(product):
            return Changed(again)
        if not again or not copied:
            return None
        skus = product_skus(again)
        written = [sku for sku in skus if sku in copied.written]
        # The item's price may come from any variant's standalone price.
        priced = skus if copied.wrote_item else written
        if not written and not (priced and is_standalone(again)):
            return None
        current = read_stock_and_prices(written, priced, services, standalone=is_standalone(again))
        now = stock_and_price_state(current, written, priced, services)
        return (
            None if now == stock_and_price_state(copied.stock_and_prices, written, priced, services) else Changed(again)
        )

    copy_current(
        notification, services, Source(read=read, lock_keys=_sku_lock_keys, recheck=recheck), write, sharing=sharing
    )


def put_product(
    product: ProductProjection,
    notification: Notification,
    services: Services,
    *,
    move: CategoryMove = "perhaps",
    deletes_variants: bool = True,
) -> CopiedProduct:
    """Write what differs: first the item, then its variants. Delete variants that the product no longer has.

    Without `deletes_variants` those are kept. If Klaviyo refuses the content of one part, the rest is still written,
    and then the first refusal is raised. But if Klaviyo has no item and refuses it, that is raised at once, as variants
    need the item.
    """
    settings, klaviyo, product_id = services.settings, services.klaviyo, product["id"]
    skus = product_skus(product)
    stock_and_prices = read_stock_and_prices(skus, skus, services, standalone=is_standalone(product))
    now = datetime.now(UTC)
    item = catalog_item(product, settings, now, stock_and_prices.prices)
    wanted = catalog_variants(product, settings, now, stock_and_prices.prices, stock_and_prices.entries)
    found, own_keys = klaviyo.variants(product_id), variant_metadata_names(settings)
    refusals = _Refusals()
    created = wrote_item = False
    with refusals.collected("item", only_if=found is not None):
        to_write = item if found is None else item_to_write(item, move, services)
        if to_write:
            created = put_item(to_write, services, known=found is not None)
            wrote_item = True
    # A newly created item has no variants, whatever the list showed before.
    existing = {} if created else found or {}
    differing = {
        sku: Mapped(with_stale_keys_cleared(attributes.body, existing[sku], own_keys), attributes.cuts)
        if sku in existing
        else attributes
        for sku, attributes in wanted.items()
        if sku not in existing or has_differences(attributes.body, existing[sku], own_keys)
    }
    surplus = {sku: attributes for sku, attributes in existing.items() if sku not in wanted} if deletes_variants else {}
    item_was_missing = threading.Event()
    put = partial(
        _put_variant,
        item=item,
        services=services,
        item_was_missing=item_was_missing,
        young=notification.age < YOUNG_SECONDS,
    )
    with refusals.collected():
        services.in_parallel(_parts(differing, lambda sku: put(sku, differing[sku], known=sku in existing)))
    if item_was_missing.is_set():  # its variants were deleted with it, including those that did not differ
        with refusals.collected():
            services.in_parallel(_parts(wanted, lambda sku: put(sku, wanted[sku], known=True)))
    if surplus:
        with refusals.collected():
            _delete_variants(surplus, product_id, notification, services)
    recreated = item_was_missing.is_set()
    copied = CopiedProduct(stock_and_prices, frozenset(wanted if recreated else differing), wrote_item or recreated)
    refusals.raise_first(copied)
    return copied


@dataclass(slots=True)
class _Refusals:
    """Collects refusals, so that a refused part does not stop the others from being written."""

    first: DeadLetter | None = field(default=None)

    @contextmanager
    def collected(self, part: str = "", *, only_if: bool = True) -> Iterator[None]:
        """Continue after a refusal inside, and name it by `part`. With `only_if` False it is raised instead."""
        try:
            yield
        except DeadLetter as refusal:
            if not only_if:
                raise
            refusal.part = refusal.part or part
            self.first = self.first or refusal

    def raise_first(self, copied: CopiedProduct) -> None:
        """Raise the first refusal, if any, with what was copied anyway."""
        if self.first:
            self.first.copied = copied
            raise self.first


def _parts(skus: Iterable[str], write: Callable[[str], None]) -> list[tuple[str, Callable[[], None]]]:
    return [(f"variant {sku}", partial(write, sku)) for sku in skus]


def _delete_variants(
    surplus: Mapping[str, JsonObject], product_id: str, notification: Notification, services: Services
) -> None:
    """Delete variants whose SKUs the product no longer has, or move them to the product that has the SKU now.

    Another instance may be moving a variant at the same time. So read from the shop which products have the SKUs, both
    before and after, and from Klaviyo, right before each delete, which item has the variant. If another product has
    taken over a SKU in the meantime, copy that product: the delete may have hit its new variant.
    """
    holders = services.commercetools.other_products_with(list(surplus), product_id)
    moved: set[str] = set()

    def delete_variant(sku: str) -> None:
        # The other product's message may be waiting for a lock held here. If both wait, one of them is redelivered.
        with services.one_at_a_time([sku_lock_key(sku)]):
            if not services.klaviyo.has_variant(sku, product_id):
                return
            if sku in holders:
                moved.add(holders[sku])
            else:
                services.klaviyo.delete_variant(sku, str(surplus[sku].get("updated") or ""), product_id)

    services.in_parallel(_parts(surplus, delete_variant))
    freed = [sku for sku in surplus if sku not in holders]
    if freed:
        moved.update(services.commercetools.other_products_with(freed, product_id).values())
    for other in sorted(moved):
        copy_product(other, notification, services)


def _put_variant(
    sku: str,
    attributes: Mapped,
    *,
    item: Mapped,
    services: Services,
    item_was_missing: threading.Event,
    known: bool,
    young: bool,
) -> None:
    """Create or update a variant. If Klaviyo lacks the item, create the item first and set `item_was_missing`."""
    product_id = item.body["data"]["attributes"]["external_id"]
    try:
        services.klaviyo.put_variant(sku, attributes, product_id, known=known, young=young)
    except UnknownItem:
        item_was_missing.set()
        put_item(item, services, known=False)
        try:
            services.klaviyo.put_variant(sku, attributes, product_id, known=False, young=young)
        except UnknownItem as refused:
            raise error_after_create(refused) from None


@mapper
def is_standalone(product: ProductProjection) -> bool:
    """True if the product's prices are standalone prices."""
    return product.get("priceMode") == "Standalone"


def read_stock_and_prices(
    stock_skus: Sequence[str], price_skus: Sequence[str], services: Services, *, standalone: bool
) -> StockAndPrices:
    """The stock of `stock_skus` and, if prices are `standalone`, the standalone prices of `price_skus`."""
    entries = services.commercetools.inventory_entries(stock_skus)
    if not standalone:
        return StockAndPrices(entries, {})
    reads_prices = services.settings.sync.price.standalone
    return StockAndPrices(entries, services.commercetools.standalone_prices(price_skus) if reads_prices else None)


def stock_and_price_state(
    stock_and_prices: StockAndPrices, stock_skus: Sequence[str], price_skus: Sequence[str], services: Services
) -> object:
    """Ids and versions of these SKUs' stock and standalone prices, to tell whether they have changed."""
    channels, prices = services.settings.sync.inventory.channel, stock_and_prices.prices
    stock = [(sku, entry_versions(stock_and_prices.entries.get(sku, ()), channels)) for sku in stock_skus]
    return stock, None if prices is None else [(sku, _price_versions(prices, sku)) for sku in price_skus]


def _categories(product: ProductProjection | None) -> object:
    return product and product_category_ids(product, {})


@mapper
def _price_versions(prices: PricesBySku, sku: str) -> object:
    return sorted((price["id"], price["version"]) for price in prices.get(sku, ()))


@mapper
def _sku_lock_keys(product: ProductProjection | None) -> Collection[str]:
    return [sku_lock_key(variant_sku(product["id"], variant)) for variant in variants_of(product)] if product else []
