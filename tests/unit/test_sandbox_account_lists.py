"""The stand-in for Klaviyo: lists of the whole account, and an account that others have changed."""

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

import pytest
from openapi_client.models.get_catalog_item_response_collection_compound_document import (
    GetCatalogItemResponseCollectionCompoundDocument,
)
from openapi_client.models.get_catalog_variant_response_collection import GetCatalogVariantResponseCollection

from sandbox import Control, ControlError
from sandbox.calls import Calls
from sandbox.catalog import PREFIX
from tests.unit.klaviyo_bodies import profile

PAGE = 100
MANY = 250
ITEMS, VARIANTS, CATEGORIES = "/api/catalog-items", "/api/catalog-variants", "/api/catalog-categories"


def new_item(name: str) -> dict[str, Any]:
    """An item."""
    told = {"external_id": name, "title": name, "description": "", "url": "None"}
    return {"data": {"type": "catalog-item", "attributes": told}}


def new_variant(name: str, of: str) -> dict[str, Any]:
    """A variant of an item."""
    told = {
        "external_id": name, "title": name, "description": "", "url": "None", "sku": name, "price": 1,
        "inventory_quantity": 1,
    }  # fmt: skip
    parent = {"item": {"data": {"type": "catalog-item", "id": PREFIX + of}}}
    return {"data": {"type": "catalog-variant", "attributes": told, "relationships": parent}}


def new_category(name: str) -> dict[str, Any]:
    """A category."""
    return {"data": {"type": "catalog-category", "attributes": {"external_id": name, "name": name}}}


def everything(calls: Calls, path: str, **query: str) -> Iterator[dict[str, Any]]:
    """What all pages of a list show."""
    page = calls("GET", path, query=query).body
    yield from page["data"]
    while page["links"]["next"]:
        page = calls("GET", page["links"]["next"]).body
        yield from page["data"]


def owners(calls: Calls, path: str = VARIANTS) -> list[str | None]:
    """The item that each variant of a list names."""
    related = [one["relationships"]["item"] for one in calls("GET", path).body["data"]]
    return [told["data"]["id"].removeprefix(PREFIX) if "data" in told else None for told in related]


def at(path: str, name: str) -> str:
    """The path of one record."""
    return f"{path}/{quote(PREFIX + name, safe='')}"


class TestWholeCatalog:
    """Lists without a filter."""

    @pytest.mark.parametrize(
        ("path", "kind", "body"),
        [
            (ITEMS, "catalog-item", new_item),
            (VARIANTS, "catalog-variant", lambda name: new_variant(name, "p1")),
            (CATEGORIES, "catalog-category", new_category),
        ],
    )
    def test_pages(self, calls: Calls, path: str, kind: str, body: Any) -> None:
        """100 a page at most; the links keep the fields that were asked for."""
        if kind == "catalog-variant":
            calls("POST", ITEMS, new_item("p1"))
        names = [f"n{number:03d}" for number in range(MANY)]
        for name in names:
            assert calls("POST", path, body(name)).status == 201
        assert len(calls("GET", path).body["data"]) == PAGE
        assert calls("GET", path, query={"page[size]": "101"}).status == 400
        fields = {f"fields[{kind}]": "external_id"}
        shown = [one["attributes"] for one in everything(calls, path, **fields)]
        assert shown == [{"external_id": name} for name in names]


