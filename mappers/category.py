"""Categories for Klaviyo, which has no hierarchy: each is named by its path from the root."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.settings import Settings
from mappers.catalog_documents import Category, ProductProjection
from mappers.documents import Reference
from mappers.ids import CUSTOM_CATALOG, category_id
from mappers.json_safe import encodable
from mappers.localized import localized, text
from mappers.mapped import JsonObject, mapper

_SEPARATOR = " > "


@mapper
def category_name(category: Category, settings: Settings) -> str:
    """Path of a category whose ancestors are expanded: `Women > Bags > Handbags`.

    The order follows `parent`, not `ancestors`. A category without a name appears by its key, else its slug, else its
    id. An ancestor that is not expanded appears by its id.
    """
    return _SEPARATOR.join(_path(category, settings))


@mapper
def parent_path(category: Category, settings: Settings) -> str:
    """Path of a category's parent, empty for a root category."""
    return _SEPARATOR.join(_path(category, settings)[:-1])


@mapper
def ancestor_paths(name: str) -> list[str]:
    """Paths of a category's ancestors, root first: `Women`, `Women > Bags` for `Women > Bags > Handbags`."""
    parts = name.split(_SEPARATOR)[:-1]
    return [_SEPARATOR.join(parts[:length]) for length in range(1, len(parts) + 1)]


@mapper
def ancestor_ids(category: Category) -> list[str]:
    """Ids of a category's ancestors, root first, following `parent`."""
    return [node["id"] for node in _chain(category)[:-1]]


@mapper
def with_current_ancestors(top: Category, descendant: Category) -> Category:
    """A descendant of `top`, with `top` and its ancestors as they were just read.

    The query that found the descendant may lag behind that read. A category that is not below `top` is returned
    unchanged.
    """
    chain = _chain(descendant)
    index = next((number for number, node in enumerate(chain) if node["id"] == top["id"]), None)
    if index is None:
        return descendant
    between: list[Reference] = [{"typeId": "category", "id": node["id"], "obj": node} for node in chain[index + 1 : -1]]
    above: list[Reference] = [*(top.get("ancestors") or []), {"typeId": "category", "id": top["id"], "obj": dict(top)}]
    return {**descendant, "ancestors": [*above, *between]}


@mapper
def category_state(category: Category | None) -> object:
    """Id and version of a category and its ancestors: changes whenever the path may change."""
    if not category:
        return None
    return [(node["id"], node.get("version")) for node in _chain(category)]


@mapper
def product_category_ids(product: ProductProjection, branch: Mapping[str, Category]) -> frozenset[str]:
    """Ids of the categories that a product's item belongs to: the product's own and all their ancestors.

    `branch` holds categories that were just read, by id. They replace the expanded ones in `product`, which may be
    stale.
    """
    ids: set[str] = set()
    for reference in product.get("categories") or []:
        category = branch.get(reference["id"]) or reference.get("obj") or {}
        ids |= {reference["id"], *(ancestor["id"] for ancestor in category.get("ancestors") or [])}
    return frozenset(ids)


@mapper
def catalog_category(category: Category, settings: Settings) -> JsonObject:
    """Body of `POST /api/catalog-categories`."""
    attributes = {**CUSTOM_CATALOG, "external_id": category["id"], "name": category_name(category, settings)}
    return {"data": {"type": "catalog-category", "attributes": attributes}}


@mapper
def category_update(category: Category, settings: Settings) -> JsonObject:
    """Body of `PATCH /api/catalog-categories/<id>`: the name, the only attribute that can change."""
    attributes = {"name": category_name(category, settings)}
    return {"data": {"type": "catalog-category", "id": category_id(category["id"]), "attributes": attributes}}


@mapper
def category_paths(references: Sequence[Reference], settings: Settings) -> list[str]:
    """Paths of a product's categories and all their ancestors, root first, without duplicates.

    A reference that is not expanded is skipped, because it has no name.
    """
    paths: dict[str, None] = {}
    for reference in references or ():
        category = (reference or {}).get("obj")
        if category:
            names = _path(category, settings)
            paths.update((_SEPARATOR.join(names[:length]), None) for length in range(1, len(names) + 1))
    return list(paths)


def _path(category: Category | Mapping[str, Any], settings: Settings) -> list[str]:
    """Names from the root down to the category itself."""
    return [_name(node, settings) for node in _chain(category)]


def _chain(category: Category | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Documents from the root down to the category itself, each the parent of the next.

    An ancestor that is not expanded has no `parent`, so the chain ends there. Ancestors left over come first, in the
    order of `ancestors`.
    """
    ancestors = {ancestor["id"]: ancestor for ancestor in category.get("ancestors") or [] if ancestor}
    chain: list[Mapping[str, Any]] = [category]
    while (parent := chain[0].get("parent")) and parent["id"] in ancestors:
        ancestor = ancestors.pop(parent["id"])
        chain.insert(0, ancestor.get("obj") or ancestor)
    return [*(ancestor.get("obj") or ancestor for ancestor in ancestors.values()), *chain]


def _name(category: Mapping[str, Any], settings: Settings) -> str:
    locale = settings.preferred_locale
    name = (
        localized(category.get("name"), locale)
        or text(category.get("key"))
        or localized(category.get("slug"), locale)
        or category["id"]
    )
    return encodable(name)
