"""Read and write the variants of Klaviyo's catalog, which has no upsert and whose reads may lag behind writes."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_items import KlaviyoItems, UndecidedError, body_of
from clients.recent_variants import RecentVariants
from core.errors import Refused, TryAgain, UnknownItem
from core.settings import Settings
from mappers.ids import external_id, item_id, variant_id
from mappers.mapped import JsonObject, Mapped
from mappers.variant import stock_update, variant_create, variant_update

_BAD_REQUEST = 400
_NOT_FOUND = 404
_CONFLICT = 409

_COMPARED_FIELDS = [
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
"""Fields that are compared with those to be written, and `updated`, which shows which of two answers is newer."""


class KlaviyoCatalog(KlaviyoItems):
    """Reads and writes of the catalog. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        super().__init__(calls, settings)
        self._recent_variants = RecentVariants()

    def variants(self, product_id: str) -> dict[str, JsonObject] | None:
        """Attributes of an item's variants by SKU (all pages), None if the item does not exist."""
        listed = self._pages(
            "get_variants_for_catalog_item", item_id(product_id), fields_catalog_variant=_COMPARED_FIELDS
        )
        try:
            found = {external_id(variant["id"]): variant["attributes"] for variant in listed}
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            # Klaviyo may not show an item yet that this instance has just created.
            return self._recent_variants.corrected(product_id, {}) or None
        return self._recent_variants.corrected(product_id, found)

    def put_variant(self, sku: str, attributes: Mapped, product_id: str, *, known: bool, young: bool) -> None:
        """Create or update a variant. Raises UnknownItem if Klaviyo does not know the item.

        `known`: the item lists the variant, so try the update first. A variant can't change items: if another item has
        it, delete and re-create it.

        `young`: the change is so recent that reads may not show the variant yet. Then TryAgain is raised for a variant
        that exists but is not shown, instead of re-creating it.
        """
        body = body_of(attributes)
        update = partial(
            self._calls.send, "Catalogs", "update_catalog_variant", variant_id(sku), variant_update(sku, body)
        )
        create = partial(self._create_variant, variant_create(sku, body, product_id))
        recreate = partial(self._recreate, sku, create)

        def take_over() -> JsonObject:
            owner = self._owner(sku, product_id)
            if owner is None and young:
                # It may be this product's own. Deleting it would drop the back-in-stock subscriptions of its customers.
                raise UndecidedError
            return update() if owner == product_id else recreate()

        with self._in_doubt_if_failed(sku, product_id):
            if known:
                answer = self._put(update, create, known=True)
                if _product_id_of(answer["data"]) not in (None, product_id):
                    answer = recreate()
            else:
                answer = self._put(take_over, create, known=False)
        self._recent_variants.wrote(sku, answer["data"]["attributes"], product_id)

    def has_variant(self, sku: str, product_id: str) -> bool:
        """True if the variant belongs to this product's item. It is read by its id, as lists may lag."""
        return self._owner(sku, product_id) == product_id

    def delete_variant(self, sku: str, updated: str, product_id: str) -> None:
        """Delete a product's variant, if it exists. `updated` is the variant's `updated` as last read."""
        with self._in_doubt_if_failed(sku, product_id):
            self._delete("delete_catalog_variant", variant_id(sku))
        self._recent_variants.deleted(sku, updated)

    def may_have_created(self, product_id: str, skus: Collection[str]) -> None:
        """Remember for a minute that a bulk job may have created a product's item and these variants.

        As lists may lag, the next write of the product then reads them by id instead.
        """
        self._recent_items.mark_unknown(product_id)
        for sku in skus:
            self._recent_variants.may_have_written(sku, product_id)

    def delete_item(self, product_id: str) -> None:
        """Delete an item and its variants. Does nothing if it does not exist."""
        super().delete_item(product_id)
        self._recent_variants.deleted_item(product_id)

    def variant(self, sku: str) -> JsonObject | None:
        """Attributes of a variant, read by its id; None if it does not exist."""
        answer = self._calls.find(
            "Catalogs", "get_catalog_variant", variant_id(sku), fields_catalog_variant=_COMPARED_FIELDS
        )
        return self._recent_variants.corrected_one(sku, answer["data"]["attributes"]) if answer else None

    def product_of(self, sku: str) -> str | None:
        """Id of the product whose item has the variant; None if Klaviyo does not say."""
        # Without `fields`, which may leave out relationships.
        answer = self._calls.find("Catalogs", "get_catalog_variant", variant_id(sku))
        return _product_id_of(answer["data"]) if answer else None

    def set_stock(self, sku: str, stock: JsonObject) -> bool:
        """Set a variant's stock. False if it does not exist."""
        return self._set_variant(sku, stock_update(sku, stock))

    def set_prices(self, sku: str, attributes: JsonObject, product_id: str) -> bool:
        """Set price and metadata of a product's variant. False if it does not exist."""
        with self._in_doubt_if_failed(sku, product_id):
            return self._set_variant(sku, variant_update(sku, attributes))

    def _set_variant(self, sku: str, update: JsonObject) -> bool:
        answer = self._calls.find("Catalogs", "update_catalog_variant", variant_id(sku), update)
        if answer is None:
            return False
        self._recent_variants.changed(sku, answer["data"]["attributes"])
        return True

    @contextmanager
    def _in_doubt_if_failed(self, sku: str, product_id: str) -> Iterator[None]:
        """Remember the variant if its write or delete fails, but may have taken effect."""
        try:
            yield
        except TryAgain:
            self._recent_variants.may_have_written(sku, product_id)
            raise

    def _owner(self, sku: str, product_id: str) -> str | None:
        """Id of the product whose item has the variant; None if Klaviyo does not show it.

        If the variant does not name its item, check whether the item of `product_id` lists it.
        """
        # Without `fields`, which may leave out relationships.
        answer = self._calls.find("Catalogs", "get_catalog_variant", variant_id(sku))
        if answer is None:
            return None
        owner = _product_id_of(answer["data"])
        if owner:
            return owner
        wanted = f"any(ids,{json.dumps([variant_id(sku)], ensure_ascii=False)})"
        page = self._calls.find("Catalogs", "get_variants_for_catalog_item", item_id(product_id), filter=wanted)
        return product_id if page and page["data"] else None

    def _recreate(self, sku: str, create: Callable[[], JsonObject]) -> JsonObject:
        self._delete("delete_catalog_variant", variant_id(sku))
        try:
            return create()
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            raise UndecidedError from None

    def _create_variant(self, body: JsonObject) -> JsonObject:
        try:
            return self._calls.send("Catalogs", "create_catalog_variant", body)
        except Refused as refused:
            unknown_item = refused.status == _BAD_REQUEST and "relationships/item" in refused.pointer
            if unknown_item or refused.status == _NOT_FOUND:
                raise UnknownItem(
                    "klaviyo", "create_catalog_variant", status=refused.status or _NOT_FOUND, pointer=refused.pointer
                ) from None
            raise


def _product_id_of(variant: JsonObject) -> str | None:
    """Id of the product whose item the variant belongs to, if Klaviyo says so."""
    item = ((variant.get("relationships") or {}).get("item") or {}).get("data")
    return external_id(item["id"]) if item else None
