"""The Klaviyo stand-in's catalog: items, variants and categories, and how they belong together."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import Control
from sandbox.calls import Calls
from tests.unit.catalog_bodies import account_with_catalog, at, category, change, compound, item, references, variant
from tests.unit.klaviyo_bodies import refusal

ODD = 'a/b "c" ü%2F'


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """A client of an account with an item in two categories, and a variant."""
    with account_with_catalog(control.url) as calls:
        yield calls


class TestLife:
    """Create, change, read, delete."""

    def test_missing_attributes_get_defaults(self, control: Control, calls: Calls) -> None:
        """Missing attributes get Klaviyo's defaults; answers have ids, times and links."""
        state = control.state()
        assert state["items"]["p1"]["published"] is True
        assert (state["variants"]["s1"]["inventory_policy"], state["variants"]["s1"]["item"]) == (0, "p1")
        assert state["categories"] == {"women": "Women", "bags": "Bags"}
        data = calls("GET", at("catalog-items", "p1")).body["data"]
        assert (data["type"], data["id"], data["attributes"]["external_id"]) == ("catalog-item", compound("p1"), "p1")
        assert data["attributes"]["created"] == data["attributes"]["updated"]
        assert data["links"]["self"].endswith("/api/catalog-items/$custom:::$default:::p1/")

    def test_ids_may_contain_special_characters(self, control: Control, calls: Calls) -> None:
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
    def test_an_existing_record_is_a_conflict(self, calls: Calls, path: str, body: dict[str, Any]) -> None:
        """Creating an existing record is a conflict."""
        assert refusal(calls("POST", path, body))[:2] == (409, "conflict")

    @pytest.mark.parametrize("kind", ["catalog-item", "catalog-variant", "catalog-category"])
    def test_an_unknown_record_is_not_found(self, calls: Calls, kind: str) -> None:
        """GET, PATCH and DELETE of an unknown record, and of an id without the usual prefix."""
        path = at("catalog-categories" if kind == "catalog-category" else f"{kind}s", "none")
        assert calls("GET", path).status == 404
        assert refusal(calls("PATCH", path, change(kind, "none")))[:2] == (404, "not_found")
        assert calls("DELETE", path).status == 404
        assert calls("GET", "/api/catalog-items/p1").status == 404

    def test_a_patch_changes_only_the_given_attributes(self, control: Control, calls: Calls) -> None:
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

    def test_an_unknown_item_or_category_is_named(self, calls: Calls) -> None:
        """An unknown item or category gives a 404 with a pointer to it."""
        assert refusal(calls("POST", "/api/catalog-variants", variant("s9", of="none"))) == (
            404,
            "not_found",
            "/data/relationships/item/data/id",
        )
        answer = calls("POST", "/api/catalog-items", item("p9", categories=["bags", "none"]))
        assert refusal(answer) == (404, "not_found", "/data/relationships/categories/data/1/id")
        assert calls("GET", at("catalog-items", "p9")).status == 404

    def test_a_patch_replaces_categories(self, control: Control, calls: Calls) -> None:
        """The categories in the body replace the item's; an empty list removes them all."""
        path = at("catalog-items", "p1")
        for names in (["bags"], []):
            body = change("catalog-item", "p1")
            body["data"]["relationships"] = {"categories": references(names)}
            assert calls("PATCH", path, body).status == 200
            assert control.state()["items"]["p1"]["categories"] == names

    def test_categories_of_an_item_have_calls_of_their_own(self, calls: Calls) -> None:
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

    def test_items_of_a_category_are_listed(self, control: Control, calls: Calls) -> None:
        """The list has ids only, is paged, and lags like other lists; an unknown category gives 404."""
        control.lag(60)
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
    def test_an_invalid_attribute_is_refused(self, calls: Calls, attributes: dict[str, Any], pointer: str) -> None:
        """400 with a pointer to the attribute."""
        answer = calls("POST", "/api/catalog-variants", variant("s9", **attributes))
        assert refusal(answer) == (400, "invalid", f"/data/attributes/{pointer}")

    def test_every_missing_attribute_is_named(self, calls: Calls) -> None:
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

    def test_external_id_and_item_are_immutable(self, calls: Calls) -> None:
        """An update may contain neither the external id nor the item."""
        path = at("catalog-variants", "s1")
        assert calls("PATCH", path, change("catalog-variant", "s1", external_id="x")).status == 400
        body = change("catalog-variant", "s1")
        body["data"]["relationships"] = variant("s1")["data"]["relationships"]
        assert refusal(calls("PATCH", path, body))[2] == "/data/relationships"
