"""Products become catalog items, their variants catalog variants."""

from collections.abc import Mapping
from typing import Any

from core.errors import Ignored, TryAgain
from core.notification import Notification
from handlers.catalog_item import Moves
from handlers.catalog_product import Copied, copy_holders, copy_with, put_product
from handlers.current import YOUNG, Sharing, as_told
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import ProductProjection


@handles("product", "ProductPublished")
def publish_product(notification: Notification, services: Services) -> None:
    """Make the item and its variants what the published projection says; take them out if there is none by now."""
    _copy(notification, services, moves="perhaps")


@handles(
    "product",
    "ProductPriceAdded",
    "ProductPriceChanged",
    "ProductPriceRemoved",
    "ProductPricesSet",
    "ProductPriceDiscountsSet",
    "ProductPriceExternalDiscountSet",
    "ProductPriceModeSet",
    "ProductVariantAdded",
    "ProductVariantDeleted",
    "ProductImageAdded",
    "ProductSlugChanged",
)
def edit_product(notification: Notification, services: Services) -> None:
    """Copy a product that was edited live, without a publish; what was only staged is ignored."""
    _copy_live_edit(notification, services, moves="no")


@handles("product", "ProductAddedToCategory", "ProductRemovedFromCategory")
def move_product(notification: Notification, services: Services) -> None:
    """Copy a product that was put into a category live, or taken out of one; what was only staged is ignored."""
    _copy_live_edit(notification, services, moves="yes")


def _copy_live_edit(notification: Notification, services: Services, *, moves: Moves) -> None:
    if _is_staged(notification.payload):
        raise Ignored("staged")
    _copy(notification, services, moves=moves)


def _copy(notification: Notification, services: Services, *, moves: Moves) -> None:
    written: set[str] = set()

    def read() -> ProductProjection | None:
        publishes = notification.type == "ProductPublished"
        return as_told(notification, _published(notification, services), creates=publishes)

    def write(product: ProductProjection | None) -> Copied | None:
        if product:
            copied = put_product(product, notification, services, moves=moves)
            written.update(copied.written)
            return copied
        copy_holders(written, notification, services)
        if written and notification.age < YOUNG:  # the look may lag: people wait for variants to be back in stock
            raise TryAgain("not_there_yet")
        _take_out(notification.resource.id, services, hide=_hides_unpublished(services))
        return None

    copy_with(write, read, notification, services, sharing=Sharing(what=f"moves {moves}"))


def _is_staged(payload: Mapping[str, Any]) -> bool:
    """Whether a message tells of the staged side alone, which shoppers don't see; of several prices, all of them.

    A message without the field tells of the live side, or of both.
    """
    updated = payload.get("updatedPrices")
    told = updated if isinstance(updated, list) and updated else [payload]
    return all(isinstance(one, dict) and one.get("staged") is True for one in told)


@handles("product", "ProductUnpublished")
def unpublish_product(notification: Notification, services: Services) -> None:
    """Take the item out, or hide it; a product that is published again by now stays."""
    _remove(notification, services, hide=_hides_unpublished(services), deletes=False)


@handles("product", "ProductDeleted")
@handles("product", "ResourceDeleted", subscribe=False)
def delete_product(notification: Notification, services: Services) -> None:
    """Take the item out of the catalog, its variants with it."""
    _remove(notification, services, hide=False, deletes=True)


def _remove(notification: Notification, services: Services, *, hide: bool, deletes: bool) -> None:
    taken_out = False

    def read() -> ProductProjection | None:
        return as_told(notification, _published(notification, services), deletes=deletes)

    def write(product: ProductProjection | None) -> Copied | None:
        nonlocal taken_out
        if product is None:
            _take_out(notification.resource.id, services, hide=hide)
            taken_out = True
            return None
        if taken_out:  # published while it was taken out, perhaps by another instance just before
            return put_product(product, notification, services)
        raise Ignored("published_again")

    copy_with(write, read, notification, services)


def _published(notification: Notification, services: Services) -> ProductProjection | None:
    return services.commercetools.product_projection(notification.resource.id)


def _take_out(product_id: str, services: Services, *, hide: bool) -> None:
    if hide:
        services.klaviyo.hide_item(product_id)
    else:
        services.klaviyo.delete_item(product_id)


def _hides_unpublished(services: Services) -> bool:
    return services.settings.sync.product.unpublished == "hide"
