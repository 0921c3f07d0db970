"""The Klaviyo stand-in: lists of the whole account, and changes that others make in the account."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from openapi_client.models.get_catalog_item_response_collection_compound_document import (
    GetCatalogItemResponseCollectionCompoundDocument,
)
from openapi_client.models.get_catalog_variant_response_collection import GetCatalogVariantResponseCollection

from sandbox import Control, ControlError
from sandbox.calls import Calls
from sandbox.catalog import PREFIX
from tests.unit.catalog_bodies import at, category, item, variant
from tests.unit.klaviyo_bodies import profile

PAGE = 100
MANY = 250
ITEMS, VARIANTS, CATEGORIES = "/api/catalog-items", "/api/catalog-variants", "/api/catalog-categories"


def all_pages(calls: Calls, path: str, **query: str) -> Iterator[dict[str, Any]]:
    """The entries of all pages of a list."""
    page = calls("GET", path, query=query).body
    yield from page["data"]
    while page["links"]["next"]:
        page = calls("GET", page["links"]["next"]).body
        yield from page["data"]


def owners(calls: Calls, path: str = VARIANTS) -> list[str | None]:
    """The external id of each listed variant's item; None where the list does not name it."""
    related = [entry["relationships"]["item"] for entry in calls("GET", path).body["data"]]
    return [one["data"]["id"].removeprefix(PREFIX) if "data" in one else None for one in related]


class TestWholeCatalog:
    """Lists without a filter."""

    @pytest.mark.parametrize(
        ("path", "kind", "body"),
        [
            (ITEMS, "catalog-item", item),
            (VARIANTS, "catalog-variant", lambda name: variant(name, "p1")),
            (CATEGORIES, "catalog-category", category),
        ],
    )
    def test_a_list_is_paged(self, calls: Calls, path: str, kind: str, body: Any) -> None:
        """A page holds at most 100 entries; the `next` links keep the requested fields."""
        if kind == "catalog-variant":
            calls("POST", ITEMS, item("p1"))
        names = [f"n{number:03d}" for number in range(MANY)]
        for name in names:
            assert calls("POST", path, body(name)).status == 201
        assert len(calls("GET", path).body["data"]) == PAGE
        assert calls("GET", path, query={"page[size]": "101"}).status == 400
        fields = {f"fields[{kind}]": "external_id"}
        shown = [record["attributes"] for record in all_pages(calls, path, **fields)]
        assert shown == [{"external_id": name} for name in names]


