"""Create categories that Klaviyo lacks."""

from core.errors import TryAgain
from handlers.current import MAX_ROUNDS
from handlers.services import Services
from mappers.category import category_name


def create_category(category_id: str, services: Services) -> bool:
    """Create a category that Klaviyo lacks. False if the shop has deleted it.

    If another message has created it in the meantime, it stays as it is: that message's name is newer. After creating
    it, read the shop again and copy any change: a message about the category or an ancestor may have been handled
    before, and found nothing to rename or delete. Raises TryAgain if the category keeps changing.
    """
    written: str | None = None
    for _ in range(MAX_ROUNDS):
        category = services.commercetools.category(category_id)
        if category is None:
            if written is not None:
                services.klaviyo.delete_category(category_id)
            return False
        name = category_name(category, services.settings)
        if name == written:
            return True
        if written is None and not services.klaviyo.create_category(category):
            return True
        if written is not None:
            services.klaviyo.rename_category(category)
        written = name
    raise TryAgain("keeps_changing")
