"""Products become catalog items, their variants catalog variants."""

from core.errors import Ignored, TryAgain
from core.notification import Notification
from handlers.catalog_product import Copied, copy_holders, copy_with, put_product
from handlers.current import YOUNG, Sharing, as_told
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import ProductProjection


@handles("product", "ProductPublished")
def publish_product(notification: Notification, services: Services) -> None:
    """Make the item and its variants what the published projection says; take them out if there is none by now."""
    written: set[str] = set()

    def read() -> ProductProjection | None:
        return as_told(notification, _published(notification, services), creates=True)

    def write(product: ProductProjection | None) -> Copied | None:
        if product:
            copied = put_product(product, notification, services)
            written.update(copied.written)
            return copied
        copy_holders(written, notification, services)
        if written and notification.age < YOUNG:  # the look may lag: people wait for variants to be back in stock
            raise TryAgain("not_there_yet")
        _take_out(notification.resource.id, services, hide=_hides_unpublished(services))
        return None

    copy_with(write, read, notification, services, sharing=Sharing())


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
