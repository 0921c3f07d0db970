"""Write a product's catalog item if it differs, after creating the categories it needs."""

from collections.abc import Collection
from typing import Literal

from clients.recent_items import KnownItem
from core.errors import Refused, SyncError, TryAgain, UnknownCategory
from handlers.category_creation import create_category
from handlers.services import Services
from mappers.difference import has_differences, with_stale_keys_cleared
from mappers.ids import external_id
from mappers.item import item_category_ids, item_update
from mappers.mapped import Mapped
from mappers.metadata import item_metadata_names

_BAD_REQUEST = 400

CategoryMove = Literal["no", "perhaps", "yes"]
"""Has the message changed the item's categories? Klaviyo's reads of an item don't show them."""


def item_to_write(item: Mapped, move: CategoryMove, services: Services) -> Mapped | None:
    """The item to write, with null for metadata keys to remove; None if Klaviyo has the item like this already.

    A read of the item does not show its categories. If this instance has not just written them, `move` decides: "yes"
    writes the item, "perhaps" reads its categories, and "no" takes them as unchanged.
    """
    update, own_keys = item_update(item.body)["data"], item_metadata_names(services.settings)
    found = services.klaviyo.item(external_id(update["id"]))
    if (
        found
        and not has_differences(update["attributes"], found.attributes, own_keys)
        and _has_right_categories(item, found, move, services)
    ):
        return None
    data = item.body["data"]
    attributes = with_stale_keys_cleared(data["attributes"], found.attributes if found else {}, own_keys)
    return Mapped({"data": {**data, "attributes": attributes}}, item.cuts)


def _has_right_categories(item: Mapped, found: KnownItem, move: CategoryMove, services: Services) -> bool:
    categories = found.categories
    if categories is None and move == "perhaps":
        categories = services.klaviyo.categories_of_item(item.body["data"]["attributes"]["external_id"])
    return move == "no" if categories is None else categories == item_category_ids(item.body)


def put_item(item: Mapped, services: Services, *, known: bool) -> bool:
    """Create or update the item, after creating any category that Klaviyo lacks. True if the item was created.

    `known`: Klaviyo is known to have the item, so try the update first.
    """
    try:
        return services.klaviyo.put_item(item, known=known)
    except UnknownCategory:
        complete = _with_known_categories(item, services)
    try:
        return services.klaviyo.put_item(complete, known=known)
    except UnknownCategory as refused:
        raise error_after_create(refused) from None


def _with_known_categories(item: Mapped, services: Services) -> Mapped:
    """Create the categories that Klaviyo lacks. Returns the item without those that the shop has deleted."""
    missing = services.klaviyo.missing_categories(sorted(item_category_ids(item.body)))
    return without_categories(
        item, {category_id for category_id in missing if not create_category(category_id, services)}
    )


def without_categories(item: Mapped, deleted: Collection[str]) -> Mapped:
    """The item without these categories."""
    data = item.body["data"]
    references = data["relationships"]["categories"]["data"]
    kept = [reference for reference in references if external_id(reference["id"]) not in deleted]
    return Mapped({"data": {**data, "relationships": {"categories": {"data": kept}}}}, item.cuts)


def error_after_create(refused: Refused) -> SyncError:
    """The error to raise if Klaviyo still refuses a write for lack of something that was just created.

    A 400 refuses the content itself, so it stays a dead letter. Any other is TryAgain: Klaviyo may find it later.
    """
    if refused.status == _BAD_REQUEST:
        return refused
    return TryAgain("klaviyo_undecided", status=refused.status, code=refused.code)
