"""Writing the items of Klaviyo's catalog. It has no upsert, and its reads may lag."""

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

COMPARED_OF_ITEMS = [
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
"""What is compared, and `updated`, which tells which of two answers is the newer one."""


class KlaviyoItems(KlaviyoCategories):
    """Reads and writes of items. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls, settings: Settings) -> None:
        super().__init__(calls, settings)
        self._recent_items = RecentItems()

    def item(self, product_id: str) -> KnownItem | None:
        """The item of a product; None where Klaviyo does not have it, or where nothing tells how it is."""
        answer = self._calls.find(
            "Catalogs", "get_catalog_item", item_id(product_id), fields_catalog_item=COMPARED_OF_ITEMS
        )
        return self._recent_items.corrected(product_id, answer["data"]["attributes"]) if answer else None

    def existing_items(self, product_ids: Sequence[str]) -> frozenset[str]:
        """Those of the products whose items Klaviyo shows; its lists may lag."""
        compound_ids = [item_id(own) for own in product_ids]
        return frozenset(self._attributes("get_catalog_items", compound_ids, fields_catalog_item=["external_id"]))

    def may_be_in(self, product_id: str, category_ids: frozenset[str]) -> bool:
        """Whether the item may be in these categories: False when this instance put it into others a minute ago.

        The lists of items may lag behind that.
        """
        return self._recent_items.may_be_in(product_id, category_ids)

    def put_item(self, item: Mapped, *, known: bool) -> bool:
        """Create or update an item; whether it was created. Raises UnknownCategory when Klaviyo lacks one it names."""
        body = noted(item)
        update = item_update(body)
        product_id = body["data"]["attributes"]["external_id"]
        created = False

        def create() -> JsonObject:
            nonlocal created
            answer = self._item("create_catalog_item", body)
            created = True
            return answer

        try:
            with self._item_in_doubt_if_failed(product_id):
                answer = self._put(
                    lambda: self._item("update_catalog_item", update["data"]["id"], update),
                    create,
                    known=known,
                )
        except BothRefusedError as both:
            # It exists, and yet it can't be found: what can't be found is one of its categories.
            raise UnknownCategory("klaviyo", "update_catalog_item", status=_NOT_FOUND) from both
        self._recent_items.wrote(product_id, answer["data"]["attributes"], item_category_ids(body))
        return created

    def set_item(self, update: JsonObject) -> bool:
        """Change some attributes of an item; False when Klaviyo does not have it."""
        compound_id = update["data"]["id"]
        with self._item_in_doubt_if_failed(external_id(compound_id)):
            answer = self._calls.find("Catalogs", "update_catalog_item", compound_id, update)
        if answer is None:
            return False
        self._recent_items.wrote(external_id(compound_id), answer["data"]["attributes"])
        return True

    def hide_item(self, product_id: str) -> None:
        """Hide an item from feeds; one that is not there is hidden."""
        self.set_item(hidden_item(product_id))

    def delete_item(self, product_id: str) -> None:
        """Delete an item and its variants; one that is not there is deleted."""
        self._recent_items.may_be_gone(product_id)
        self._delete("delete_catalog_item", item_id(product_id))

    @contextmanager
    def _item_in_doubt_if_failed(self, product_id: str) -> Iterator[None]:
        """Remember an item whose write fails in a way that leaves open whether it took effect."""
        try:
            yield
        except TryAgain:
            self._recent_items.may_be_gone(product_id)
            raise

    def _item(self, operation: str, *arguments: Any) -> JsonObject:
        try:
            return self._calls.send("Catalogs", operation, *arguments)
        except Refused as refused:
            creating = operation == "create_catalog_item"
            if "categor" in refused.pointer or (creating and refused.status == _NOT_FOUND):
                raise UnknownCategory(
                    "klaviyo", operation, status=refused.status or _NOT_FOUND, pointer=refused.pointer
                ) from None
            raise

    def _put(self, update: Callable[[], JsonObject], create: Callable[[], JsonObject], *, known: bool) -> JsonObject:
        """The catalog has no upsert: 404 on PATCH creates, 409 on create updates; one hop."""
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
            raise BothRefusedError from None


class BothRefusedError(TryAgain):
    """Klaviyo says that a resource does not exist, and that it does."""

    def __init__(self) -> None:
        super().__init__("klaviyo_undecided", status=_CONFLICT)


def noted(mapped: Mapped) -> JsonObject:
    """The body; what was cut from it goes into the message's log line."""
    current_budget().cuts.extend(mapped.cuts)
    return mapped.body
