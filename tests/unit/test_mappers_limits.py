"""Bodies over Klaviyo's limits are cut the same way every time, raw fields first."""

import json
from decimal import Decimal
from typing import Any

import pytest

from mappers.json_safe import wire_size
from mappers.limits import fit_event_properties, fit_metadata, fit_profile


def nested(levels: int) -> Any:
    """An object with this many levels."""
    value: Any = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_fitting_properties_are_unchanged() -> None:
    """Nothing is cut, renamed or reordered unless it has to be."""
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
    """Decimals become numbers, names strings. Lone surrogates are replaced. Values of other types are left out."""
    assert fit_event_properties({"f": value}, ()) == (kept, cuts)


def test_levels_beyond_the_tenth_are_cut() -> None:
    """The properties object itself is the first level."""
    fitting = {"f": nested(9)}
    assert fit_event_properties(fitting, ()) == (fitting, ())
    cut, cuts = fit_event_properties({"f": nested(10)}, ())
    assert json.dumps(cut).count("{") == 10
    assert cuts == ("f" + ".in" * 9 + ": too deep",)


def test_a_document_of_900_levels_is_cut_not_refused() -> None:
    """Neither deep objects nor deep arrays exhaust the stack."""
    array: Any = []
    for _ in range(900):
        array = [array]
    cut, cuts = fit_event_properties({"objects": nested(900), "arrays": array}, ())
    assert json.dumps(cut).count("{") == 10
    assert json.dumps(cut).count("[") == 9
    assert len(cuts) == 2


def test_long_arrays_and_texts_are_shortened() -> None:
    """Arrays keep 4000 entries, strings 100 KB. No character is split."""
    cut, cuts = fit_event_properties(
        {"many": list(range(5000)), "long": "xä" * 50_000, "deep": {"t": ["y" * 100_001]}}, ()
    )
    assert cut["many"] == list(range(4000))
    assert cut["long"] == "xä" * 33_333 + "x"
    assert len(cut["deep"]["t"][0]) == 100_000
    assert cuts == ("many: more than 4000 entries", "long: too long", "deep.t[]: too long")


def test_of_too_many_properties_the_deepest_raw_ones_are_cut_first() -> None:
    """Schema fields are kept. Then flat fields are kept, in their order."""
    raw = {f"f{number}": number for number in range(398)} | {"deep": {"a": {"b": 1}}, "flat": {"a": 1}}
    cut, cuts = fit_event_properties(raw | {"Items": [{"a": {"b": [1]}}], "OrderId": "o"}, ("Items", "OrderId"))
    assert len(cut) == 400
    assert "deep" not in cut
    assert "flat" not in cut
    assert {"Items", "OrderId", "f397"} <= cut.keys()
    assert len(cuts) == 2
    flat, _ = fit_event_properties({f"f{number}": number for number in range(450)}, ())
    assert list(flat) == [f"f{number}" for number in range(400)]


def test_a_large_event_loses_the_deepest_level_of_its_largest_raw_field_first() -> None:
    """Small fields and schema fields are kept whole."""
    lines = [{"id": number, "variant": {"attributes": ["x" * 20_000]}} for number in range(250)]
    items = [{"SKU": "s", "text": "y" * 1000} for _ in range(500)]
    cut, cuts = fit_event_properties({"lineItems": lines, "small": nested(5), "Items": items}, ("Items",))
    assert cut["lineItems"] == [{"id": number, "variant": {}} for number in range(250)]
    assert cut["small"] == nested(5)
    assert cut["Items"] == items
    assert cuts == ("lineItems: cut to 3 levels, the event is too large",)


def test_a_large_flat_field_is_left_out_as_a_whole() -> None:
    """It has no deeper level that could be cut. The other fields are kept."""
    cut, cuts = fit_event_properties({"big": ["x" * 2000] * 3000, "lineItems": [{"id": {"a": 1}}]}, ())
    assert cut == {"lineItems": [{"id": {"a": 1}}]}
    assert cuts == ("big: left out, the event is too large",)


def test_schema_fields_are_shortened_last() -> None:
    """If nothing else is left to cut, the largest list loses its last entries."""
    items = [{"SKU": str(number), "text": "ä" * 1000} for number in range(3000)]
    cut, cuts = fit_event_properties({"raw": {"a": 1}, "Items": items, "OrderId": "o"}, ("Items", "OrderId"))
    assert "raw" not in cut
    assert cut["OrderId"] == "o"
    assert cut["Items"] == items[: len(cut["Items"])]
    assert 4_490_000 < wire_size(cut) <= 4_500_000
    assert cuts[-1] == "Items: shortened, over the size limit"


def test_cuts_are_the_same_every_time_and_never_hold_values() -> None:
    """Cuts are listed by path without indices, each once, and at most 51 of them."""
    properties = {"lines": [{"text": "secret" * 20_000, "n": number} for number in range(30)]}
    first = fit_event_properties(properties, ())
    assert first == fit_event_properties(properties, ())
    assert first[1] == ("lines[].text: too long",)
    many = {f"f{number}": {"t": {1}} for number in range(300)}
    assert len(fit_event_properties(many, ())[1]) == 51


def test_the_largest_profile_properties_are_left_out_first() -> None:
    """A profile may have 100 KB. Its identifiers and small properties are kept."""
    properties = {"large": "x" * 60_000, "larger": "y" * 90_000, "small": 1}
    cut, cuts = fit_profile({"external_id": "c1", "email": "a@b.c", "properties": properties})
    assert cut == {"external_id": "c1", "email": "a@b.c", "properties": {"large": "x" * 60_000, "small": 1}}
    assert cuts == ("properties.larger: left out, over the size limit",)
    assert "larger" in properties


def test_a_profile_without_large_properties_has_its_largest_text_shortened() -> None:
    """The identifiers are never shortened."""
    cut, cuts = fit_profile({"external_id": "c1", "first_name": "x" * 99_500, "title": "Dr", "properties": {"a": "b"}})
    assert cut["external_id"] == "c1"
    assert cut["title"] == "Dr"
    assert len(cut["first_name"]) > 90_000
    assert wire_size(cut) <= 99_000
    assert cuts[-1] == "first_name: shortened, over the size limit"


def test_metadata_is_flat_and_small_enough() -> None:
    """Nested values become JSON strings. The largest value is left out first."""
    cut, cuts = fit_metadata({"table": {"a": 1}, "large": "x" * 60_000, "larger": "y" * 61_000})
    assert cut == {"table": '{"a": 1}', "large": "x" * 60_000}
    assert cuts == ("custom_metadata.larger: left out, over the size limit",)
