"""Categories become catalog categories, named by their path from the root."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification, Resource
from handlers.category_creation import create_category
from handlers.category_items import fix_item_categories, moved_categories
from handlers.current import MAX_ROUNDS, YOUNG_SECONDS, Sharing, Source, copy_current, up_to_date
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import Category
from mappers.category import ancestor_ids, category_name, category_state, with_current_ancestors

CATEGORY_TREE = "category-tree"
"""Key of the lock for writing names. They contain the ancestors' names, so only one branch is renamed at a time."""


@handles("category", "CategoryCreated", "ResourceUpdated")
def sync_category(notification: Notification, services: Services) -> None:
    """Create or rename the category, rename its descendants, and update the items' categories if the branch moved.

    The category's own name is written last. It marks the branch as complete: if an attempt fails before that, the next
    one continues. A message under a minute old writes the names even where Klaviyo shows them already, as Klaviyo's
    list may lag, or another instance may be writing.
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
    """A category and its descendants. Without `category_id` it is the category that the message names."""

    def __init__(self, notification: Notification, services: Services, category_id: str = "") -> None:
        self._notification = notification
        self._services = services
        self._id = category_id or notification.resource.id
        self._written: dict[str, str] = {}
        self.is_young = notification.age < YOUNG_SECONDS

    def read(self) -> Category | None:
        """The category as it is now."""
        creates = self._notification.type == "CategoryCreated"
        return up_to_date(self._notification, self._services.commercetools.category(self._id), creates=creates)

    def write(self, category: Category | None) -> None:
        """Create missing ancestors, fix the items' categories, rename the descendants, then the category itself."""
        klaviyo = self._services.klaviyo
        if category is None:
            # Its deletion may have been handled before this message wrote it, in this attempt or an earlier one.
            klaviyo.delete_category(self._id)
            raise Ignored("deleted_meanwhile")
        names = klaviyo.category_names([self._id, *ancestor_ids(category)])
        if not self._written and not self._needs_write(category, names):
            return
        for missing in ancestor_ids(category):
            if missing not in names:
                create_category(missing, self._services)
        self._put_branch(category, names)
        if self._id not in names and not self._create(category):
            # Klaviyo's list lags: the category exists, perhaps with items from its former place in the tree.
            shown = klaviyo.category_name(self._id)
            if shown is None:
                raise TryAgain("klaviyo_undecided")
            self._put_branch(category, {**names, self._id: shown})
            self._rename_or_create(category)
        elif self._id in names:
            self._rename_or_create(category)

    def _put_branch(self, category: Category, names: Mapping[str, str]) -> None:
        """Write all but the category's own name. Repeat until the list of descendants no longer changes."""
        descendants = self._descendants(category)
        for _ in range(MAX_ROUNDS):
            known = {**names, **self._services.klaviyo.category_names([one["id"] for one in descendants])}
            if not self._put_below(category, descendants, known):
                return
            again = self._descendants(category)
            if _states(again) == _states(descendants):
                return
            for departed in {one["id"] for one in descendants} - {one["id"] for one in again}:
                if departed in self._written:
                    self._copy_departed(departed)
            descendants = again
        raise TryAgain("keeps_changing")

    def _copy_departed(self, category_id: str) -> None:
        """Copy a category that has left the branch: this message may have overwritten its newer name."""
        services = self._services
        branch = _Branch(self._notification, services, category_id)
        source: Source[Category | None, None] = Source(
            read=lambda: services.commercetools.category(category_id), state=category_state
        )
        with services.one_at_a_time([str(Resource("category", category_id))], record_release=False), suppress(Ignored):
            copy_current(self._notification, services, source, branch.write)

    def _put_below(self, category: Category, descendants: list[Category], names: Mapping[str, str]) -> bool:
        """Fix the items' categories, then rename the descendants under the lock. True if any name was written."""
        services, refusals = self._services, list[DeadLetter]()
        # Klaviyo's list may not show a new descendant yet. There is none if Klaviyo lacks the category itself.
        may_be_hidden = self.is_young and self._id in names
        to_rename = [
            one for one in descendants if (may_be_hidden or one["id"] in names) and self._needs_write(one, names)
        ]
        changed = [
            one for one in (category, *to_rename) if names.get(one["id"]) != category_name(one, services.settings)
        ]
        moved = moved_categories(changed, names, services)
        if moved:
            try:
                fix_item_categories(moved, [category, *descendants], names, self._notification, services)
            except DeadLetter as refusal:
                refusals.append(refusal)
                # A new name would mark the items of a moved category as correct.
                to_rename = [one for one in to_rename if one not in moved]
        # The deepest first: a category with its old name below a renamed parent would look as if it had moved.
        to_rename.sort(key=lambda one: len(ancestor_ids(one)), reverse=True)
        if to_rename:
            with services.one_at_a_time([CATEGORY_TREE]):
                services.in_parallel([(f"category {one['id']}", partial(self._rename, one)) for one in to_rename])
        if refusals:
            raise refusals[0]
        return bool(to_rename)

    def _descendants(self, category: Category) -> list[Category]:
        return [with_current_ancestors(category, one) for one in self._services.commercetools.descendants(self._id)]

    def _needs_write(self, category: Category, names: Mapping[str, str]) -> bool:
        name = category_name(category, self._services.settings)
        if names.get(category["id"]) != name:
            return self._written.get(category["id"]) != name
        return self.is_young and self._written.get(category["id"]) != name

    def _rename(self, category: Category) -> None:
        # A descendant that Klaviyo lacks is not created here: it has a message of its own.
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
