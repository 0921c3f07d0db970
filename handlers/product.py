"""Products become catalog items, their variants catalog variants."""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from core.errors import Ignored, Refused, SyncError, TryAgain, UnknownCategory, UnknownItem
from core.notification import Notification, Resource
from handlers.category_tree import create_category
from handlers.current import Source, copy_current
from handlers.inventory import stock_key
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import ProductProjection
from mappers.ids import external_id, variant_sku
from mappers.item import PricesBySku, catalog_item, variants_of
from mappers.mapped import Mapped, mapper
from mappers.variant import catalog_variants, differs

_BAD_REQUEST = 400


@handles("product", "ProductPublished")
def publish_product(notification: Notification, services: Services) -> None:
    """Make the item and its variants what the published projection says; take them out if there is none by now."""
    product_id = notification.resource.id

    def write(product: ProductProjection | None) -> None:
        if product is None:
            _take_out(product_id, services, hide=_hides_unpublished(services))
        else:
            _put_product(product, services)

    _copy_product(notification, services, write)


def copy_published_product(product_id: str, services: Services) -> None:
    """Do what ProductPublished does, under the product's lock, for a message about something else."""
    product = Resource("product", product_id)
    with services.one_at_a_time([str(product)], remembered=False), suppress(Ignored):
        publish_product(Notification(product, "ProductPublished", services.settings.ct_project_id, {}), services)


@handles("product", "ProductUnpublished")
def unpublish_product(notification: Notification, services: Services) -> None:
    """Take the item out, or hide it; a product that is published again by now stays."""
    _copy_removal(notification, services, hide=_hides_unpublished(services))


@handles("product", "ProductDeleted")
@handles("product", "ResourceDeleted", subscribe=False)
def delete_product(notification: Notification, services: Services) -> None:
    """Take the item out of the catalog, its variants with it."""
    _copy_removal(notification, services, hide=False)


def _copy_removal(notification: Notification, services: Services, *, hide: bool) -> None:
    product_id = notification.resource.id
    taken_out = False

    def write(product: ProductProjection | None) -> None:
        nonlocal taken_out
        if product is None:
            _take_out(product_id, services, hide=hide)
            taken_out = True
        elif taken_out:  # published while it was taken out, perhaps by another instance just before
            _put_product(product, services)
        else:
            raise Ignored("published_again")

    _copy_product(notification, services, write)


def _copy_product(
    notification: Notification, services: Services, write: Callable[[ProductProjection | None], None]
) -> None:
    copy_current(
        notification,
        services,
        Source(
            read=lambda: services.commercetools.product_projection(notification.resource.id),
            keys=_stock_keys,
            state=_version_and_stock,
        ),
        write,
    )


def _take_out(product_id: str, services: Services, *, hide: bool) -> None:
    if hide:
        services.klaviyo.hide_item(product_id)
    else:
        services.klaviyo.delete_item(product_id)


def _put_product(product: ProductProjection, services: Services) -> None:
    """The item first, then the variants: those that differ are written, those that are gone are deleted."""
    settings, klaviyo, product_id = services.settings, services.klaviyo, product["id"]
    prices = _standalone_prices(product, services)
    now = datetime.now(UTC)
    item = catalog_item(product, settings, now, prices)
    wanted = catalog_variants(product, settings, now, prices)
    found = klaviyo.variants(product_id)
    created = _put_item(item, services, known=found is not None)
    # An item that is created anew has none of the variants that were found a moment ago.
    existing = {} if created else found or {}
    differing = {
        sku: attributes
        for sku, attributes in wanted.items()
        if sku not in existing or differs(attributes.body, existing[sku])
    }
    item_was_gone = threading.Event()
    put = partial(_put_variant, item=item, services=services, item_was_gone=item_was_gone)
    services.together(
        [
            *(
                (f"variant {sku}", partial(put, sku, attributes, known=sku in existing))
                for sku, attributes in differing.items()
            ),
            *(
                (
                    f"variant {sku}",
                    partial(_delete_variant, sku, str(attributes.get("updated") or ""), product_id, services),
                )
                for sku, attributes in existing.items()
                if sku not in wanted
            ),
        ]
    )
    if item_was_gone.is_set():  # and with it the variants that needed no write, or had theirs before
        services.together(
            [(f"variant {sku}", partial(put, sku, attributes, known=True)) for sku, attributes in wanted.items()]
        )


def _put_item(item: Mapped, services: Services, *, known: bool) -> bool:
    """Put the item, after its categories where Klaviyo lacks some; whether it had to be created."""
    try:
        return services.klaviyo.put_item(item, known=known)
    except UnknownCategory:
        complete = _with_known_categories(item, services)
    try:
        return services.klaviyo.put_item(complete, known=known)
    except UnknownCategory as refused:
        raise _undecided(refused) from None


def _with_known_categories(item: Mapped, services: Services) -> Mapped:
    """The item, after the categories that Klaviyo lacks were created; without those that are gone meanwhile."""
    data = item.body["data"]
    references = data["relationships"]["categories"]["data"]
    ids = [external_id(reference["id"]) for reference in references]
    missing = sorted(set(ids) - services.klaviyo.category_names(ids).keys())
    gone = {own for own in missing if not create_category(own, services)}
    kept = [reference for reference in references if external_id(reference["id"]) not in gone]
    return Mapped({"data": {**data, "relationships": {"categories": {"data": kept}}}}, item.cuts)


def _put_variant(
    sku: str, attributes: Mapped, *, item: Mapped, services: Services, item_was_gone: threading.Event, known: bool
) -> None:
    product_id = item.body["data"]["attributes"]["external_id"]
    try:
        services.klaviyo.put_variant(sku, attributes, product_id, known=known)
    except UnknownItem:
        item_was_gone.set()
        _put_item(item, services, known=False)
        try:
            services.klaviyo.put_variant(sku, attributes, product_id, known=False)
        except UnknownItem as refused:
            raise _undecided(refused) from None


def _delete_variant(sku: str, updated: str, product_id: str, services: Services) -> None:
    """Delete a variant that the product has no more, unless a message of another product is taking the SKU over.

    That message may wait for a SKU that this one holds, so the wait is short: one of them is delivered again.
    """
    with services.one_at_a_time([stock_key(sku)]):
        services.klaviyo.delete_variant(sku, updated, product_id)


def _undecided(refused: Refused) -> SyncError:
    """What Klaviyo still misses after it was created may be there later; a content it refuses never will."""
    if refused.status == _BAD_REQUEST:
        return refused
    return TryAgain("klaviyo_undecided", status=refused.status, code=refused.code)


def _standalone_prices(product: ProductProjection, services: Services) -> PricesBySku | None:
    if product.get("priceMode") != "Standalone":
        return {}
    return services.commercetools.standalone_prices([sku for sku in _skus(product) if sku])


@mapper
def _skus(product: ProductProjection) -> list[str]:
    return [variant_sku(product["id"], variant) for variant in variants_of(product)]


def _stock_keys(product: ProductProjection | None) -> Collection[str]:
    return [stock_key(sku) for sku in _skus(product)] if product else []


@mapper
def _version_and_stock(product: ProductProjection | None) -> object:
    """A projection carries stock, which moves without the product's version."""
    return product and (product["version"], [variant.get("availability") for variant in variants_of(product)])


def _hides_unpublished(services: Services) -> bool:
    return services.settings.sync.product.unpublished == "hide"
