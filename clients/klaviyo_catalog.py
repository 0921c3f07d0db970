"""Writing the variants of Klaviyo's catalog. It has no upsert, and its reads may lag."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_items import BothRefusedError, KlaviyoItems, noted
from clients.recent_writes import RecentWrites
from core.errors import Refused, TryAgain, UnknownItem
from core.settings import Settings
from mappers.ids import external_id, item_id, variant_id
from mappers.mapped import JsonObject, Mapped
from mappers.variant import stock_update, variant_create, variant_update

_BAD_REQUEST = 400
_NOT_FOUND = 404
_CONFLICT = 409
_PAGE = 100

_COMPARED = [
    "external_id",
    "title",
    "description",
    "url",
    "sku",
    "image_full_url",
    "inventory_quantity",
    "inventory_policy",
    "price",
    "custom_metadata",
    "published",
    "updated",
]


class KlaviyoCatalog(KlaviyoItems):
    """The writes to the catalog that handlers need. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        super().__init__(calls, settings)
        self._recent = RecentWrites()

    def variants(self, product_id: str) -> dict[str, JsonObject] | None:
        """Attributes by SKU of an item's variants (all pages), None when Klaviyo does not know the item."""
        listed = self._pages("get_variants_for_catalog_item", item_id(product_id), fields_catalog_variant=_COMPARED)
        try:
            found = {external_id(variant["id"]): variant["attributes"] for variant in listed}
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            # The item that this instance has just made may not be shown yet.
            return self._recent.corrected(product_id, {}) or None
        return self._recent.corrected(product_id, found)

    def put_variant(self, sku: str, attributes: Mapped, product_id: str, *, known: bool, young: bool) -> None:
        """Create or update a variant. Raises UnknownItem when Klaviyo does not know the item.

        `known`: the item lists it. A variant can't change items, so one that another item has is deleted and created.
        `young`: the message is, so that what Klaviyo does not show yet may still appear; then TryAgain is raised.
        """
        own = noted(attributes)
        update = partial(
            self._calls.send, "Catalogs", "update_catalog_variant", variant_id(sku), variant_update(sku, own)
        )
        create = partial(self._new_variant, variant_create(sku, own, product_id))
        make_anew = partial(self._make_anew, sku, create)

        def take() -> JsonObject:
            owner = self._owner(sku, product_id)
            if owner is None and young:
                raise BothRefusedError  # people may wait for it to be back in stock: what may be right is not deleted
            return update() if owner == product_id else make_anew()

        with self._noted_if_failed(sku, product_id):
            if known:
                answer = self._put(update, create, known=True)
                if _item_of(answer["data"]) not in (None, product_id):
                    answer = make_anew()
            else:
                answer = self._put(take, create, known=False)
        self._recent.wrote(sku, answer["data"]["attributes"], product_id)

    def has_variant(self, sku: str, product_id: str) -> bool:
        """Whether a variant belongs to the item of this product, as Klaviyo has it by its id: lists may lag."""
        return self._owner(sku, product_id) == product_id

    def delete_variant(self, sku: str, updated: str, product_id: str) -> None:
        """Delete a product's variant; one that is not there is deleted. `updated` is what Klaviyo last said of it."""
        with self._noted_if_failed(sku, product_id):
            self._delete("delete_catalog_variant", variant_id(sku))
        self._recent.deleted(sku, updated)

    def may_have_created(self, product_id: str, skus: Collection[str]) -> None:
        """Remember for a minute that a bulk job may have created a product's item, and these variants of it.

        Lists may lag, so the next write of the product asks by id what it would trust a list for otherwise.
        """
        self._recent_items.may_be_gone(product_id)
        for sku in skus:
            self._recent.may_have_written(sku, product_id)

    def delete_item(self, product_id: str) -> None:
        """Delete an item and its variants; one that is not there is deleted."""
        super().delete_item(product_id)
        self._recent.deleted_item(product_id)

    def variant(self, sku: str) -> JsonObject | None:
        """Attributes of a variant, read by its id; None when Klaviyo has no such variant."""
        answer = self._calls.find("Catalogs", "get_catalog_variant", variant_id(sku), fields_catalog_variant=_COMPARED)
        return self._recent.corrected_one(sku, answer["data"]["attributes"]) if answer else None

    def product_of(self, sku: str) -> str | None:
        """Id of the product whose item has the variant; None where Klaviyo does not say."""
        # Not with `fields`, which may leave relationships out.
        answer = self._calls.find("Catalogs", "get_catalog_variant", variant_id(sku))
        return _item_of(answer["data"]) if answer else None

    def set_stock(self, sku: str, stock: JsonObject) -> bool:
        """Set what a variant has in stock; False when Klaviyo has no such variant."""
        return self._set_variant(sku, stock_update(sku, stock))

    def set_prices(self, sku: str, attributes: JsonObject, product_id: str) -> bool:
        """Set price and metadata of a product's variant; False when Klaviyo has no such variant."""
        with self._noted_if_failed(sku, product_id):
            return self._set_variant(sku, variant_update(sku, attributes))

    def _set_variant(self, sku: str, update: JsonObject) -> bool:
        answer = self._calls.find("Catalogs", "update_catalog_variant", variant_id(sku), update)
        if answer is None:
            return False
        self._recent.changed(sku, answer["data"]["attributes"])
        return True

    @contextmanager
    def _noted_if_failed(self, sku: str, product_id: str) -> Iterator[None]:
        """Remember a variant whose write or delete fails in a way that leaves open whether it took effect."""
        try:
            yield
        except TryAgain:
            self._recent.may_have_written(sku, product_id)
            raise

    def _owner(self, sku: str, product_id: str) -> str | None:
        """Id of the product whose item has the variant; None where Klaviyo does not show it.

        Where the variant does not name its item, the item of `product_id` is asked for it.
        """
        # Not with `fields`, which may leave relationships out.
        answer = self._calls.find("Catalogs", "get_catalog_variant", variant_id(sku))
        if answer is None:
            return None
        owner = _item_of(answer["data"])
        if owner:
            return owner
        wanted = f"any(ids,{json.dumps([variant_id(sku)], ensure_ascii=False)})"
        page = self._calls.find("Catalogs", "get_variants_for_catalog_item", item_id(product_id), filter=wanted)
        return product_id if page and page["data"] else None

    def _make_anew(self, sku: str, create: Callable[[], JsonObject]) -> JsonObject:
        self._delete("delete_catalog_variant", variant_id(sku))
        try:
            return create()
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            raise BothRefusedError from None

    def _new_variant(self, body: JsonObject) -> JsonObject:
        try:
            return self._calls.send("Catalogs", "create_catalog_variant", body)
        except Refused as refused:
            unknown_item = refused.status == _BAD_REQUEST and "relationships/item" in refused.pointer
            if unknown_item or refused.status == _NOT_FOUND:
                raise UnknownItem(
                    "klaviyo", "create_catalog_variant", status=refused.status or _NOT_FOUND, pointer=refused.pointer
                ) from None
            raise


def _item_of(variant: JsonObject) -> str | None:
    """Id of the product whose item a variant belongs to, where Klaviyo says so."""
    item = ((variant.get("relationships") or {}).get("item") or {}).get("data")
    return external_id(item["id"]) if item else None
