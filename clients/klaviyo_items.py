"""Read and write the items of Klaviyo's catalog, which has no upsert and whose reads may lag behind writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_categories import KlaviyoCategories
from clients.recent_items import KnownItem, RecentItems
from clients.retrying import current_budget
from core.errors import Refused, TryAgain, UnknownCategory, UnknownItem
from core.settings import Settings
from mappers.ids import external_id, item_id
from mappers.item import hidden_item, item_category_ids, item_update
from mappers.mapped import JsonObject, Mapped

_NOT_FOUND = 404
_CONFLICT = 409

COMPARED_ITEM_FIELDS = [
    "external_id",
    "title",
    "description",
    "url",
    "image_full_url",
    "images",
    "price",
    "custom_metadata",
    "published",
    "updated",
]
"""Fields that are compared with those to be written, and `updated`, which shows which of two answers is newer."""


class KlaviyoItems(KlaviyoCategories):
    """Reads and writes of items. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        super().__init__(calls, settings)
        self._recent_items = RecentItems()

    def item(self, product_id: str) -> KnownItem | None:
        """The item of a product. None if it does not exist, or if its state is unknown after recent writes."""
        answer = self._calls.find(
            "Catalogs", "get_catalog_item", item_id(product_id), fields_catalog_item=COMPARED_ITEM_FIELDS
        )
        return self._recent_items.corrected(product_id, answer["data"]["attributes"]) if answer else None

    def existing_items(self, product_ids: Sequence[str]) -> frozenset[str]:
        """The products whose items Klaviyo lists. Its lists may lag."""
        compound_ids = [item_id(own) for own in product_ids]
        return frozenset(self._attributes("get_catalog_items", compound_ids, fields_catalog_item=["external_id"]))

    def may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """False if a list that shows the item in exactly these categories may be stale.

        That is if this instance put it into others in the last minute, or if its state is unknown after recent writes.
        """
        return self._recent_items.may_be_in(product_id, category_ids)

    def put_item(self, item: Mapped, *, known: bool) -> bool:
        """Create or update an item. True if it was created. Raises UnknownCategory if one of its categories is unknown.

        `known`: the item is expected to exist, so try the update first.
        """
        body = body_of(item)
        update = item_update(body)
        product_id = body["data"]["attributes"]["external_id"]
        created = False

        def create() -> JsonObject:
            nonlocal created
            answer = self._send_item("create_catalog_item", body)
            created = True
            return answer

        try:
            with self._unknown_if_failed(product_id):
                answer = self._put(
                    lambda: self._send_item("update_catalog_item", update["data"]["id"], update),
                    create,
                    known=known,
                )
        except UndecidedError as undecided:
            # The item exists, but the update is answered 404: then one of its categories was not found.
            raise UnknownCategory("klaviyo", "update_catalog_item", status=_NOT_FOUND) from undecided
        self._recent_items.wrote(product_id, answer["data"]["attributes"], item_category_ids(body))
        return created

    def set_item(self, update: JsonObject) -> bool:
        """Change some attributes of an item. False if the item does not exist."""
        compound_id = update["data"]["id"]
        with self._unknown_if_failed(external_id(compound_id)):
            answer = self._calls.find("Catalogs", "update_catalog_item", compound_id, update)
        if answer is None:
            return False
        self._recent_items.wrote(external_id(compound_id), answer["data"]["attributes"])
        return True

    def hide_item(self, product_id: str) -> None:
        """Hide an item from feeds. Does nothing if it does not exist."""
        self.set_item(hidden_item(product_id))

    def delete_item(self, product_id: str) -> None:
        """Delete an item and its variants. Does nothing if it does not exist."""
        self._recent_items.mark_unknown(product_id)
        self._delete("delete_catalog_item", item_id(product_id))

    @contextmanager
    def _unknown_if_failed(self, product_id: str) -> Iterator[None]:
        """Mark the item's state as unknown if its write fails, but may have taken effect."""
        try:
            yield
        except TryAgain:
            self._recent_items.mark_unknown(product_id)
            raise

    def _send_item(self, operation: str, *arguments: Any) -> JsonObject:
        try:
            return self._calls.send("Catalogs", operation, *arguments)
        except Refused as refused:
            is_create = operation == "create_catalog_item"
            if "categor" in refused.pointer or (is_create and refused.status == _NOT_FOUND):
                raise UnknownCategory(
                    "klaviyo", operation, status=refused.status or _NOT_FOUND, pointer=refused.pointer
                ) from None
            raise

    def _put(self, update: Callable[[], JsonObject], create: Callable[[], JsonObject], *, known: bool) -> JsonObject:
        """Upsert, which the catalog lacks: create after a 404 on update, update after a 409 on create, once only.

        `known` decides which comes first. Raises UndecidedError if both are refused.
        """
        first, second, missed = (update, create, _NOT_FOUND) if known else (create, update, _CONFLICT)
        try:
            return first()
        except (UnknownCategory, UnknownItem):
            raise
        except Refused as refused:
            if refused.status != missed:
                raise
        try:
            return second()
        except (UnknownCategory, UnknownItem):
            raise
        except Refused as refused:
            if refused.status not in (_NOT_FOUND, _CONFLICT):
                raise
            raise UndecidedError from None


class UndecidedError(TryAgain):
    """Klaviyo contradicts itself about whether a resource exists."""

    def __init__(self) -> None:
        super().__init__("klaviyo_undecided", status=_CONFLICT)


def body_of(mapped: Mapped) -> JsonObject:
    """The body, after recording in the message's budget what was cut from it."""
    current_budget().cuts.extend(mapped.cuts)
    return mapped.body