class TestWhoseVariants:
    """What lists tell of relationships."""

    @pytest.fixture(autouse=True)
    def catalog(self, calls: Calls) -> None:
        """Two items with a variant each."""
        for name, of in (("s1", "p1"), ("s2", "p2")):
            calls("POST", ITEMS, new_item(of))
            calls("POST", VARIANTS, new_variant(name, of))

    @pytest.mark.parametrize(
        ("linkage", "told", "included"), [("filled", True, True), ("included", False, True), ("links", False, False)]
    )
    def test_linkage(
        self,
        control: Control,
        calls: Calls,
        linkage: Literal["filled", "included", "links"],
        *,
        told: bool,
        included: bool,
    ) -> None:
        """Variants name their item or only link to it; so do items that were asked for with their variants."""
        control.linkage(linkage)
        assert owners(calls) == (["p1", "p2"] if told else [None, None])
        assert owners(calls, f"{at(ITEMS, 'p1')}/variants") == (["p1"] if told else [None])
        query = {"include": "variants", "fields[catalog-item]": "external_id", "fields[catalog-variant]": "sku"}
        page = calls("GET", ITEMS, query=query).body
        related = [one["relationships"]["variants"] for one in page["data"]]
        named = [[ref["id"].removeprefix(PREFIX) for ref in one.get("data", ())] for one in related]
        assert named == ([["s1"], ["s2"]] if included else [[], []])
        assert [one["attributes"] for one in page.get("included", ())] == (
            [{"sku": "s1"}, {"sku": "s2"}] if included else []
        )
        assert all("links" in one for one in related)
        GetCatalogVariantResponseCollection.model_validate(calls("GET", VARIANTS).body)
        GetCatalogItemResponseCollectionCompoundDocument.model_validate(
            calls("GET", ITEMS, query={"include": "variants"}).body
        )

    def test_a_read_by_id_always_tells(self, control: Control, calls: Calls) -> None:
        """Only lists leave it out, until the account is reset."""
        control.linkage("links")
        assert calls("GET", at(VARIANTS, "s1")).body["data"]["relationships"]["item"]["data"]["id"] == PREFIX + "p1"
        control.reset()
        calls("POST", ITEMS, new_item("p1"))
        calls("POST", VARIANTS, new_variant("s1", "p1"))
        assert owners(calls) == ["p1"]

    def test_what_can_be_included(self, calls: Calls) -> None:
        """Variants with items; nothing with variants, as the contract has it."""
        for path, include in ((VARIANTS, "item"), (ITEMS, "categories"), (CATEGORIES, "items")):
            answer = calls("GET", path, query={"include": include})
            assert (answer.status, answer.body["errors"][0]["source"]) == (400, {"parameter": "include"})

    def test_unknown_linkage(self, control: Control) -> None:
        """The control API knows three."""
        with pytest.raises(ControlError, match="filled, included, links"):
            control.call("POST", "linkage", {"lists": "some"})

    def test_moved_by_a_colleague(self, calls: Calls) -> None:
        """A variant can't be given another item, but be deleted and made anew under it."""
        calls("DELETE", at(VARIANTS, "s1"))
        calls("POST", VARIANTS, new_variant("s1", "p2"))
        assert owners(calls) == ["p2", "p2"]
        assert owners(calls, f"{at(ITEMS, 'p1')}/variants") == []


class TestSharedIdentifiers:
    """Profiles that Klaviyo's calls would not let be."""

    def test_list_finds_all(self, control: Control, calls: Calls) -> None:
        """Several profiles of one external id are in the list; what matches by it finds the first."""
        first = calls("POST", "/api/profiles", profile(external_id="c1", email="one@x.io")).body["data"]["id"]
        second = control.put_profile(external_id="c1", email="two@x.io")
        wanted = {"filter": 'any(external_id,["c1","c2"])', "fields[profile]": "email", "page[size]": "100"}
        found = calls("GET", "/api/profiles", query=wanted).body["data"]
        assert [(one["id"], one["attributes"]) for one in found] == [
            (first, {"email": "one@x.io"}),
            (second, {"email": "two@x.io"}),
        ]
        calls("POST", "/api/profile-import", profile(external_id="c1", first_name="Jane"))
        assert [one.get("first_name") for one in control.state()["profiles"]] == ["Jane", None]

    def test_one_that_is_changed(self, control: Control, calls: Calls) -> None:
        """When the second one gets an identifier of its own, the first one keeps the shared one."""
        first = control.put_profile(external_id="c1")
        second = control.put_profile(external_id="c1")
        assert calls("PATCH", f"/api/profiles/{second}", profile(second, external_id="c2")).status == 200
        for external_id, owner in (("c1", first), ("c2", second)):
            imported = calls("POST", "/api/profile-import", profile(external_id=external_id))
            assert (imported.status, imported.body["data"]["id"]) == (200, owner)

    def test_a_hundred_at_once(self, calls: Calls) -> None:
        """`any` takes 100 external ids, as long as UUIDs are; a page has as many profiles."""
        ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(PAGE)]
        for one in ids:
            calls("POST", "/api/profiles", profile(external_id=one))
        listed = ",".join(f'"{one}"' for one in ids)
        query = {"filter": f"any(external_id,[{listed}])", "fields[profile]": "external_id", "page[size]": str(PAGE)}
        page = calls("GET", "/api/profiles", query=query).body
        assert [one["attributes"]["external_id"] for one in page["data"]] == ids
        assert page["links"]["next"] is None
        assert calls("GET", "/api/profiles", query={"page[size]": "101"}).status == 400
