"""The item of a product: whether it has to be written, and writing it after its categories."""

from collections.abc import Collection
from typing import Literal

from clients.recent_items import KnownItem
from core.errors import Refused, SyncError, TryAgain, UnknownCategory
from handlers.category_tree import create_category
from handlers.services import Services
from mappers.difference import clearing, differs
from mappers.ids import external_id
from mappers.item import item_category_ids, item_update
from mappers.mapped import Mapped
from mappers.metadata import item_metadata_names

_BAD_REQUEST = 400

Moves = Literal["no", "perhaps", "yes"]
"""Whether a message tells that the item changes its categories, which a read of the item does not show."""


def item_to_write(item: Mapped, moves: Moves, services: Services) -> Mapped | None:
    """The item as it is to be written, None if Klaviyo has it so. Keys of its metadata that are to go are null.

    Its categories are not part of a read. Unless this instance wrote the item as it is, they are asked for if they may
    have changed; what is sure to have changed them is written.
    """
    update, own = item_update(item.body)["data"], item_metadata_names(services.settings)
    found = services.klaviyo.item(external_id(update["id"]))
    if (
        found
        and not differs(update["attributes"], found.attributes, own)
        and _is_in_its_categories(item, found, moves, services)
    ):
        return None
    data = item.body["data"]
    attributes = clearing(data["attributes"], found.attributes if found else {}, own)
    return Mapped({"data": {**data, "attributes": attributes}}, item.cuts)


def _is_in_its_categories(item: Mapped, found: KnownItem, moves: Moves, services: Services) -> bool:
    categories = found.categories
    if categories is None and moves == "perhaps":
        categories = services.klaviyo.categories_of_item(item.body["data"]["attributes"]["external_id"])
    return moves == "no" if categories is None else categories == item_category_ids(item.body)


def put_item(item: Mapped, services: Services, *, known: bool) -> bool:
    """Put the item, after its categories where Klaviyo lacks some; whether it had to be created."""
    try:
        return services.klaviyo.put_item(item, known=known)
    except UnknownCategory:
        complete = _with_known_categories(item, services)
    try:
        return services.klaviyo.put_item(complete, known=known)
    except UnknownCategory as refused:
        raise undecided(refused) from None


def _with_known_categories(item: Mapped, services: Services) -> Mapped:
    """The item, after the categories that Klaviyo lacks were created; without those that are gone meanwhile."""
    missing = services.klaviyo.missing_categories(sorted(item_category_ids(item.body)))
    return without_categories(item, {own for own in missing if not create_category(own, services)})


def without_categories(item: Mapped, gone: Collection[str]) -> Mapped:
    """The item in all of its categories but these."""
    data = item.body["data"]
    references = data["relationships"]["categories"]["data"]
    kept = [reference for reference in references if external_id(reference["id"]) not in gone]
    return Mapped({"data": {**data, "relationships": {"categories": {"data": kept}}}}, item.cuts)


def undecided(refused: Refused) -> SyncError:
    """What Klaviyo still misses after it was created may be there later; a content it refuses never will."""
    if refused.status == _BAD_REQUEST:
        return refused
    return TryAgain("klaviyo_undecided", status=refused.status, code=refused.code)
