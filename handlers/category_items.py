"""Update the categories of items when a branch of the category tree has moved."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from core.errors import DeadLetter
from core.notification import Notification
from handlers.catalog_product import copy_product
from handlers.services import Services
from mappers.catalog_documents import Category, ProductProjection
from mappers.category import ancestor_ids, ancestor_paths, parent_path, product_category_ids

_BATCH_SIZE = 100
"""Products per round of parallel copies."""

Members = Mapping[str, Collection[str]]
"""Ids of the products whose items are in a category, by the category's id."""


def moved_categories(branch: Sequence[Category], names: Mapping[str, str], services: Services) -> list[Category]:
    """The categories of a branch that Klaviyo shows below another parent than they have now.

    `names` are the paths in Klaviyo. The parent's old path and its new one count as the same parent, so a rename is not
    a move. A category that Klaviyo lacks has no items there, so it is left out.
    """
    return [category for category in branch if category["id"] in names and _has_moved(category, names, services)]


def fix_item_categories(
    moved: Sequence[Category],
    branch: Sequence[Category],
    names: Mapping[str, str],
    notification: Notification,
    services: Services,
) -> None:
    """Copy the published products in the moved categories, and below them, whose items are in wrong categories.

    Tries all of them, then raises the first refusal.
    """
    by_id = {category["id"]: category for category in branch}
    tops = {category["id"] for category in moved}
    below = [own_id for own_id, category in by_id.items() if tops & {own_id, *ancestor_ids(category)}]
    members = _read_members(moved, names, services)

    def put(product_id: str, wanted: frozenset[str]) -> None:
        if members is None and services.klaviyo.categories_of_item(product_id) == wanted:
            return
        copy_product(product_id, notification, services)

    def writes(products: Sequence[ProductProjection]) -> Iterator[tuple[str, Callable[[], None]]]:
        for product in products:
            wanted = product_category_ids(product, by_id)
            if members is None or not _has_right_categories(product["id"], wanted, members, services):
                yield f"product {product['id']}", partial(put, product["id"], wanted)

    refusals: list[DeadLetter] = []
    products = services.commercetools.published_products(below)
    while page := list(islice(products, _BATCH_SIZE)):
        try:
            services.in_parallel(writes(page))
        except DeadLetter as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]


def _has_moved(category: Category, names: Mapping[str, str], services: Services) -> bool:
    above = ancestor_ids(category)
    parent_paths = {parent_path(category, services.settings), names.get(above[-1]) if above else ""}
    return "".join(ancestor_paths(names[category["id"]])[-1:]) not in parent_paths


def _read_members(moved: Sequence[Category], names: Mapping[str, str], services: Services) -> Members | None:
    """Members, in Klaviyo, of the nearest category that each moved branch left, and of the nearest that it entered.

    One call sets all categories of an item, so these two are enough to tell whether that call was made. Returns None if
    Klaviyo no longer has a category with the name of one that was left. Then each item has to be read.
    """
    by_name: Mapping[str, Collection[str]] | None = None
    deciding: set[str] = set()
    for category in moved:
        paths = ancestor_paths(names[category["id"]])
        if paths and by_name is None:
            by_name = services.klaviyo.categories_by_name()
        before = [set((by_name or {}).get(path, ())) for path in paths]
        if not all(before):
            return None
        now = ancestor_ids(category)
        left = [ids - set(now) for ids in before if ids - set(now)]
        entered = [own_id for own_id in now if own_id not in set().union(*before)]
        deciding |= {*(left[-1] if left else ()), *entered[-1:]}
    members: dict[str, Collection[str]] = {}

    def read(category_id: str) -> None:
        members[category_id] = services.klaviyo.products_in_category(category_id)

    services.in_parallel([(f"category {own_id}", partial(read, own_id)) for own_id in sorted(deciding)])
    return members


def _has_right_categories(product_id: str, wanted: frozenset[str], members: Members, services: Services) -> bool:
    shown = all((product_id in products) is (category_id in wanted) for category_id, products in members.items())
    return shown and services.klaviyo.may_be_in(product_id, wanted)
