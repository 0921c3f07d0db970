"""Standalone prices become the price of the catalog variant of their SKU, and of its item."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.retrying import current_budget
from core.conditions import setting
from core.errors import DeadLetter, Ignored, TryAgain, Unmappable
from core.notification import Notification, Resource
from handlers.current import YOUNG, Moved, Sharing, Source, as_told, copy_current, version
from handlers.inventory import stock_key
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import Price, ProductProjection
from mappers.difference import clearing, differs
from mappers.item import PricesBySku, catalog_item, decides_item_price, item_prices, stocked_skus
from mappers.json_safe import encodable
from mappers.mapped import mapper
from mappers.metadata import item_metadata_names, variant_metadata_names
from mappers.price import may_be_shown
from mappers.variant import variant_prices

_FORBIDDEN = 403
_NOT_PUBLISHED, _EMBEDDED = "not_published", "embedded_prices"


@dataclass(frozen=True, slots=True)
class Priced:
    """A published product and the standalone prices of its SKUs that may be shown.

    `named` is the price that the message is about, None where it is gone; `is_items` says whether the item's price may
    be that of the message's SKU.
    """

    product: ProductProjection
    prices: PricesBySku
    named: Price | None
    is_items: bool


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
    """Set the price of the variant of a standalone price's SKU, and of the item where that price is the item's."""
    if notification.payload.get("staged") is True:
        raise Ignored("staged")
    prices = _Prices(notification, services)
    source: Source[Priced, bool] = Source(
        read=prices.read, keys=prices.keys, own_version=lambda priced: version(priced.named), look=prices.look
    )
    copy_current(notification, services, source, prices.write, sharing=None if prices.deletes else Sharing())


class _Prices:
    """What one message reads and writes."""

    def __init__(self, notification: Notification, services: Services) -> None:
        self._notification = notification
        self._services = services
        self._rules = services.settings.sync.price
        self.deletes = notification.type == "StandalonePriceDeleted"
        self._gone = self.deletes
        self._named: Price | None = None
        self._just_read = False
        self._seen = notification.version or 0
        self._has_written_item = False
        self._sku = _told_sku(notification) or self._read_sku()
        if self.deletes:
            services.commercetools.recent_prices.saw(notification.resource.id, None)

    def read(self) -> Priced:
        """The SKU's product, and its prices. Raises Ignored where no published one with standalone prices has it."""
        product = self._services.commercetools.published_product_of(self._sku)
        reason = self._unfit(product)
        if reason and self._notification.age < YOUNG and not current_budget().has_written:
            product = self._product_by_id(product if reason == _EMBEDDED else None)
            reason = self._unfit(product)
            if reason == _NOT_PUBLISHED:
                raise TryAgain("not_there_yet")
        if reason or product is None:
            raise Ignored(reason)
        return self._with_prices(product)

    def _unfit(self, product: ProductProjection | None) -> str:
        """Why a price of the SKU is not the product's; empty where it is."""
        if product is None or self._sku not in stocked_skus(product):
            return _NOT_PUBLISHED
        return "" if product.get("priceMode") == "Standalone" else _EMBEDDED

    def _product_by_id(self, listed: ProductProjection | None) -> ProductProjection | None:
        """The product that a query shows too old, or not at all: then Klaviyo's variant of the SKU tells whose it is.

        The product's own message may have missed the price just so.
        """
        product_id = listed["id"] if listed else self._services.klaviyo.product_of(self._sku)
        return self._services.commercetools.product_projection(product_id) if product_id else None

    def keys(self, priced: Priced) -> Collection[str]:
        """Messages about stock write the variant too, those about the product its item."""
        writes_item = priced.is_items or self._has_written_item
        return [stock_key(self._sku), *([str(Resource("product", priced.product["id"]))] if writes_item else [])]

    def write(self, priced: Priced) -> bool:
        """Write what differs of the variant and of the item; whether anything was written."""
        settings, klaviyo, now = self._services.settings, self._services.klaviyo, datetime.now(UTC)
        product, own = priced.product, variant_metadata_names(settings)
        wanted = variant_prices(product, self._sku, settings, now, priced.prices)
        found = klaviyo.variant(self._sku)
        changed = found is None or differs(wanted, found, own)
        refusal: DeadLetter | None = None
        if changed:
            try:
                is_there = klaviyo.set_prices(self._sku, clearing(wanted, found or {}, own), product["id"])
            except DeadLetter as refused:  # the item is written all the same
                refusal, is_there = refused, True
                refused.part, refused.copied = f"variant {self._sku}", True
            if not is_there:
                # Klaviyo may not show yet a variant that was just made: only its answer to the write tells.
                raise Ignored("no_variant")
        wrote_item = (priced.is_items or self._has_written_item) and self._put_item(priced, now, is_changed=changed)
        if refusal:
            raise refusal
        return changed or wrote_item

    def _put_item(self, priced: Priced, now: datetime, *, is_changed: bool) -> bool:
        """Write what differs of the item's price; whether it was written. Where the variant changed so has the item."""
        settings, klaviyo, product = self._services.settings, self._services.klaviyo, priced.product
        own = item_metadata_names(settings)
        item = item_prices(catalog_item(product, settings, now, priced.prices).body)
        attributes = item["data"]["attributes"]
        shown = None if is_changed else klaviyo.item(product["id"])
        if shown and not differs(attributes, shown.attributes, own):
            return False
        attributes = clearing(attributes, shown.attributes if shown else {}, own)
        self._has_written_item = True
        return klaviyo.set_item({"data": {**item["data"], "attributes": attributes}})

    def look(self, priced: Priced, written: bool) -> Moved[Priced] | None:  # noqa: FBT001 - what `write` returned
        """The product once more, now by its id, and its prices, if anything was written."""
        if not written:
            return None
        product = self._services.commercetools.product_projection(priced.product["id"])
        if product is None or self._unfit(product):
            return Moved(self.read())
        again = self._with_prices(product)
        skus = stocked_skus(product) if self._has_written_item else [self._sku]
        same = version(product) == version(priced.product) and _state(again, skus) == _state(priced, skus)
        return None if same else Moved(again)

    def _with_prices(self, product: ProductProjection) -> Priced:
        own_id = self._notification.resource.id
        listed = self._services.commercetools.standalone_prices(stocked_skus(product), own_id)
        if listed is None:
            raise TryAgain("commercetools_denied", status=_FORBIDDEN)
        now = datetime.now(UTC)
        by_id = {price["id"]: price for price in listed[self._sku]}
        named = self._current(by_id.pop(own_id, None), now)
        if named:
            by_id[own_id] = named
        # In the order of the query: of equals the first is shown.
        prices = {**listed, self._sku: [by_id[price_id] for price_id in sorted(by_id)]}
        is_items = decides_item_price(product, self._sku, self._services.settings, now, prices)
        return Priced(product, prices, named, is_items)

    def _current(self, listed: Price | None, now: datetime) -> Price | None:
        """The message's own price. Queries lag: one that they show older than it is known to be is read by its id.

        So is one that they lack, unless it is known to be none of those that are asked for.
        """
        if self._gone:
            return None
        is_left_out = listed is None and self._named is not None and not may_be_shown(self._named, self._rules, now)
        if listed is not None and (version(listed) or 0) >= self._seen:
            self._named = listed
            self._services.commercetools.recent_prices.saw(listed["id"], listed)
        elif not self._just_read and not is_left_out:
            self._read_named()
        self._just_read = False
        return self._named

    def _read_named(self) -> None:
        price = self._services.commercetools.standalone_price(self._notification.resource.id)
        self._named = as_told(self._notification, price, creates=self._notification.type == "StandalonePriceCreated")
        self._gone = self._named is None
        self._seen = max(self._seen, version(self._named) or 0)
        self._just_read = True

    def _read_sku(self) -> str:
        """The SKU of the message's price. Raises Ignored where that is gone: the message that deleted it names it."""
        if self.deletes:
            raise Unmappable("no_sku", "sku")
        self._read_named()
        if self._named is None:
            raise Ignored("deleted_meanwhile")
        return _sku(self._named)


def _told_sku(notification: Notification) -> str:
    """The SKU that a message says; empty for most kinds."""
    payload = notification.payload
    price = payload.get("standalonePrice")
    told = (
        payload.get("sku"),
        price.get("sku") if isinstance(price, dict) else None,
        notification.identifiers.get("sku"),
    )
    return next((encodable(sku) for sku in told if isinstance(sku, str) and sku), "")


@mapper
def _sku(price: Price) -> str:
    return encodable(price["sku"])


@mapper
def _state(priced: Priced, skus: Sequence[str]) -> object:
    """What tells one state of these SKUs' prices from the next."""
    return [sorted((price["id"], price["version"]) for price in priced.prices.get(sku, ())) for sku in skus]
