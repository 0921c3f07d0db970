"""The Klaviyo stand-in's catalog: items, variants, categories, lists."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from sandbox import Control
from sandbox.calls import Calls, Response, klaviyo

ODD = 'a/b "c" ü%2F'


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """A client of an account with an item in two categories, and a variant."""
    with klaviyo(control.url) as calls:
        for name in ("women", "bags"):
            assert calls("POST", "/api/catalog-categories", category(name)).status == 201
        assert calls("POST", "/api/catalog-items", item("p1", categories=["women", "bags"])).status == 201
        assert calls("POST", "/api/catalog-variants", variant("s1")).status == 201
        yield calls


def compound(external_id: str) -> str:
    """Klaviyo's compound id of a record."""
    return f"$custom:::$default:::{external_id}"


def at(kind: str, external_id: str, rest: str = "") -> str:
    """The path of a record."""
    return f"/api/{kind}/{quote(compound(external_id), safe='')}{rest}"


def references(names: list[str]) -> dict[str, Any]:
    """References to categories."""
    return {"data": [{"type": "catalog-category", "id": compound(name)} for name in names]}


def category(external_id: str) -> dict[str, Any]:
    """A new category."""
    attributes = {"external_id": external_id, "name": external_id.title()}
    return {"data": {"type": "catalog-category", "attributes": attributes}}


def item(external_id: str, categories: list[str] | None = None, **attributes: Any) -> dict[str, Any]:
    """A new item."""
    related = {} if categories is None else {"relationships": {"categories": references(categories)}}
    given = {"external_id": external_id, "title": "Tote", "description": "", "url": "None", **attributes}
    return {"data": {"type": "catalog-item", "attributes": given, **related}}


def variant(name: str, of: str = "p1", **attributes: Any) -> dict[str, Any]:
    """A new variant."""
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


def change(kind: str, name: str, **attributes: Any) -> dict[str, Any]:
    """A PATCH body."""
    return {"data": {"type": kind, "id": compound(name), "attributes": attributes}}


def refusal(answer: Response) -> tuple[int, str, str | None]:
    """Status, code and pointer of the first error."""
    error = answer.body["errors"][0]
    return answer.status, error["code"], error["source"].get("pointer")


