"""Copying a published product to the catalog: the item, its variants, and SKUs that move between products."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from core.errors import DeadLetter, UnknownItem
from core.notification import Notification, Resource
from handlers.catalog_item import Moves, item_to_write, put_item, undecided
from handlers.current import YOUNG, Moved, Sharing, Source, copy_current, version
from handlers.inventory import entry_versions, stock_key
from handlers.services import Services
from mappers.catalog_documents import ProductProjection
from mappers.category import item_categories
from mappers.difference import clearing, differs
from mappers.ids import variant_sku
from mappers.item import PricesBySku, catalog_item, stocked_skus, variants_of
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import variant_metadata_names
from mappers.stock import EntriesBySku
from mappers.variant import catalog_variants


@dataclass(frozen=True, slots=True)
class Supplies:
    """What variants are made of beside the product, by SKU; `prices` None: they are not to be read, or can't be."""

    entries: EntriesBySku
    prices: PricesBySku | None


@dataclass(frozen=True, slots=True)
class Copied:
    """What a product was copied from, the SKUs of the variants that were written, and whether the item was."""

    supplies: Supplies
    written: frozenset[str]
    wrote_item: bool


Write = Callable[[ProductProjection | None], Copied | None]


def copy_product(product_id: str, notification: Notification, services: Services, *, lets_go: bool = True) -> None:
    """Copy a published product for a message about something else, under the product's own lock.

    Without `lets_go` variants stay that the product does not have.
    """

    def write(product: ProductProjection | None) -> Copied | None:
        return put_product(product, notification, services, moves="yes", lets_go=lets_go) if product else None

    with services.one_at_a_time([str(Resource("product", product_id))], remembered=False):
        copy_with(write, lambda: services.commercetools.product_projection(product_id), notification, services)


def copy_holders(skus: Collection[str], notification: Notification, services: Services) -> None:
    """Copy the other published products that hold these SKUs, after the message's own product is gone.

    Its older read may have taken a variant away from one of them, which would go with the item.
    """
    if skus:
        holders = services.commercetools.products_that_hold(sorted(skus), notification.resource.id)
        for other in sorted(set(holders.values())):
            copy_product(other, notification, services)


def copy_with(
    write: Write,
    read: Callable[[], ProductProjection | None],
    notification: Notification,
    services: Services,
    *,
    sharing: Sharing | None = None,
) -> None:
    """Copy the product that `read` gives with `write`. Afterwards the product is looked at again.

    So are the stock and the standalone prices of the SKUs whose variant was written, and the standalone prices of all
    of them if the item was.
    """

    def look(product: ProductProjection | None, copied: Copied | None) -> Moved[ProductProjection | None] | None:
        again = read()
        # A category that moves changes what the item is in, but not the product's version.
        if version(again) != version(product) or _categories(again) != _categories(product):
            return Moved(again)
        if not again or not copied:
            return None
        skus = stocked_skus(again)
        written = [sku for sku in skus if sku in copied.written]
        # Any variant's standalone price may be the item's.
        priced = skus if copied.wrote_item else written
        if not written and not (priced and is_standalone(again)):
            return None
        seen = supplies_of(written, priced, services, standalone=is_standalone(again))
        now = state_of(seen, written, priced, services)
        return None if now == state_of(copied.supplies, written, priced, services) else Moved(again)

    copy_current(notification, services, Source(read=read, keys=_stock_keys, look=look), write, sharing=sharing)


def put_product(
    product: ProductProjection,
    notification: Notification,
    services: Services,
    *,
    moves: Moves = "perhaps",
    lets_go: bool = True,
) -> Copied:
    """The item first, then the variants: what differs is written, variants that are gone are deleted (`lets_go`).

    What is refused for its content does not keep the rest from being written; then the first refusal is raised.
    """
    settings, klaviyo, product_id = services.settings, services.klaviyo, product["id"]
    skus = stocked_skus(product)
    supplies = supplies_of(skus, skus, services, standalone=is_standalone(product))
    now = datetime.now(UTC)
    item = catalog_item(product, settings, now, supplies.prices)
    wanted = catalog_variants(product, settings, now, supplies.prices, supplies.entries)
    found, own = klaviyo.variants(product_id), variant_metadata_names(settings)
    refusals = _Refusals()
    created = wrote_item = False
    with refusals.kept("item", only_if=found is not None):
        to_write = item if found is None else item_to_write(item, moves, services)
        if to_write:
            created = put_item(to_write, services, known=found is not None)
            wrote_item = True
    # A new item has none of the variants that were listed before.
    existing = {} if created else found or {}
    differing = {
        sku: Mapped(clearing(attributes.body, existing[sku], own), attributes.cuts) if sku in existing else attributes
        for sku, attributes in wanted.items()
        if sku not in existing or differs(attributes.body, existing[sku], own)
    }
    gone = {sku: attributes for sku, attributes in existing.items() if sku not in wanted} if lets_go else {}
    item_was_gone = threading.Event()
    put = partial(
        _put_variant, item=item, services=services, item_was_gone=item_was_gone, young=notification.age < YOUNG
    )
    with refusals.kept():
        services.together(_parts(differing, lambda sku: put(sku, differing[sku], known=sku in existing)))
    if item_was_gone.is_set():  # and with it the variants that needed no write, or had theirs before
        with refusals.kept():
            services.together(_parts(wanted, lambda sku: put(sku, wanted[sku], known=True)))
    if gone:
        with refusals.kept():
            _let_go(gone, product_id, notification, services)
    anew = item_was_gone.is_set()
    copied = Copied(supplies, frozenset(wanted if anew else differing), wrote_item or anew)
    refusals.raise_first(copied)
    return copied


