"""How a preview describes writes: a label per call, and a line per changed value."""

import json
from typing import Any

import pytest

from commands.klaviyo_recorder import Write
from commands.write_diff import calls_in_words, differences

ITEM = "/api/catalog-items"
TARGET = f"{ITEM}/%24custom%3A%3A%3A%24default%3A%3A%3Ap1"


def _item(**attributes: Any) -> dict[str, Any]:
    return {"data": {"type": "catalog-item", "attributes": attributes}}


def _lines(current: dict[str, Any] | None, **attributes: Any) -> list[str]:
    return list(map(str, differences(Write("PATCH", ITEM, _item(**attributes), current))))


@pytest.mark.parametrize(
    ("current", "wanted", "lines"),
    [
        pytest.param({"price": 4.9}, {"price": 4.9}, [], id="the same"),
        pytest.param({"price": 4.9}, {"price": 5.5}, ["~ price = 4.9 -> 5.5"], id="another value"),
        pytest.param({}, {"price": 0}, ["+ price = 0"], id="new"),
        pytest.param({"price": None}, {"price": 1}, ["+ price = 1"], id="null counts as missing"),
        pytest.param({"title": "A"}, {"title": None}, ['- title = "A"'], id="cleared"),
        pytest.param(
            {"properties": {"a": 1, "kept": 2}}, {"properties": {"a": 3, "b": {"c": "ü"}}},
            ["~ properties.a = 1 -> 3", '+ properties.b.c = "ü"'], id="nested, and fields that are not sent stay",
        ),
        pytest.param(
            {"images": ["a", "b"]}, {"images": ["b", "c"]}, ['- images[] = "a"', '+ images[] = "c"'], id="a list",
        ),
        pytest.param(
            {"images": ["a", "b"]}, {"images": ["b", "a"]},
            ['~ images = reordered to ["b", "a"]'], id="a list in another order",
        ),
        pytest.param(
            {"items": [{"sku": "A", "old": 1}, {"sku": "B"}]}, {"items": [{"sku": "A"}]},
            ["- items[0].old = 1", '- items[1].sku = "B"'], id="a list of objects",
        ),
        pytest.param(
            {"custom_metadata": {"price_json": '{"price_EUR":1,"price_DE":1}'}},
            {"custom_metadata": {"price_json": '{"price_EUR":2}'}},
            ["~ custom_metadata.price_json.price_EUR = 1 -> 2", "- custom_metadata.price_json.price_DE = 1"],
            id="JSON in a string",
        ),
        pytest.param({"a": "text"}, {"a": {"b": 1}}, ['- a = "text"', "+ a.b = 1"], id="another type"),
        pytest.param({}, {"a": {}, "b": []}, ["+ a = {}", "+ b = []"], id="empty"),
        pytest.param({}, {"a": "{no json"}, ['+ a = "{no json"'], id="a brace alone is not JSON"),
    ],
)  # fmt: skip
def test_each_changed_value_is_one_line(current: dict[str, Any], wanted: dict[str, Any], lines: list[str]) -> None:
    """A line shows the path and value of what is added, removed or replaced. Unchanged values have no line."""
    assert _lines(current, **wanted) == lines


def test_deeply_nested_values_come_last() -> None:
    """The top-level fields, which people look for, come first."""
    assert _lines(None, deep={"a": {"b": 1}}, flat={"c": 2}, top=3) == ["+ flat.c = 2", "+ top = 3", "+ deep.a.b = 1"]


def test_neighbours_with_the_same_value_collapse_into_one_line() -> None:
    """Four or more neighbours collapse, but top-level fields of the resource never do."""
    prices = {f"price_{country}": 10 for country in ("AT", "DE", "ES", "FR")}
    metadata = {"price_json": json.dumps({"price_USD": 11, **prices})}
    assert _lines({}, a=1, b=1, c=1, d=1, custom_metadata=metadata) == [
        "+ a = 1", "+ b = 1", "+ c = 1", "+ d = 1", "+ custom_metadata.price_json.price_USD = 11",
        "+ custom_metadata.price_json.price_AT … price_FR (4 of these) = 10",
    ]  # fmt: skip


