"""Creating the categories that Klaviyo lacks."""

from core.errors import TryAgain
from handlers.services import Services
from mappers.category import category_name

_ROUNDS = 3


def create_category(category_id: str, services: Services) -> bool:
    """Create a category that Klaviyo lacks; False when the shop has it no more.

    One that somebody else created meanwhile stays as it is: its own message names it, and what that says is newer. One
    that was created here is looked at again, for a message about it or an ancestor may have passed it by before.
    """
    written: str | None = None
    for _ in range(_ROUNDS):
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