class TestLife:
    """Create, change, read, delete."""

    def test_defaults(self, control: Control, calls: Calls) -> None:
        """Missing attributes get Klaviyo's defaults; answers have ids, times and links."""
        state = control.state()
        assert state["items"]["p1"]["published"] is True
        assert (state["variants"]["s1"]["inventory_policy"], state["variants"]["s1"]["item"]) == (0, "p1")
        assert state["categories"] == {"women": "Women", "bags": "Bags"}
        data = calls("GET", at("catalog-items", "p1")).body["data"]
        assert (data["type"], data["id"], data["attributes"]["external_id"]) == ("catalog-item", compound("p1"), "p1")
        assert data["attributes"]["created"] == data["attributes"]["updated"]
        assert data["links"]["self"].endswith("/api/catalog-items/$custom:::$default:::p1/")

    def test_odd_ids(self, control: Control, calls: Calls) -> None:
        """An id may contain slashes, quotes, spaces, umlauts and percent signs."""
        assert calls("POST", "/api/catalog-variants", variant(ODD)).status == 201
        path = at("catalog-variants", ODD)
        assert calls("PATCH", path, change("catalog-variant", ODD, inventory_quantity=9)).status == 200
        assert calls("GET", path).body["data"]["attributes"]["inventory_quantity"] == 9
        assert calls("DELETE", path).status == 204
        assert list(control.state()["variants"]) == ["s1"]

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/catalog-items", item("p1")),
            ("/api/catalog-variants", variant("s1")),
            ("/api/catalog-categories", category("bags")),
        ],
    )
    def test_existing_is_409(self, calls: Calls, path: str, body: dict[str, Any]) -> None:
        """Creating an existing record is a conflict."""
        assert refusal(calls("POST", path, body))[:2] == (409, "conflict")

    @pytest.mark.parametrize("kind", ["catalog-item", "catalog-variant", "catalog-category"])
    def test_unknown_is_404(self, calls: Calls, kind: str) -> None:
        """GET, PATCH and DELETE of an unknown record, and of an id without the usual prefix."""
        path = at("catalog-categories" if kind == "catalog-category" else f"{kind}s", "none")
        assert calls("GET", path).status == 404
        assert refusal(calls("PATCH", path, change(kind, "none")))[:2] == (404, "not_found")
        assert calls("DELETE", path).status == 404
        assert calls("GET", "/api/catalog-items/p1").status == 404

    def test_change(self, control: Control, calls: Calls) -> None:
        """Only the given attributes change, and null clears. The id in the body must be the one in the path."""
        path = at("catalog-items", "p1")
        assert calls("PATCH", path, change("catalog-item", "p1", price=5, title="New")).status == 200
        assert calls("PATCH", path, change("catalog-item", "p1", price=None, published=False)).status == 200
        stored = control.state()["items"]["p1"]
        assert (stored["title"], stored["price"], stored["published"]) == ("New", None, False)
        assert stored["categories"] == ["women", "bags"]
        assert stored["updated"] > stored["created"]
        assert refusal(calls("PATCH", path, change("catalog-item", "p2")))[2] == "/data/id"

    def test_deleting_an_item_deletes_its_variants(self, control: Control, calls: Calls) -> None:
        """Only the variants of the deleted item are deleted."""
        calls("POST", "/api/catalog-items", item("p2"))
        calls("POST", "/api/catalog-variants", variant("s2", of="p2"))
        assert calls("DELETE", at("catalog-items", "p1")).status == 204
        assert list(control.state()["variants"]) == ["s2"]


class TestRelations:
    """Items and their categories, variants and their item."""

    def test_unknown_ones_are_named(self, calls: Calls) -> None:
        """An unknown item or category gives a 404 with a pointer to it."""
        assert refusal(calls("POST", "/api/catalog-variants", variant("s9", of="none"))) == (
            404,
            "not_found",
            "/data/relationships/item/data/id",
        )
        answer = calls("POST", "/api/catalog-items", item("p9", categories=["bags", "none"]))
        assert refusal(answer) == (404, "not_found", "/data/relationships/categories/data/1/id")
        assert calls("GET", at("catalog-items", "p9")).status == 404

    def test_patch_replaces_categories(self, control: Control, calls: Calls) -> None:
        """The categories in the body replace the item's; an empty list removes them all."""
        path = at("catalog-items", "p1")
        for names in (["bags"], []):
            body = change("catalog-item", "p1")
            body["data"]["relationships"] = {"categories": references(names)}
            assert calls("PATCH", path, body).status == 200
            assert control.state()["items"]["p1"]["categories"] == names

    def test_relationship_calls(self, calls: Calls) -> None:
        """An item's categories can be read, added, replaced and removed by calls of their own."""
        path = at("catalog-items", "p1", "/relationships/categories")

        def names() -> list[str]:
            return [entry["id"].rpartition(":")[2] for entry in calls("GET", path).body["data"]]

        assert names() == ["women", "bags"]
        assert calls("DELETE", path, references(["women"])).status == 204
        assert names() == ["bags"]
        assert calls("POST", path, references(["women"])).status == 204
        assert names() == ["bags", "women"]
        assert calls("PATCH", path, references(["women"])).status == 204
        assert names() == ["women"]
        assert calls("POST", path, references(["none"])).status == 404

    def test_items_of_a_category(self, control: Control, calls: Calls) -> None:
        """The list has ids only, is paged, and lags like other lists; an unknown category gives 404."""
        control.lag(5)
        assert calls("POST", "/api/catalog-items", item("p2", categories=["bags"])).status == 201
        shown = calls("GET", at("catalog-categories", "bags", "/relationships/items"))
        assert shown.body["data"] == [{"type": "catalog-item", "id": compound("p1")}]
        control.lag(0)
        page = {"page[size]": "1"}
        first = calls("GET", at("catalog-categories", "bags", "/relationships/items"), query=page)
        assert (len(first.body["data"]), bool(first.body["links"]["next"])) == (1, True)
        assert calls("GET", at("catalog-categories", "gone", "/relationships/items")).status == 404

    def test_deleted_category_leaves_its_items(self, control: Control, calls: Calls) -> None:
        """An item is no longer in a deleted category."""
        calls("DELETE", at("catalog-categories", "women"))
        assert control.state()["items"]["p1"]["categories"] == ["bags"]

    def test_categories_can_name_their_items(self, control: Control, calls: Calls) -> None:
        """`relationships.items` of a category adds items to it."""
        body = category("new")
        body["data"]["relationships"] = {"items": {"data": [{"type": "catalog-item", "id": compound("p1")}]}}
        assert calls("POST", "/api/catalog-categories", body).status == 201
        assert control.state()["items"]["p1"]["categories"] == ["women", "bags", "new"]


