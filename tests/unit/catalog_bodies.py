"""Bodies of catalog records, and an account that has some."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sandbox.calls import Calls, klaviyo


def compound(external_id: str) -> str:
    """Klaviyo's compound id of a record."""
    return f"$custom:::$default:::{external_id}"


def at(kind: str, external_id: str, rest: str = "") -> str:
    """The path of a record."""
    return f"/api/{kind}/{quote(compound(external_id), safe='')}{rest}"


def references(names: list[str]) -> dict[str, Any]:
    """The body that names these categories."""
    return {"data": [{"type": "catalog-category", "id": compound(name)} for name in names]}


def category(external_id: str) -> dict[str, Any]:
    """Body of a new category."""
    attributes = {"external_id": external_id, "name": external_id.title()}
    return {"data": {"type": "catalog-category", "attributes": attributes}}


def item(external_id: str, categories: list[str] | None = None, **attributes: Any) -> dict[str, Any]:
    """Body of a new item."""
    related = {} if categories is None else {"relationships": {"categories": references(categories)}}
    given = {"external_id": external_id, "title": "Tote", "description": "", "url": "None", **attributes}
    return {"data": {"type": "catalog-item", "attributes": given, **related}}


def variant(name: str, of: str = "p1", **attributes: Any) -> dict[str, Any]:
    """Body of a new variant."""
    given = {
        "external_id": name,
        "title": "Tote",
        "description": "",
        "url": "None",
        "sku": name,
        "price": 19.99,
        "inventory_quantity": 3,
        **attributes,
    }
    parent = {"item": {"data": {"type": "catalog-item", "id": compound(of)}}}
    return {"data": {"type": "catalog-variant", "attributes": given, "relationships": parent}}


def change(kind: str, name: str, /, **attributes: Any) -> dict[str, Any]:
    """A PATCH body."""
    return {"data": {"type": kind, "id": compound(name), "attributes": attributes}}


@contextmanager
def account_with_catalog(url: str) -> Iterator[Calls]:
    """A client of an account with an item in two categories, and a variant."""
    with klaviyo(url) as calls:
        for name in ("women", "bags"):
            assert calls("POST", "/api/catalog-categories", category(name)).status == 201
        assert calls("POST", "/api/catalog-items", item("p1", categories=["women", "bags"])).status == 201
        assert calls("POST", "/api/catalog-variants", variant("s1")).status == 201
        yield calls
