"""Categories become catalog categories, named by their path."""

from functools import partial

from core.errors import Ignored
from core.notification import Notification
from handlers.current import Source, copy_current
from handlers.registry import handles
from handlers.services import Services
from mappers.category import category_name
from mappers.documents import Category

CATEGORY_TREE = "category-tree"
"""A category's name depends on its ancestors', so an instance writes the whole tree one message at a time."""


@handles("category", "CategoryCreated", "ResourceUpdated")
def sync_category(notification: Notification, services: Services) -> None:
    """Put the category into Klaviyo's catalog, and rename the descendants whose path is another one now.

    The whole branch is compared at each message: a message that failed halfway is finished by its next attempt.
    """
    category_id = notification.resource.id

    def write(branch: list[Category]) -> None:
        if not branch:
            # Its deletion may have been handled before an earlier attempt at this message, or its write.
            services.klaviyo.delete_category(category_id)
            raise Ignored("deleted_meanwhile")
        names = services.klaviyo.category_names([category["id"] for category in branch])
        services.together(
            (
                f"category {category['id']}",
                partial(services.klaviyo.put_category, category, known=category["id"] in names)
                if category["id"] == category_id
                else partial(services.klaviyo.rename_category, category),
            )
            for category in branch
            if is_to_be_written(category, names)
        )

    def is_to_be_written(category: Category, names: dict[str, str]) -> bool:
        # A descendant that Klaviyo does not have yet comes with a message of its own.
        own = category["id"] == category_id
        return (own or category["id"] in names) and names.get(category["id"]) != category_name(
            category, services.settings
        )

    copy_current(
        notification,
        services,
        Source(
            read=lambda: services.commercetools.category_tree(category_id),
            keys=lambda _branch: [CATEGORY_TREE],
            state=_names_and_versions,
        ),
        write,
    )


@handles("category", "ResourceDeleted")
def delete_category(notification: Notification, services: Services) -> None:
    """Delete the category from Klaviyo's catalog."""
    with services.one_at_a_time([CATEGORY_TREE]):
        services.klaviyo.delete_category(notification.resource.id)


def _names_and_versions(branch: list[Category]) -> object:
    """Versions of the categories and of the ancestors that name them."""
    ancestors = [ancestor.get("obj") or ancestor for category in branch for ancestor in category.get("ancestors") or []]
    return sorted((document["id"], document.get("version", 0)) for document in (*branch, *ancestors))
