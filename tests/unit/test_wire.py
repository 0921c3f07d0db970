"""JSON over the wire: the same values as the standard library's, also where orjson refuses."""

import json
import math
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.wire import decoded, encoded

HALF = "\ud83d"
"""Of a surrogate pair: what is left of an emoji that was cut in two."""
REFUSED = {"half": HALF}
"""Something that orjson does not encode."""

texts = st.text() | st.sampled_from(["\x00", "\u2028", "\u202e", "a\\/\"'\n\t\x7f", "🛍️"])
halves = st.sampled_from([HALF, "\udecd", f"a{HALF}b"])
inside_64_bits = st.integers(-(2**63), 2**64 - 1)
leaves = st.none() | st.booleans() | texts | st.floats(allow_nan=False, allow_infinity=False)


def documents(leaf: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values of JSON with these leaves, and objects with these names."""
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


plain = documents(leaves | inside_64_bits, texts)
odd = documents(leaves | inside_64_bits | halves, texts | halves)


def nested(levels: int) -> str:
    """The text of so many arrays in each other."""
    return "[" * levels + "]" * levels


def levels(value: Any) -> int:
    """How many arrays are in each other."""
    count = 0
    while isinstance(value, list):
        count, value = count + 1, value[0] if value else None
    return count


@given(plain | odd)
@settings(deadline=None)
def test_round_trip(value: Any) -> None:
    """What was encoded comes back the same: kinds of numbers, a zero's sign and the order of names included."""
    assert repr(decoded(encoded(value))) == repr(value)


@given(plain | odd)
@settings(deadline=None)
def test_the_other_side_reads_the_same(value: Any) -> None:
    """Any reader of JSON gets the value out of what is encoded, and any writer's text, or bytes, is decoded to it."""
    assert repr(json.loads(encoded(value))) == repr(value)
    written = json.dumps(value, indent=2)
    assert repr(decoded(written)) == repr(decoded(written.encode())) == repr(value)


@given(plain)
@settings(deadline=None)
def test_text_beyond_ascii(value: Any) -> None:
    """It is taken as it is, as well as escaped, from text and from UTF-8."""
    written = json.dumps(value, ensure_ascii=False)
    assert repr(decoded(written)) == repr(decoded(written.encode())) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, {"b": None, "c": True}], "d": "x, y: z"}, '{"a":[1,{"b":null,"c":true}],"d":"x, y: z"}'),
        ("Straße 🛍️", '"Straße 🛍️"'),
        ([HALF, {"b": 1.5, "c": "ß"}], '["\\ud83d",{"b":1.5,"c":"\\u00df"}]'),
        ({HALF: "\udecd"}, '{"\\ud83d":"\\udecd"}'),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        ([10**30, {"a": False}], f'[1{"0" * 30},{{"a":false}}]'),
        ((1, (2,)), "[1,[2]]"),
    ],
)
def test_encoded(value: Any, text: str) -> None:
    """There are no blanks but those of texts; half a surrogate pair is escaped, and large integers keep every digit."""
    assert encoded(value) == text.encode()


@pytest.mark.parametrize("refused", [HALF, {HALF: 1}, 2**64, -(2**63) - 1], ids=["half", "name", "large", "small"])
def test_what_orjson_refuses_to_encode(refused: Any) -> None:
    """The tests above and below do leave orjson's way: it does not take these."""
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(refused)
    assert repr(json.loads(encoded(refused))) == repr(refused)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not(number: float) -> None:
    """They become null; beside something that orjson refuses they raise. Either way there is no bare NaN."""
    assert encoded({"a": [number, 1]}) == b'{"a":[null,1]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        encoded([number, REFUSED])


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", Decimal("1.5"), object(), 1j])
@pytest.mark.parametrize("beside", [None, REFUSED], ids=["alone", "beside a half"])
def test_values_that_have_no_text(value: Any, beside: Any) -> None:
    """They raise TypeError, whichever library sees them."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        encoded([beside, value])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d"', HALF),
        ('{"\\udecd": ["\\ud83d!"]}', {"\udecd": [f"{HALF}!"]}),
        ('"\\ud83d\\udecd"', "🛍"),
        (f'"{HALF}"', HALF),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775809", -(2.0**63)),
        ("1" + "0" * 400, 10**400),
        (' \n{"a" : 1, "b": 2.0, "a": 3} ', {"a": 3, "b": 2.0}),
        ("-0.0", -0.0),
    ],
)
def test_decoded(text: str, value: Any) -> None:
    """Halves of pairs are kept; integers beyond 64 bits become the nearest float, and those beyond floats stay."""
    assert repr(decoded(text)) == repr(value)
    assert repr(decoded(text.encode("utf-8", "surrogatepass"))) == repr(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[1,]", "{'a': 1}", '{"a": 1} x', '{"a"}', "nul", '"a\nb"', '"\\x"', "01", "+1", "1" + "0" * 5000],
)
def test_no_json(text: str) -> None:
    """It raises ValueError, from bytes as well as from text; so does an integer of thousands of digits."""
    for given_text in (text, text.encode()):
        with pytest.raises(ValueError, match=r"."):
            decoded(given_text)


@pytest.mark.parametrize("data", [b"\xff", b'"\xff"', b'{"a": "\xc3"}', b"\x80\x04K\x01."])
def test_no_text(data: bytes) -> None:
    """Bytes that are no UTF-8 raise ValueError."""
    with pytest.raises(ValueError, match="codec"):
        decoded(data)


def test_deep_nesting() -> None:
    """Deeper than orjson encodes is encoded; both ways may be several hundred levels."""
    value = decoded(nested(600))
    assert levels(value) == 600
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(value)
    assert encoded(value) == nested(600).encode()


def test_nesting_without_end() -> None:
    """What would exhaust the stack raises RecursionError, both ways."""
    with pytest.raises(RecursionError):
        decoded(nested(100_000))
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError):
        encoded(value)
