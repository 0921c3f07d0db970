"""Categories become catalog categories, named by their path."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification, Resource
from handlers.category_items import moved_categories, put_items_right
from handlers.category_tree import create_category
from handlers.current import YOUNG, Sharing, Source, as_told, copy_current
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import Category
from mappers.category import ancestor_ids, below, category_name, category_state

CATEGORY_TREE = "category-tree"
"""A category's name depends on its ancestors', so an instance writes the names of one branch at a time."""

_ROUNDS = 3


@handles("category", "CategoryCreated", "ResourceUpdated")
def sync_category(notification: Notification, services: Services) -> None:
    """Put the category into Klaviyo's catalog, rename its descendants, and move the items of a branch that moved.

    The category's own name is written last: it is the mark that its branch is done, so what one message can't finish is
    finished by its next attempts. A message under a minute old writes the names also where Klaviyo shows them already:
    Klaviyo's list may lag, and another instance may be at it.
    """
    branch = _Branch(notification, services)
    copy_current(
        notification,
        services,
        Source(read=branch.read, state=category_state),
        branch.write,
        sharing=Sharing() if branch.is_young else None,
    )


@handles("category", "ResourceDeleted")
def delete_category(notification: Notification, services: Services) -> None:
    """Delete the category from Klaviyo's catalog."""
    with services.one_at_a_time([CATEGORY_TREE]):
        services.klaviyo.delete_category(notification.resource.id)


class _Branch:
    """A category and its descendants, for one message: by default its own category."""

    def __init__(self, notification: Notification, services: Services, category_id: str = "") -> None:
        self._notification = notification
        self._services = services
        self._id = category_id or notification.resource.id
        self._written: dict[str, str] = {}
        self.is_young = notification.age < YOUNG

    def read(self) -> Category | None:
        """The category as it is now."""
        creates = self._notification.type == "CategoryCreated"
        return as_told(self._notification, self._services.commercetools.category(self._id), creates=creates)

    def write(self, category: Category | None) -> None:
        """Missing ancestors, items, the descendants' names, then the own one."""
        klaviyo = self._services.klaviyo
        if category is None:
            # Its deletion may have been handled before an earlier attempt at this message, or its write.
            klaviyo.delete_category(self._id)
            raise Ignored("deleted_meanwhile")
        names = klaviyo.category_names([self._id, *ancestor_ids(category)])
        if not self._written and not self._is_to_be_written(category, names):
            return
        for missing in ancestor_ids(category):
            if missing not in names:
                create_category(missing, self._services)
        self._put_branch(category, names)
        if self._id not in names and not self._create(category):
            # Klaviyo's list lags: the category exists, perhaps with the items of another place.
            shown = klaviyo.category_name(self._id)
            if shown is None:
                raise TryAgain("klaviyo_undecided")
            self._put_branch(category, {**names, self._id: shown})
            self._rename_or_create(category)
        elif self._id in names:
            self._rename_or_create(category)

    def _put_branch(self, category: Category, names: Mapping[str, str]) -> None:
        """All but the own name, until the descendants are no others than those that were written."""
        descendants = self._descendants(category)
        for _ in range(_ROUNDS):
            known = {**names, **self._services.klaviyo.category_names([one["id"] for one in descendants])}
            if not self._put_below(category, descendants, known):
                return
            again = self._descendants(category)
            if _states(again) == _states(descendants):
                return
            for left in {one["id"] for one in descendants} - {one["id"] for one in again}:
                if left in self._written:
                    self._copy(left)
            descendants = again
        raise TryAgain("keeps_changing")

    def _copy(self, category_id: str) -> None:
        """Put a category right that left the branch: this message may have named it after its own message did."""
        services = self._services
        branch = _Branch(self._notification, services, category_id)
        source: Source[Category | None, None] = Source(
            read=lambda: services.commercetools.category(category_id), state=category_state
        )
        with services.one_at_a_time([str(Resource("category", category_id))], remembered=False), suppress(Ignored):
            copy_current(self._notification, services, source, branch.write)

    def _put_below(self, category: Category, descendants: list[Category], names: Mapping[str, str]) -> bool:
        """The items, which hold no lock of the tree, then the descendants' names; whether names were written."""
        services, refusals = self._services, list[DeadLetter]()
        # One that is not shown may have been created just now, but not before the category itself.
        hidden = self.is_young and self._id in names
        unnamed = [one for one in descendants if (hidden or one["id"] in names) and self._is_to_be_written(one, names)]
        changed = [one for one in (category, *unnamed) if names.get(one["id"]) != category_name(one, services.settings)]
        moved = moved_categories(changed, names, services)
        if moved:
            try:
                put_items_right(moved, [category, *descendants], names, self._notification, services)
            except DeadLetter as refusal:
                refusals.append(refusal)
                unnamed = [one for one in unnamed if one not in moved]  # their names say that their items are right
        # The deepest first: one whose parent has its new name, but not itself, would pass for one that moved.
        unnamed.sort(key=lambda one: len(ancestor_ids(one)), reverse=True)
        if unnamed:
            with services.one_at_a_time([CATEGORY_TREE]):
                services.together([(f"category {one['id']}", partial(self._rename, one)) for one in unnamed])
        if refusals:
            raise refusals[0]
        return bool(unnamed)

    def _descendants(self, category: Category) -> list[Category]:
        return [below(category, one) for one in self._services.commercetools.descendants(self._id)]

    def _is_to_be_written(self, category: Category, names: Mapping[str, str]) -> bool:
        name = category_name(category, self._services.settings)
        if names.get(category["id"]) != name:
            return self._written.get(category["id"]) != name
        return self.is_young and self._written.get(category["id"]) != name

    def _rename(self, category: Category) -> None:
        # A descendant that Klaviyo does not have yet comes with a message of its own.
        self._services.klaviyo.rename_category(category)
        self._written[category["id"]] = category_name(category, self._services.settings)

    def _create(self, category: Category) -> bool:
        with self._services.one_at_a_time([CATEGORY_TREE]):
            return self._services.klaviyo.create_category(category)

    def _rename_or_create(self, category: Category) -> None:
        with self._services.one_at_a_time([CATEGORY_TREE]):
            renamed = self._services.klaviyo.rename_category(category)
            if not renamed and not self._services.klaviyo.create_category(category):
                raise TryAgain("klaviyo_undecided", status=409)


def _states(descendants: list[Category]) -> object:
    return {one["id"]: category_state(one) for one in descendants}