class TestBodies:
    """Validation of bodies."""

    @pytest.mark.parametrize(
        ("attributes", "pointer"),
        [
            ({"price": "19.99"}, "price"),
            ({"price": None}, "price"),
            ({"inventory_quantity": True}, "inventory_quantity"),
            ({"inventory_policy": 3}, "inventory_policy"),
            ({"inventory_policy": 1.0}, "inventory_policy"),
            ({"images": "x"}, "images"),
            ({"images": [1]}, "images"),
            ({"published": "yes"}, "published"),
            ({"catalog_type": "other"}, "catalog_type"),
            ({"colour": "red"}, "colour"),
            ({"external_id": ""}, "external_id"),
            ({"custom_metadata": {"nested": {}}}, "custom_metadata"),
            ({"custom_metadata": {"text": "x" * 100_000}}, "custom_metadata"),
        ],
    )
    def test_refusals(self, calls: Calls, attributes: dict[str, Any], pointer: str) -> None:
        """400 with a pointer to the attribute."""
        answer = calls("POST", "/api/catalog-variants", variant("s9", **attributes))
        assert refusal(answer) == (400, "invalid", f"/data/attributes/{pointer}")

    def test_missing(self, calls: Calls) -> None:
        """Every missing required attribute is listed, and so is the missing relationship."""
        body = {"data": {"type": "catalog-variant", "attributes": {"title": "x"}}}
        pointers = {error["source"]["pointer"] for error in calls("POST", "/api/catalog-variants", body).body["errors"]}
        assert pointers == {
            "/data/relationships",
            *(
                f"/data/attributes/{name}"
                for name in ("external_id", "description", "url", "sku", "price", "inventory_quantity")
            ),
        }

    def test_immutable(self, calls: Calls) -> None:
        """An update may contain neither the external id nor the item."""
        path = at("catalog-variants", "s1")
        assert calls("PATCH", path, change("catalog-variant", "s1", external_id="x")).status == 400
        body = change("catalog-variant", "s1")
        body["data"]["relationships"] = variant("s1")["data"]["relationships"]
        assert refusal(calls("PATCH", path, body))[2] == "/data/relationships"


