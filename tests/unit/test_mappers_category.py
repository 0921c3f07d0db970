"""Categories: they are named by their path, in the preferred language."""

from typing import Any

import pytest

from mappers.category import (
    ancestor_ids,
    ancestor_paths,
    catalog_category,
    category_name,
    category_paths,
    category_update,
    parent_path,
    product_category_ids,
    with_current_ancestors,
)
from mappers.ids import CUSTOM_CATALOG
from tests.unit.strategies import category_reference, settings_with

WOMEN = category_reference("women", {"en": "Women", "de": "Damen"})
BAGS = category_reference("bags", {"en": "Bags", "de": "Taschen"}, [WOMEN])
HANDBAGS = category_reference("handbags", {"en": "Handbags"}, [WOMEN, BAGS])
SALE = category_reference("sale", {"en": "Sale"})


@pytest.mark.parametrize(
    ("category", "name"),
    [
        (HANDBAGS["obj"], "Women > Bags > Handbags"),
        (WOMEN["obj"], "Women"),
        ({"id": "c", "name": {"en": " "}, "key": "key", "slug": {"en": "slug"}}, "key"),
        ({"id": "c", "name": None, "slug": {"en": "slug"}}, "slug"),
        ({"id": "c", "name": {}, "ancestors": None}, "c"),
        ({"id": "c", "name": {"en": "Bags"}, "ancestors": [{"typeId": "category", "id": "gone"}]}, "gone > Bags"),
    ],
)
def test_a_category_is_named_by_its_path(category: Any, name: str) -> None:
    """The path begins at the root. A category without a name appears by its key, slug or id."""
    assert category_name(category, settings_with(preferred_locale="en-US")) == name


def test_the_path_is_in_the_preferred_language() -> None:
    """Each part follows the rule for localized text, so a missing translation falls back on its own."""
    assert category_name(HANDBAGS["obj"], settings_with(preferred_locale="de")) == "Damen > Taschen > Handbags"


def _category(own_id: str, *ancestor_ids: str, **fields: Any) -> Any:
    """A category with these ancestors, root first. Names are the ids in capitals."""
    ancestors = [
        {"typeId": "category", "id": one, "obj": _category(one, *ancestor_ids[:index])}
        for index, one in enumerate(ancestor_ids)
    ]
    parent = {"parent": {"typeId": "category", "id": ancestor_ids[-1]}} if ancestor_ids else {}
    return {"id": own_id, "version": 1, "name": {"en": own_id.upper()}, "ancestors": ancestors, **parent, **fields}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_path_follows_the_parents(order: tuple[int, ...]) -> None:
    """The order of `ancestors` does not matter."""
    category = _category("d", "a", "b", "c")
    shuffled: Any = {**category, "ancestors": [category["ancestors"][index] for index in order]}
    settings = settings_with(preferred_locale="en")
    assert category_name(shuffled, settings) == "A > B > C > D"
    assert parent_path(shuffled, settings) == "A > B > C"
    assert ancestor_ids(shuffled) == ["a", "b", "c"]
    references: Any = [{"typeId": "category", "id": "d", "obj": shuffled}]
    assert category_paths(references, settings) == ["A", "A > B", "A > B > C", "A > B > C > D"]


def test_a_cycle_of_parents_does_not_loop_forever() -> None:
    """No shop should have such a document, but it must not hang the function."""
    ancestors = [{"typeId": "category", "id": "b", "obj": {"id": "b", "parent": {"typeId": "category", "id": "a"}}}]
    category: Any = {"id": "a", "parent": {"typeId": "category", "id": "b"}, "ancestors": ancestors}
    assert category_name(category, settings_with()) == "b > a"


@pytest.mark.parametrize(
    ("name", "above"), [("A", []), ("A > B", ["A"]), ("A > B > C", ["A", "A > B"]), ("", [])], ids=repr
)
def test_paths_of_the_ancestors(name: str, above: list[str]) -> None:
    """Every ancestor has a path, root first."""
    assert ancestor_paths(name) == above


def test_a_stale_ancestor_in_a_list_is_replaced() -> None:
    """A list may still show an ancestor's old place and name. The read of the ancestor itself counts."""
    top = _category("m", "new", version=2, name={"en": "NEW NAME"})
    shown = with_current_ancestors(top, _category("d", "old", "m", "n"))
    assert category_name(shown, settings_with(preferred_locale="en")) == "NEW > NEW NAME > N > D"
    assert ancestor_ids(shown) == ["new", "m", "n"]
    elsewhere = _category("d", "other")
    assert with_current_ancestors(top, elsewhere) == elsewhere


def test_an_item_is_in_its_categories_and_their_ancestors() -> None:
    """A category in `branch` replaces the one in the product, which may be stale."""
    categories: Any = [{"typeId": "category", "id": own_id, "obj": _category(own_id, *above)} for own_id, above in (
        ("m", ["old"]), ("x", ["y"]), ("z", [])
    )] + [{"typeId": "category", "id": "gone"}]  # fmt: skip
    product: Any = {"id": "p", "categories": categories}
    assert product_category_ids(product, {"m": _category("m", "new")}) == {"new", "m", "y", "x", "z", "gone"}
    assert product_category_ids({"id": "p"}, {}) == set()


def test_a_category_becomes_a_create_and_an_update() -> None:
    """A create has the external id, an update the compound id."""
    settings = settings_with(preferred_locale="en")
    attributes = {**CUSTOM_CATALOG, "external_id": "bags", "name": "Women > Bags"}
    assert catalog_category(BAGS["obj"], settings) == {"data": {"type": "catalog-category", "attributes": attributes}}
    assert category_update(BAGS["obj"], settings) == {
        "data": {
            "type": "catalog-category",
            "id": "$custom:::$default:::bags",
            "attributes": {"name": "Women > Bags"},
        }
    }


@pytest.mark.parametrize(
    ("references", "paths"),
    [
        ([HANDBAGS], ["Women", "Women > Bags", "Women > Bags > Handbags"]),
        ([BAGS, SALE, HANDBAGS, BAGS], ["Women", "Women > Bags", "Sale", "Women > Bags > Handbags"]),
        ([{"typeId": "category", "id": "gone"}, SALE], ["Sale"]),
        ([], []),
    ],
)
def test_paths_of_a_product_have_no_duplicates(references: Any, paths: list[str]) -> None:
    """Each category and each of its ancestors is listed once, by its path."""
    assert category_paths(references, settings_with(preferred_locale="en")) == paths
