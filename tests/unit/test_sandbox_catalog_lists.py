"""The Klaviyo stand-in's lists of variants, items and categories: pages, order, fields and filters."""

from collections.abc import Iterator

import pytest

from sandbox import Control
from sandbox.calls import Calls
from tests.fake_clock import FakeClock
from tests.unit.catalog_bodies import account_with_catalog, at, compound, variant


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """A client of an account with an item in two categories, and a variant."""
    with account_with_catalog(control.url) as calls:
        yield calls


def _many(calls: Calls, count: int) -> list[str]:
    names = [f"v{number:03d}" for number in range(count)]
    for name in names:
        calls("POST", "/api/catalog-variants", variant(name))
    return ["s1", *names]


def test_variants_of_an_item_are_paged(calls: Calls) -> None:
    """A page holds 100 variants in the order of creation; `next` is a full URL, and null on the last page."""
    names = _many(calls, 120)
    first = calls("GET", at("catalog-items", "p1", "/variants")).body
    second = calls("GET", first["links"]["next"]).body
    assert [len(page["data"]) for page in (first, second)] == [100, 21]
    assert second["links"]["next"] is None
    assert [entry["attributes"]["external_id"] for entry in first["data"] + second["data"]] == names
    assert calls("GET", at("catalog-items", "none", "/variants")).status == 404


def test_pages_survive_deletions(calls: Calls) -> None:
    """A deletion between two pages does not make other variants disappear from the list."""
    names = _many(calls, 5)
    path = at("catalog-items", "p1", "/variants")
    page = calls("GET", path, query={"page[size]": 3}).body
    calls("DELETE", at("catalog-variants", "s1"))
    rest = calls("GET", page["links"]["next"]).body
    assert [entry["attributes"]["external_id"] for entry in rest["data"]] == names[3:]


def test_newest_variants_can_come_first(calls: Calls) -> None:
    """`sort=-created` reverses the order across all pages."""
    names = _many(calls, 4)
    seen: list[str] = []
    url: str | None = at("catalog-items", "p1", "/variants?sort=-created&page%5Bsize%5D=2")
    while url:
        page = calls("GET", url).body
        seen += [entry["attributes"]["external_id"] for entry in page["data"]]
        url = page["links"]["next"]
    assert seen == names[::-1]


def test_only_requested_attributes_are_returned(calls: Calls) -> None:
    """Only the requested attributes are returned; an unknown one is rejected."""
    path = at("catalog-items", "p1", "/variants")
    data = calls("GET", path, query={"fields[catalog-variant]": "external_id,price"}).body["data"]
    assert data[0]["attributes"] == {"external_id": "s1", "price": 19.99}
    assert data[0]["id"] == compound("s1")
    assert calls("GET", path, query={"fields[catalog-variant]": "colour"}).status == 400


def test_records_can_be_filtered(calls: Calls) -> None:
    """Records of each type can be filtered by several ids, and items by category or title."""
    _many(calls, 3)
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
def test_invalid_parameters_are_refused(calls: Calls, query: dict[str, str]) -> None:
    """The answer is 400 and names the parameter."""
    answer = calls("GET", at("catalog-items", "p1", "/variants"), query=query)
    assert (answer.status, answer.body["errors"][0]["source"]) == (400, {"parameter": next(iter(query))})


def test_lists_can_lag(control: Control, calls: Calls, sandbox_clock: FakeClock) -> None:
    """While lists lag, they show the previous state; reads by id are current."""
    control.lag(0.3)
    calls("POST", "/api/catalog-variants", variant("s2"))
    calls("DELETE", at("catalog-variants", "s1"))
    path = at("catalog-items", "p1", "/variants")
    assert [entry["id"] for entry in calls("GET", path).body["data"]] == [compound("s1")]
    assert calls("GET", at("catalog-variants", "s2")).status == 200
    sandbox_clock.sleep(0.35)
    assert [entry["id"] for entry in calls("GET", path).body["data"]] == [compound("s2")]
