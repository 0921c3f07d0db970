"""Categories as Klaviyo has them: flat, named by their path from the root."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.settings import Settings
from mappers.documents import Category, Reference
from mappers.ids import CUSTOM_CATALOG, category_id
from mappers.json_safe import encodable
from mappers.localized import localized, text
from mappers.mapped import JsonObject, mapper

_SEPARATOR = " > "


@mapper
def category_name(category: Category, settings: Settings) -> str:
    """Path of a category whose ancestors are expanded: `Women > Bags > Handbags`.

    A category without a name, or an ancestor that is not expanded, goes by its key, else its slug, else its id.
    """
    return _SEPARATOR.join(_path(category, settings))


@mapper
def catalog_category(category: Category, settings: Settings) -> JsonObject:
    """Body of `POST /api/catalog-categories`."""
    attributes = {**CUSTOM_CATALOG, "external_id": category["id"], "name": category_name(category, settings)}
    return {"data": {"type": "catalog-category", "attributes": attributes}}


@mapper
def category_update(category: Category, settings: Settings) -> JsonObject:
    """Body of `PATCH /api/catalog-categories/<id>`: the name, which is all that can change."""
    attributes = {"name": category_name(category, settings)}
    return {"data": {"type": "catalog-category", "id": category_id(category["id"]), "attributes": attributes}}


@mapper
def category_paths(references: Sequence[Reference], settings: Settings) -> list[str]:
    """Paths of a product's categories and of all their ancestors, the root first, without doubles.

    A reference that is not expanded has no name to show, and is passed over.
    """
    paths: dict[str, None] = {}
    for reference in references or ():
        category = (reference or {}).get("obj")
        if category:
            names = _path(category, settings)
            paths.update((_SEPARATOR.join(names[:length]), None) for length in range(1, len(names) + 1))
    return list(paths)


def _path(category: Category | Mapping[str, Any], settings: Settings) -> list[str]:
    """Names from the root to the category itself; `ancestors` are in this order."""
    ancestors = [ancestor for ancestor in category.get("ancestors") or [] if ancestor]
    return [_name(node, settings) for node in (*(ancestor.get("obj") or ancestor for ancestor in ancestors), category)]


def _name(category: Mapping[str, Any], settings: Settings) -> str:
    locale = settings.preferred_locale
    name = (
        localized(category.get("name"), locale)
        or text(category.get("key"))
        or localized(category.get("slug"), locale)
        or category["id"]
    )
    return encodable(name)