@dataclass(slots=True)
class _Refusals:
    """Contents that were refused while others were written."""

    first: DeadLetter | None = field(default=None)

    @contextmanager
    def kept(self, part: str = "", *, only_if: bool = True) -> Iterator[None]:
        """Go on after a refusal of what is done inside; `part` names it."""
        try:
            yield
        except DeadLetter as refusal:
            if not only_if:
                raise
            refusal.part = refusal.part or part
            self.first = self.first or refusal

    def raise_first(self, copied: Copied) -> None:
        """Raise the first refusal, if there was one. It says what was copied all the same."""
        if self.first:
            self.first.copied = copied
            raise self.first


def _parts(skus: Iterable[str], write: Callable[[str], None]) -> list[tuple[str, Callable[[], None]]]:
    return [(f"variant {sku}", partial(write, sku)) for sku in skus]


def _let_go(gone: Mapping[str, JsonObject], product_id: str, notification: Notification, services: Services) -> None:
    """Delete the variants that the product has no more; those that another published product has by now go there.

    Another instance may be moving them at the same time. So the shop is asked before, Klaviyo right before the delete,
    and the shop once more afterwards: a product that took a SKU over meanwhile is copied, as the delete may have hit
    its new variant.
    """
    holders = services.commercetools.products_that_hold(list(gone), product_id)
    moved: set[str] = set()

    def let_go(sku: str) -> None:
        # That other product's message may wait for a SKU that this one holds: one of them is delivered again.
        with services.one_at_a_time([stock_key(sku)]):
            if not services.klaviyo.has_variant(sku, product_id):
                return
            if sku in holders:
                moved.add(holders[sku])
            else:
                services.klaviyo.delete_variant(sku, str(gone[sku].get("updated") or ""), product_id)

    services.together(_parts(gone, let_go))
    freed = [sku for sku in gone if sku not in holders]
    if freed:
        moved.update(services.commercetools.products_that_hold(freed, product_id).values())
    for other in sorted(moved):
        copy_product(other, notification, services)


def _put_variant(
    sku: str,
    attributes: Mapped,
    *,
    item: Mapped,
    services: Services,
    item_was_gone: threading.Event,
    known: bool,
    young: bool,
) -> None:
    product_id = item.body["data"]["attributes"]["external_id"]
    try:
        services.klaviyo.put_variant(sku, attributes, product_id, known=known, young=young)
    except UnknownItem:
        item_was_gone.set()
        put_item(item, services, known=False)
        try:
            services.klaviyo.put_variant(sku, attributes, product_id, known=False, young=young)
        except UnknownItem as refused:
            raise undecided(refused) from None


@mapper
def is_standalone(product: ProductProjection) -> bool:
    """Whether the product's prices are standalone prices."""
    return product.get("priceMode") == "Standalone"


def supplies_of(stocked: Sequence[str], priced: Sequence[str], services: Services, *, standalone: bool) -> Supplies:
    """Stock of SKUs, and, where prices are `standalone`, those of the SKUs that are `priced`."""
    entries = services.commercetools.inventory_entries(stocked)
    if not standalone:
        return Supplies(entries, {})
    reads_prices = services.settings.sync.price.standalone
    return Supplies(entries, services.commercetools.standalone_prices(priced) if reads_prices else None)


def state_of(supplies: Supplies, stocked: Sequence[str], priced: Sequence[str], services: Services) -> object:
    """What tells one state of these SKUs' stock and standalone prices from the next."""
    channels, prices = services.settings.sync.inventory.channel, supplies.prices
    stock = [(sku, entry_versions(supplies.entries.get(sku, ()), channels)) for sku in stocked]
    return stock, None if prices is None else [(sku, _price_versions(prices, sku)) for sku in priced]


def _categories(product: ProductProjection | None) -> object:
    return product and item_categories(product, {})


@mapper
def _price_versions(prices: PricesBySku, sku: str) -> object:
    return sorted((price["id"], price["version"]) for price in prices.get(sku, ()))


@mapper
def _stock_keys(product: ProductProjection | None) -> Collection[str]:
    return [stock_key(variant_sku(product["id"], variant)) for variant in variants_of(product)] if product else []
