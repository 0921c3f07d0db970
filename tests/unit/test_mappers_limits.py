"""What does not fit into Klaviyo is cut the same way every time, raw parts first."""

import json
from decimal import Decimal
from typing import Any

import pytest

from mappers.json_safe import wire_size
from mappers.limits import fit_event_properties, fit_metadata, fit_profile


def nested(levels: int) -> Any:
    """Make an object of so many levels."""
    value: Any = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_what_fits_stays() -> None:
    """Nothing is cut, renamed or reordered without need."""
    properties = {"b": [1, {"x": None}], "a": "text", "t": True}
    assert fit_event_properties(properties, ()) == (properties, ())


@pytest.mark.parametrize(
    ("value", "kept", "cuts"),
    [
        (Decimal("19.99"), {"f": 19.99}, ()),
        (float("nan"), {}, ("f: not JSON",)),
        ([1, float("inf"), 2], {"f": [1, 2]}, ("f[]: not JSON",)),
        ({1: "one"}, {"f": {"1": "one"}}, ()),
        ((1, 2), {"f": [1, 2]}, ()),
        ({"s": {1, 2}}, {"f": {}}, ("f.s: not JSON",)),
        ("\ud83d!", {"f": "\ufffd!"}, ()),
    ],
)
def test_values_become_json(value: Any, kept: Any, cuts: Any) -> None:
    """Decimals are numbers, names are text, halves of surrogate pairs are replaced, the rest is left out."""
    assert fit_event_properties({"f": value}, ()) == (kept, cuts)


def test_ten_levels_stay_and_the_eleventh_goes() -> None:
    """The properties themselves are the first level."""
    fitting = {"f": nested(9)}
    assert fit_event_properties(fitting, ()) == (fitting, ())
    cut, cuts = fit_event_properties({"f": nested(10)}, ())
    assert json.dumps(cut).count("{") == 10
    assert cuts == ("f" + ".in" * 9 + ": too deep",)


def test_a_document_of_900_levels_is_cut_not_refused() -> None:
    """Depth never exhausts the stack, in objects or arrays."""
    array: Any = []
    for _ in range(900):
        array = [array]
    cut, cuts = fit_event_properties({"objects": nested(900), "arrays": array}, ())
    assert json.dumps(cut).count("{") == 10
    assert json.dumps(cut).count("[") == 9
    assert len(cuts) == 2


def test_long_arrays_and_texts_are_shortened() -> None:
    """4000 entries, and 100 KB without half a character at the end."""
    cut, cuts = fit_event_properties(
        {"many": list(range(5000)), "long": "xä" * 50_000, "deep": {"t": ["y" * 100_001]}}, ()
    )
    assert cut["many"] == list(range(4000))
    assert cut["long"] == "xä" * 33_333 + "x"
    assert len(cut["deep"]["t"][0]) == 100_000
    assert cuts == ("many: more than 4000 entries", "long: too long", "deep.t[]: too long")


def test_of_too_many_properties_the_deepest_raw_ones_go_first() -> None:
    """Schema fields stay; then the flat ones stay, in their order."""
    raw = {f"f{number}": number for number in range(398)} | {"deep": {"a": {"b": 1}}, "flat": {"a": 1}}
    cut, cuts = fit_event_properties(raw | {"Items": [{"a": {"b": [1]}}], "OrderId": "o"}, ("Items", "OrderId"))
    assert len(cut) == 400
    assert "deep" not in cut
    assert "flat" not in cut
    assert {"Items", "OrderId", "f397"} <= cut.keys()
    assert len(cuts) == 2
    flat, _ = fit_event_properties({f"f{number}": number for number in range(450)}, ())
    assert list(flat) == [f"f{number}" for number in range(400)]


def test_of_a_large_event_the_deepest_level_of_the_largest_raw_field_goes_first() -> None:
    """What is small stays whole, and so do the schema fields."""
    lines = [{"id": number, "variant": {"attributes": ["x" * 20_000]}} for number in range(250)]
    items = [{"SKU": "s", "text": "y" * 1000} for _ in range(500)]
    cut, cuts = fit_event_properties({"lineItems": lines, "small": nested(5), "Items": items}, ("Items",))
    assert cut["lineItems"] == [{"id": number, "variant": {}} for number in range(250)]
    assert cut["small"] == nested(5)
    assert cut["Items"] == items
    assert cuts == ("lineItems: cut to 3 levels, the event is too large",)


def test_a_large_flat_field_goes_as_a_whole_and_the_others_stay() -> None:
    """There is no level left to take off it."""
    cut, cuts = fit_event_properties({"big": ["x" * 2000] * 3000, "lineItems": [{"id": {"a": 1}}]}, ())
    assert cut == {"lineItems": [{"id": {"a": 1}}]}
    assert cuts == ("big: left out, the event is too large",)


def test_schema_fields_are_shortened_only_when_nothing_else_is_left() -> None:
    """The last resort: the end of the largest list."""
    items = [{"SKU": str(number), "text": "ä" * 1000} for number in range(3000)]
    cut, cuts = fit_event_properties({"raw": {"a": 1}, "Items": items, "OrderId": "o"}, ("Items", "OrderId"))
    assert "raw" not in cut
    assert cut["OrderId"] == "o"
    assert cut["Items"] == items[: len(cut["Items"])]
    assert 4_490_000 < wire_size(cut) <= 4_500_000
    assert cuts[-1] == "Items: shortened, over the size limit"


def test_cuts_are_the_same_every_time_and_never_hold_values() -> None:
    """Paths without indices, listed once, and not without end."""
    properties = {"lines": [{"text": "secret" * 20_000, "n": number} for number in range(30)]}
    first = fit_event_properties(properties, ())
    assert first == fit_event_properties(properties, ())
    assert first[1] == ("lines[].text: too long",)
    many = {f"f{number}": {"t": {1}} for number in range(300)}
    assert len(fit_event_properties(many, ())[1]) == 51


def test_the_largest_profile_properties_go_first() -> None:
    """A profile has 100 KB; its identifiers and small properties stay."""
    properties = {"large": "x" * 60_000, "larger": "y" * 90_000, "small": 1}
    cut, cuts = fit_profile({"external_id": "c1", "email": "a@b.c", "properties": properties})
    assert cut == {"external_id": "c1", "email": "a@b.c", "properties": {"large": "x" * 60_000, "small": 1}}
    assert cuts == ("properties.larger: left out, over the size limit",)
    assert "larger" in properties


def test_a_profile_without_large_properties_has_its_largest_text_shortened() -> None:
    """The identifiers are never touched."""
    cut, cuts = fit_profile({"external_id": "c1", "first_name": "x" * 99_500, "title": "Dr", "properties": {"a": "b"}})
    assert cut["external_id"] == "c1"
    assert cut["title"] == "Dr"
    assert len(cut["first_name"]) > 90_000
    assert wire_size(cut) <= 99_000
    assert cuts[-1] == "first_name: shortened, over the size limit"


def test_metadata_is_flat_and_small_enough() -> None:
    """Nested values become JSON text, the largest table is left out first."""
    cut, cuts = fit_metadata({"table": {"a": 1}, "large": "x" * 60_000, "larger": "y" * 61_000})
    assert cut == {"table": '{"a": 1}', "large": "x" * 60_000}
    assert cuts == ("custom_metadata.larger: left out, over the size limit",)