class TestLinkage:
    """Relationships in lists."""

    @pytest.fixture(autouse=True)
    def catalog(self, calls: Calls) -> None:
        """Two items with one variant each."""
        for name, of in (("s1", "p1"), ("s2", "p2")):
            calls("POST", ITEMS, item(of))
            calls("POST", VARIANTS, variant(name, of))

    @pytest.mark.parametrize(
        ("linkage", "named", "included"), [("filled", True, True), ("included", False, True), ("links", False, False)]
    )
    def test_lists_name_their_items_or_only_link_to_them(
        self,
        control: Control,
        calls: Calls,
        linkage: Literal["filled", "included", "links"],
        *,
        named: bool,
        included: bool,
    ) -> None:
        """Variants name their item, or only link to it. So do items that are listed with their variants."""
        control.linkage(linkage)
        assert owners(calls) == (["p1", "p2"] if named else [None, None])
        assert owners(calls, at("catalog-items", "p1", "/variants")) == (["p1"] if named else [None])
        query = {"include": "variants", "fields[catalog-item]": "external_id", "fields[catalog-variant]": "sku"}
        page = calls("GET", ITEMS, query=query).body
        related = [entry["relationships"]["variants"] for entry in page["data"]]
        skus = [[ref["id"].removeprefix(PREFIX) for ref in relation.get("data", ())] for relation in related]
        assert skus == ([["s1"], ["s2"]] if included else [[], []])
        assert [entry["attributes"] for entry in page.get("included", ())] == (
            [{"sku": "s1"}, {"sku": "s2"}] if included else []
        )
        assert all("links" in relation for relation in related)
        GetCatalogVariantResponseCollection.model_validate(calls("GET", VARIANTS).body)
        GetCatalogItemResponseCollectionCompoundDocument.model_validate(
            calls("GET", ITEMS, query={"include": "variants"}).body
        )

    def test_read_by_id_always_names_the_item(self, control: Control, calls: Calls) -> None:
        """Only lists leave it out, and only until the account is reset."""
        control.linkage("links")
        assert (
            calls("GET", at("catalog-variants", "s1")).body["data"]["relationships"]["item"]["data"]["id"]
            == PREFIX + "p1"
        )
        control.reset()
        calls("POST", ITEMS, item("p1"))
        calls("POST", VARIANTS, variant("s1", "p1"))
        assert owners(calls) == ["p1"]

    def test_only_items_can_include_variants(self, calls: Calls) -> None:
        """As in Klaviyo's contract: items can include variants, and nothing else can be included."""
        for path, include in ((VARIANTS, "item"), (ITEMS, "categories"), (CATEGORIES, "items")):
            answer = calls("GET", path, query={"include": include})
            assert (answer.status, answer.body["errors"][0]["source"]) == (400, {"parameter": "include"})

    def test_an_unknown_linkage_is_refused(self, control: Control) -> None:
        """The control API accepts three values."""
        with pytest.raises(ControlError, match="filled, included, links"):
            control.call("POST", "linkage", {"lists": "some"})

    def test_a_variant_changes_its_item_only_by_being_recreated(self, calls: Calls) -> None:
        """A variant can't change its item, but it can be deleted and re-created under another one."""
        calls("DELETE", at("catalog-variants", "s1"))
        calls("POST", VARIANTS, variant("s1", "p2"))
        assert owners(calls) == ["p2", "p2"]
        assert owners(calls, at("catalog-items", "p1", "/variants")) == []


class TestSharedIdentifiers:
    """Profiles that share an identifier, which Klaviyo's own calls prevent."""

    def test_a_list_has_all_profiles_with_the_identifier(self, control: Control, calls: Calls) -> None:
        """The list has all profiles with the external id; calls that match by it find the first."""
        first = calls("POST", "/api/profiles", profile(external_id="c1", email="one@x.io")).body["data"]["id"]
        second = control.put_profile(external_id="c1", email="two@x.io")
        wanted = {"filter": 'any(external_id,["c1","c2"])', "fields[profile]": "email", "page[size]": "100"}
        found = calls("GET", "/api/profiles", query=wanted).body["data"]
        assert [(entry["id"], entry["attributes"]) for entry in found] == [
            (first, {"email": "one@x.io"}),
            (second, {"email": "two@x.io"}),
        ]
        calls("POST", "/api/profile-import", profile(external_id="c1", first_name="Jane"))
        assert [person.get("first_name") for person in control.state()["profiles"]] == ["Jane", None]

    def test_the_first_profile_keeps_the_shared_identifier(self, control: Control, calls: Calls) -> None:
        """When the second profile gets its own identifier, the first keeps the shared one."""
        first = control.put_profile(external_id="c1")
        second = control.put_profile(external_id="c1")
        assert calls("PATCH", f"/api/profiles/{second}", profile(second, external_id="c2")).status == 200
        for external_id, owner in (("c1", first), ("c2", second)):
            imported = calls("POST", "/api/profile-import", profile(external_id=external_id))
            assert (imported.status, imported.body["data"]["id"]) == (200, owner)

    def test_a_filter_accepts_a_hundred_external_ids(self, calls: Calls) -> None:
        """`any` accepts 100 external ids of UUID length; a page holds 100 profiles."""
        ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(PAGE)]
        for external_id in ids:
            calls("POST", "/api/profiles", profile(external_id=external_id))
        quoted = ",".join(f'"{external_id}"' for external_id in ids)
        query = {"filter": f"any(external_id,[{quoted}])", "fields[profile]": "external_id", "page[size]": str(PAGE)}
        page = calls("GET", "/api/profiles", query=query).body
        assert [entry["attributes"]["external_id"] for entry in page["data"]] == ids
        assert page["links"]["next"] is None
        assert calls("GET", "/api/profiles", query={"page[size]": "101"}).status == 400