def test_a_long_value_is_shortened() -> None:
    """The line ends with the full length."""
    (line,) = _lines({}, description="x" * 6000)
    assert line.endswith("… (6,002 characters)")
    assert len(line) < 300


def test_an_event_is_shown_without_json_api_wrappers() -> None:
    """The `data` and `attributes` levels around metric and profile are left out."""
    attributes = {
        "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "a@example.com"}}},
        "unique_id": "o1",
    }
    write = Write("POST", "/api/events", {"data": {"type": "event", "attributes": attributes}})
    assert list(map(str, differences(write))) == [
        '+ metric.name = "Placed Order"', '+ profile.email = "a@example.com"', '+ unique_id = "o1"',
    ]  # fmt: skip
    assert [call.label for call in calls_in_words([write])] == ["send event Placed Order o1"]


def test_categories_of_an_item_are_compared() -> None:
    """They are compared as a list of their commercetools ids."""
    body = _item(title="T")
    named = [{"type": "catalog-category", "id": f"$custom:::$default:::{one}"} for one in ("c2", "c3")]
    body["data"]["relationships"] = {"categories": {"data": named}}
    write = Write("PATCH", ITEM, body, {"title": "T", "categories": ["c1", "c2"]})
    assert list(map(str, differences(write))) == ['- categories[] = "c1"', '+ categories[] = "c3"']


def _write(method: str, status: int, refused_because: str = "", target: str = TARGET) -> Write:
    path = ITEM if method == "POST" else f"{ITEM}/$custom:::$default:::p1"
    body = None if method == "DELETE" else _item(external_id="p1")
    return Write(method, path, body, None, target, status, refused_because)


CATEGORY = Write(
    "POST", "/api/catalog-categories", _item(external_id="c1"), None, "/api/catalog-categories/c1", 200
)  # fmt: skip


@pytest.mark.parametrize(
    ("writes", "labels"),
    [
        ([_write("POST", 200)], ["create item p1"]),
        ([_write("PATCH", 200)], ["update item p1"]),
        ([_write("DELETE", 204)], ["delete item p1"]),
        (
            [_write("PATCH", 404, "did not exist"), _write("POST", 200)],
            ["create item p1 (did not exist: update answered 404)"],
        ),
        (
            [_write("POST", 404, "a category did not exist"), CATEGORY, _write("POST", 200)],
            ["create category c1", "create item p1 (a category did not exist: create answered 404)"],
        ),
        (
            [_write("POST", 409, "already existed"), _write("PATCH", 404, "did not exist")],
            ["update item p1 (already existed: create answered 409; did not exist: update answered 404)"],
        ),
        ([_write("DELETE", 404, "did not exist")], ["delete item p1 (did not exist: delete answered 404)"]),
    ],
)
def test_a_label_lists_the_refused_attempts(writes: list[Write], labels: list[str]) -> None:
    """A refused attempt has no label of its own: it is noted on the later call to the same resource."""
    assert [call.label for call in calls_in_words(writes)] == labels


def test_labels_of_profiles_and_erasures() -> None:
    """An upsert creates a profile if Klaviyo has none, and otherwise updates it."""
    body = {"data": {"attributes": {"external_id": "c1"}}}
    erasure = {"data": {"attributes": {"profile": {"data": {"id": "01K"}}}}}
    writes = [
        Write("POST", "/api/profile-import", body),
        Write("POST", "/api/profile-import", body, {"external_id": "c1"}),
        Write("POST", "/api/data-privacy-deletion-jobs", erasure),
        Write("POST", "/api/other", json.loads("{}")),
    ]
    assert [call.label for call in calls_in_words(writes)] == [
        "create profile c1", "update profile c1", "erase profile 01K", "POST /api/other",
    ]  # fmt: skip
