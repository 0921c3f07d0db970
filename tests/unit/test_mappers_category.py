"""Categories are named by their path, in the preferred language."""

from typing import Any

import pytest

from mappers.category import catalog_category, category_name, category_paths, category_update
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
    """Ancestors first; what has no name goes by key, slug or id."""
    assert category_name(category, settings_with(preferred_locale="en-US")) == name


def test_the_path_is_in_the_preferred_language_where_there_is_one() -> None:
    """Each part by the rule for localized text."""
    assert category_name(HANDBAGS["obj"], settings_with(preferred_locale="de")) == "Damen > Taschen > Handbags"


def test_a_category_becomes_a_create_and_an_update() -> None:
    """External id on create, compound id on update."""
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
def test_paths_of_a_product_name_every_ancestor_once(references: Any, paths: list[str]) -> None:
    """Each category and each of its ancestors as a path, without doubles."""
    assert category_paths(references, settings_with(preferred_locale="en")) == paths
