"""Products become catalog items, and their variants catalog variants."""

from collections.abc import Mapping
from typing import Any

from core.errors import Ignored, TryAgain
from core.notification import Notification
from handlers.catalog_item import CategoryMove
from handlers.catalog_product import CopiedProduct, copy_current_product, copy_products_holding, put_product
from handlers.current import YOUNG_SECONDS, Sharing, up_to_date
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import ProductProjection


@handles("product", "ProductPublished")
def sync_product(notification: Notification, services: Services) -> None:
    """Copy the product to its item and variants. If it is no longer published, delete or hide the item."""
    _copy(notification, services, move="perhaps")


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
def sync_live_edit(notification: Notification, services: Services) -> None:
    """Copy a product after an edit that went live without a publish; staged edits are ignored."""
    _copy_live_edit(notification, services, move="no")


@handles("product", "ProductAddedToCategory", "ProductRemovedFromCategory")
def sync_category_change(notification: Notification, services: Services) -> None:
    """Copy a product that was added to a category or removed from one; staged edits are ignored."""
    _copy_live_edit(notification, services, move="yes")


def _copy_live_edit(notification: Notification, services: Services, *, move: CategoryMove) -> None:
    if _is_staged(notification.payload):
        raise Ignored("staged")
    _copy(notification, services, move=move)


def _copy(notification: Notification, services: Services, *, move: CategoryMove) -> None:
    written: set[str] = set()

    def read() -> ProductProjection | None:
        publishes = notification.type == "ProductPublished"
        return up_to_date(notification, _published(notification, services), creates=publishes)

    def write(product: ProductProjection | None) -> CopiedProduct | None:
        if product:
            copied = put_product(product, notification, services, move=move)
            written.update(copied.written)
            return copied
        copy_products_holding(written, notification, services)
        # The read may lag, and deleting a variant loses its back-in-stock requests.
        if written and notification.age < YOUNG_SECONDS:
            raise TryAgain("not_there_yet")
        _remove_item(notification.resource.id, services, hide=_hides_unpublished(services))
        return None

    copy_current_product(write, read, notification, services, sharing=Sharing(kind=f"move {move}"))


def _is_staged(payload: Mapping[str, Any]) -> bool:
    """True if a message is only about staged data, which shoppers don't see. If it lists prices, all must be staged.

    A message without the `staged` field is about live data, or about both.
    """
    updated = payload.get("updatedPrices")
    changes = updated if isinstance(updated, list) and updated else [payload]
    return all(isinstance(one, dict) and one.get("staged") is True for one in changes)


@handles("product", "ProductUnpublished")
def remove_unpublished_product(notification: Notification, services: Services) -> None:
    """Delete or hide the item, unless the product has been published again."""
    _remove(notification, services, hide=_hides_unpublished(services), deletes=False)


@handles("product", "ProductDeleted")
@handles("product", "ResourceDeleted", subscribe=False)
def delete_product(notification: Notification, services: Services) -> None:
    """Delete the item and its variants from the catalog."""
    _remove(notification, services, hide=False, deletes=True)


def _remove(notification: Notification, services: Services, *, hide: bool, deletes: bool) -> None:
    removed = False

    def read() -> ProductProjection | None:
        return up_to_date(notification, _published(notification, services), deletes=deletes)

    def write(product: ProductProjection | None) -> CopiedProduct | None:
        nonlocal removed
        if product is None:
            _remove_item(notification.resource.id, services, hide=hide)
            removed = True
            return None
        # Published again in the meantime: another instance may have copied the product just before the removal.
        if removed:
            return put_product(product, notification, services)
        raise Ignored("published_again")

    copy_current_product(write, read, notification, services)


def _published(notification: Notification, services: Services) -> ProductProjection | None:
    return services.commercetools.product_projection(notification.resource.id)


def _remove_item(product_id: str, services: Services, *, hide: bool) -> None:
    if hide:
        services.klaviyo.hide_item(product_id)
    else:
        services.klaviyo.delete_item(product_id)


def _hides_unpublished(services: Services) -> bool:
    return services.settings.sync.product.unpublished == "hide"
