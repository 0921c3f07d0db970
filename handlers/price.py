"""Standalone prices set the price of their SKU's catalog variant, and of its item."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.retrying import current_budget
from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain, Unmappable
from core.notification import Notification, Resource
from handlers.current import YOUNG_SECONDS, Changed, Sharing, Source, copy_current, up_to_date, version
from handlers.inventory import sku_lock_key
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import Price, ProductProjection
from mappers.difference import has_differences, with_stale_keys_cleared
from mappers.item import PricesBySku, catalog_item, decides_item_price, item_price_update, product_skus
from mappers.json_safe import encodable
from mappers.mapped import mapper
from mappers.metadata import item_metadata_names, variant_metadata_names
from mappers.price import may_be_shown
from mappers.variant import variant_price_attributes

_FORBIDDEN = 403
_NOT_PUBLISHED, _EMBEDDED = "not_published", "embedded_prices"


@dataclass(frozen=True, slots=True)
class Priced:
    """A published product, and the standalone prices of its SKUs that may be shown.

    `named` is the price that the message is about, None if it was deleted. `decides_item` is True if the item's
    price may come from the message's SKU.
    """

    product: ProductProjection
    prices: PricesBySku
    named: Price | None
    decides_item: bool


@handles(
    "standalone-price",
    "StandalonePriceCreated",
    "StandalonePriceDeleted",
    "StandalonePriceValueChanged",
    "StandalonePriceDiscountSet",
    "StandalonePriceExternalDiscountSet",
    "StandalonePriceActiveChanged",
    "StandalonePriceStagedChangesApplied",
    "StandalonePriceValidFromSet",
    "StandalonePriceValidUntilSet",
    "StandalonePriceValidFromAndUntilSet",
    "StandalonePriceTierAdded",
    "StandalonePriceTierRemoved",
    "StandalonePriceTiersSet",
    when=setting("price.standalone"),
    scope="view_standalone_prices",
)
def sync_price(notification: Notification, services: Services) -> None:
    """Set the price of the variant with the standalone price's SKU, and of its item if the item shows that price."""
    if notification.payload.get("staged") is True:
        raise Ignored("staged")
    prices = _Prices(notification, services)
    source: Source[Priced, bool] = Source(
        read=prices.read,
        lock_keys=prices.lock_keys,
        resource_version=lambda priced: version(priced.named),
        recheck=prices.recheck,
    )
    copy_current(notification, services, source, prices.write, sharing=None if prices.deletes else Sharing())