class TestLists:
    """Pages of variants, items and categories."""

    def _many(self, calls: Calls, count: int) -> list[str]:
        names = [f"v{number:03d}" for number in range(count)]
        for name in names:
            calls("POST", "/api/catalog-variants", variant(name))
        return ["s1", *names]

    def test_variants_of_an_item(self, calls: Calls) -> None:
        """A page holds 100 variants in the order of creation; `next` is a full URL, and null on the last page."""
        names = self._many(calls, 120)
        first = calls("GET", at("catalog-items", "p1", "/variants")).body
        second = calls("GET", first["links"]["next"]).body
        assert [len(page["data"]) for page in (first, second)] == [100, 21]
        assert second["links"]["next"] is None
        assert [entry["attributes"]["external_id"] for entry in first["data"] + second["data"]] == names
        assert calls("GET", at("catalog-items", "none", "/variants")).status == 404

    def test_pages_survive_deletions(self, calls: Calls) -> None:
        """A deletion between two pages does not make other variants disappear from the list."""
        names = self._many(calls, 5)
        path = at("catalog-items", "p1", "/variants")
        page = calls("GET", path, query={"page[size]": 3}).body
        calls("DELETE", at("catalog-variants", "s1"))
        rest = calls("GET", page["links"]["next"]).body
        assert [entry["attributes"]["external_id"] for entry in rest["data"]] == names[3:]

    def test_newest_first(self, calls: Calls) -> None:
        """`sort=-created` reverses the order across all pages."""
        names = self._many(calls, 4)
        seen: list[str] = []
        url: str | None = at("catalog-items", "p1", "/variants?sort=-created&page%5Bsize%5D=2")
        while url:
            page = calls("GET", url).body
            seen += [entry["attributes"]["external_id"] for entry in page["data"]]
            url = page["links"]["next"]
        assert seen == names[::-1]

    def test_sparse_fields(self, calls: Calls) -> None:
        """Only the requested attributes are returned; an unknown one is rejected."""
        path = at("catalog-items", "p1", "/variants")
        data = calls("GET", path, query={"fields[catalog-variant]": "external_id,price"}).body["data"]
        assert data[0]["attributes"] == {"external_id": "s1", "price": 19.99}
        assert data[0]["id"] == compound("s1")
        assert calls("GET", path, query={"fields[catalog-variant]": "colour"}).status == 400

    def test_filters(self, calls: Calls) -> None:
        """Filters by several ids, for each type of record."""
        self._many(calls, 3)
        ids = f'any(ids,["{compound("v001")}","{compound("none")}"])'
        for path in ("/api/catalog-variants", at("catalog-items", "p1", "/variants")):
            data = calls("GET", path, query={"filter": ids}).body["data"]
            assert [entry["id"] for entry in data] == [compound("v001")]
        known = f'any(ids,["{compound("bags")}"])'
        (found,) = calls("GET", "/api/catalog-categories", query={"filter": known}).body["data"]
        assert found["attributes"]["name"] == "Bags"
        for condition, count in ((f'equals(category.id,"{compound("bags")}")', 1), ('contains(title,"none")', 0)):
            data = calls("GET", "/api/catalog-items", query={"filter": condition}).body["data"]
            assert len(data) == count

    @pytest.mark.parametrize(
        "query",
        [
            {"page[size]": "101"},
            {"page[size]": "0"},
            {"page[size]": "x"},
            {"page[cursor]": "=bmV4dA"},
            {"filter": "any(ids)"},
            {"sort": "name"},
        ],
    )
    def test_bad_parameters(self, calls: Calls, query: dict[str, str]) -> None:
        """400 that names the parameter."""
        answer = calls("GET", at("catalog-items", "p1", "/variants"), query=query)
        assert (answer.status, answer.body["errors"][0]["source"]) == (400, {"parameter": next(iter(query))})

    def test_lag(self, control: Control, calls: Calls) -> None:
        """While lists lag, they show the previous state; reads by id are current."""
        control.lag(0.3)
        calls("POST", "/api/catalog-variants", variant("s2"))
        calls("DELETE", at("catalog-variants", "s1"))
        path = at("catalog-items", "p1", "/variants")
        assert [entry["id"] for entry in calls("GET", path).body["data"]] == [compound("s1")]
        assert calls("GET", at("catalog-variants", "s2")).status == 200
        time.sleep(0.35)
        assert [entry["id"] for entry in calls("GET", path).body["data"]] == [compound("s2")]