class _Prices:
    """The reads and writes of one message."""

    def __init__(self, notification: Notification, services: Services) -> None:
        self._notification = notification
        self._services = services
        self._rules = services.settings.sync.price
        self.deletes = notification.type == "StandalonePriceDeleted"
        self._is_deleted = self.deletes
        self._named: Price | None = None
        self._just_read = False
        self._known_version = notification.version or 0
        self._has_written_item = False
        self._sku = _sku_in_payload(notification) or self._read_sku()
        if self.deletes:
            services.commercetools.recent_prices.remember(notification.resource.id, None)

    def read(self) -> Priced:
        """The SKU's product and its prices. Raises Ignored if no published product with standalone prices has it."""
        product = self._services.commercetools.published_product_of(self._sku)
        reason = self._why_ignored(product)
        if reason and self._notification.age < YOUNG_SECONDS and not current_budget().has_written:
            product = self._product_by_id(product if reason == _EMBEDDED else None)
            reason = self._why_ignored(product)
            if reason == _NOT_PUBLISHED:
                raise TryAgain("not_there_yet")
        if reason or product is None:
            raise Ignored(reason)
        return self._with_prices(product)

    def _why_ignored(self, product: ProductProjection | None) -> str:
        """Reason why the SKU's standalone price is not the product's price; empty if it is."""
        if product is None or self._sku not in product_skus(product):
            return _NOT_PUBLISHED
        return "" if product.get("priceMode") == "Standalone" else _EMBEDDED

    def _product_by_id(self, listed: ProductProjection | None) -> ProductProjection | None:
        """The SKU's product, read by its id because the query's answer may be stale.

        The id comes from the listed product; without one, from the item that has the SKU's variant in Klaviyo. This
        must not be left to the product's own message: it may have missed the price because of a stale query too.
        """
        product_id = listed["id"] if listed else self._services.klaviyo.product_of(self._sku)
        return self._services.commercetools.product_projection(product_id) if product_id else None

    def lock_keys(self, priced: Priced) -> Collection[str]:
        """The SKU, as stock messages write the variant too; and the product if its item is written."""
        writes_item = priced.decides_item or self._has_written_item
        return [sku_lock_key(self._sku), *([str(Resource("product", priced.product["id"]))] if writes_item else [])]

    def write(self, priced: Priced) -> bool:
        """Write what differs in the variant and in the item. True if anything was written."""
        settings, klaviyo, now = self._services.settings, self._services.klaviyo, datetime.now(UTC)
        product, own_keys = priced.product, variant_metadata_names(settings)
        wanted = variant_price_attributes(product, self._sku, settings, now, priced.prices)
        found = klaviyo.variant(self._sku)
        changed = found is None or has_differences(wanted, found, own_keys)
        refusal: DeadLetter | None = None
        if changed:
            try:
                exists = klaviyo.set_prices(
                    self._sku, with_stale_keys_cleared(wanted, found or {}, own_keys), product["id"]
                )
            except DeadLetter as refused:  # the item is written anyway
                refusal, exists = refused, True
                refused.part, refused.copied = f"variant {self._sku}", True
            if not exists:
                # Only the answer to the write is reliable: a new variant may not show in reads yet.
                raise Ignored("no_variant")
        wrote_item = (priced.decides_item or self._has_written_item) and self._put_item(
            priced, now, variant_changed=changed
        )
        if refusal:
            raise refusal
        return changed or wrote_item

    def _put_item(self, priced: Priced, now: datetime, *, variant_changed: bool) -> bool:
        """Write the item's price and its metadata, if they differ. True if they were written.

        If the variant's price changed, the item's most likely did too, so it is written without being read first.
        """
        settings, klaviyo, product = self._services.settings, self._services.klaviyo, priced.product
        own_keys = item_metadata_names(settings)
        item = item_price_update(catalog_item(product, settings, now, priced.prices).body)
        attributes = item["data"]["attributes"]
        shown = None if variant_changed else klaviyo.item(product["id"])
        if shown and not has_differences(attributes, shown.attributes, own_keys):
            return False
        attributes = with_stale_keys_cleared(attributes, shown.attributes if shown else {}, own_keys)
        self._has_written_item = True
        return klaviyo.set_item({"data": {**item["data"], "attributes": attributes}})

    def recheck(self, priced: Priced, written: bool) -> Changed[Priced] | None:  # noqa: FBT001 - what `write` returned
        """The newer product and prices if they have changed. Reads them only if anything was written, and by id."""
        if not written:
            return None
        product = self._services.commercetools.product_projection(priced.product["id"])
        if product is None or self._why_ignored(product):
            return Changed(self.read())
        again = self._with_prices(product)
        skus = product_skus(product) if self._has_written_item else [self._sku]
        same = version(product) == version(priced.product) and _state(again, skus) == _state(priced, skus)
        return None if same else Changed(again)

    def _with_prices(self, product: ProductProjection) -> Priced:
        own_id = self._notification.resource.id
        listed = self._services.commercetools.standalone_prices(product_skus(product), own_id)
        if listed is None:
            raise TryAgain("commercetools_denied", status=_FORBIDDEN)
        now = datetime.now(UTC)
        by_id = {price["id"]: price for price in listed[self._sku]}
        named = self._named_price(by_id.pop(own_id, None), now)
        if named:
            by_id[own_id] = named
        # Keep the query's order, by id: of equal prices the first is shown.
        prices = {**listed, self._sku: [by_id[price_id] for price_id in sorted(by_id)]}
        decides_item = decides_item_price(product, self._sku, self._services.settings, now, prices)
        return Priced(product, prices, named, decides_item)

    def _named_price(self, listed: Price | None, now: datetime) -> Price | None:
        """The price that the message names, as the query listed it or as read by its id.

        Queries lag. The price is read by its id if the query lists a version older than is known already, or does not
        list the price, unless it is known that the query leaves it out because it may not be shown.
        """
        if self._is_deleted:
            return None
        is_filtered_out = listed is None and self._named is not None and not may_be_shown(self._named, self._rules, now)
        if listed is not None and (version(listed) or 0) >= self._known_version:
            self._named = listed
            self._services.commercetools.recent_prices.remember(listed["id"], listed)
        elif not self._just_read and not is_filtered_out:
            self._read_named()
        self._just_read = False
        return self._named

    def _read_named(self) -> None:
        price = self._services.commercetools.standalone_price(self._notification.resource.id)
        self._named = up_to_date(self._notification, price, creates=self._notification.type == "StandalonePriceCreated")
        self._is_deleted = self._named is None
        self._known_version = max(self._known_version, version(self._named) or 0)
        self._just_read = True

    def _read_sku(self) -> str:
        """The SKU of the named price, read by its id.

        Raises Ignored if the price was deleted: the message about its deletion names the SKU. Raises Unmappable if this
        is that message and it names none.
        """
        if self.deletes:
            raise Unmappable("no_sku", "sku")
        self._read_named()
        if self._named is None:
            raise Ignored("deleted_meanwhile")
        return _sku(self._named)


def _sku_in_payload(notification: Notification) -> str:
    """The SKU in the message's payload; empty for most types of message."""
    payload = notification.payload
    price = payload.get("standalonePrice")
    candidates = (
        payload.get("sku"),
        price.get("sku") if isinstance(price, dict) else None,
        notification.identifiers.get("sku"),
    )
    return next((encodable(sku) for sku in candidates if isinstance(sku, str) and sku), "")


@mapper
def _sku(price: Price) -> str:
    return encodable(price["sku"])


@mapper
def _state(priced: Priced, skus: Sequence[str]) -> object:
    """Ids and versions of these SKUs' prices, to tell whether they have changed."""
    return [sorted((price["id"], price["version"]) for price in priced.prices.get(sku, ())) for sku in skus]
