"""JSON encoding and decoding: the same values as with the standard library, also where orjson refuses them."""

import json
import math
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire import decoded, encoded

SURROGATE = "\ud83d"
"""A lone surrogate: half of an emoji that was cut in two."""
REFUSED = {"half": SURROGATE}
"""A value that orjson does not encode."""

texts = st.text() | st.sampled_from(["\x00", "\u2028", "\u202e", "a\\/\"'\n\t\x7f", "🛍️"])
surrogates = st.sampled_from([SURROGATE, "\udecd", f"a{SURROGATE}b"])
inside_64_bits = st.integers(-(2**63), 2**64 - 1)
leaves = st.none() | st.booleans() | texts | st.floats(allow_nan=False, allow_infinity=False)


def documents(leaf: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON values with these leaves and these object names."""
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


plain = documents(leaves | inside_64_bits, texts)
odd = documents(leaves | inside_64_bits | surrogates, texts | surrogates)


def nested(levels: int) -> str:
    """JSON text of nested arrays, this many levels deep."""
    return "[" * levels + "]" * levels


def levels(value: Any) -> int:
    """Number of nested arrays."""
    count = 0
    while isinstance(value, list):
        count, value = count + 1, value[0] if value else None
    return count


@given(plain | odd)
def test_round_trip(value: Any) -> None:
    """Decoding returns the encoded value, including number types, the sign of zero and the order of names."""
    assert repr(decoded(encoded(value))) == repr(value)


@given(plain | odd)
def test_other_json_libraries_agree(value: Any) -> None:
    """They decode what is encoded here, and what they encode is decoded here, from text and from bytes."""
    assert repr(json.loads(encoded(value))) == repr(value)
    written = json.dumps(value, indent=2)
    assert repr(decoded(written)) == repr(decoded(written.encode())) == repr(value)


@given(plain)
def test_unescaped_text_is_decoded(value: Any) -> None:
    """Characters beyond ASCII need not be escaped, in text or in UTF-8."""
    written = json.dumps(value, ensure_ascii=False)
    assert repr(decoded(written)) == repr(decoded(written.encode())) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, {"b": None, "c": True}], "d": "x, y: z"}, '{"a":[1,{"b":null,"c":true}],"d":"x, y: z"}'),
        ("Straße 🛍️", '"Straße 🛍️"'),
        ([SURROGATE, {"b": 1.5, "c": "ß"}], '["\\ud83d",{"b":1.5,"c":"\\u00df"}]'),
        ({SURROGATE: "\udecd"}, '{"\\ud83d":"\\udecd"}'),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        ([10**30, {"a": False}], f'[1{"0" * 30},{{"a":false}}]'),
        ((1, (2,)), "[1,[2]]"),
    ],
)
def test_encoding(value: Any, text: str) -> None:
    """There is no whitespace outside strings. Lone surrogates are escaped. Large integers keep every digit."""
    assert encoded(value) == text.encode()


@pytest.mark.parametrize(
    "refused", [SURROGATE, {SURROGATE: 1}, 2**64, -(2**63) - 1], ids=["surrogate", "name", "large", "small"]
)
def test_values_that_orjson_refuses_are_encoded(refused: Any) -> None:
    """If orjson accepted them, the other tests would not cover the fallback."""
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(refused)
    assert repr(json.loads(encoded(refused))) == repr(refused)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_written(number: float) -> None:
    """They become null, or raise ValueError next to a value that orjson refuses."""
    assert encoded({"a": [number, 1]}) == b'{"a":[null,1]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        encoded([number, REFUSED])


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", Decimal("1.5"), object(), 1j])
@pytest.mark.parametrize("other", [None, REFUSED], ids=["alone", "next to a lone surrogate"])
def test_other_types_raise_type_error(value: Any, other: Any) -> None:
    """This holds for orjson and for the fallback."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        encoded([other, value])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d"', SURROGATE),
        ('{"\\udecd": ["\\ud83d!"]}', {"\udecd": [f"{SURROGATE}!"]}),
        ('"\\ud83d\\udecd"', "🛍"),
        (f'"{SURROGATE}"', SURROGATE),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775809", -(2.0**63)),
        ("1" + "0" * 400, 10**400),
        (' \n{"a" : 1, "b": 2.0, "a": 3} ', {"a": 3, "b": 2.0}),
        ("-0.0", -0.0),
    ],
)
def test_decoding(text: str, value: Any) -> None:
    """Lone surrogates are kept. Integers beyond 64 bits become floats, and stay integers beyond the range of floats."""
    assert repr(decoded(text)) == repr(value)
    assert repr(decoded(text.encode("utf-8", "surrogatepass"))) == repr(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[1,]", "{'a': 1}", '{"a": 1} x', '{"a"}', "nul", '"a\nb"', '"\\x"', "01", "+1", "1" + "0" * 5000],
)
def test_invalid_json_raises_value_error(text: str) -> None:
    """This holds for text and bytes, and for an integer with thousands of digits."""
    for given_text in (text, text.encode()):
        with pytest.raises(ValueError, match=r"."):
            decoded(given_text)


@pytest.mark.parametrize("data", [b"\xff", b'"\xff"', b'{"a": "\xc3"}', b"\x80\x04K\x01."])
def test_bytes_that_are_not_utf_8_raise_value_error(data: bytes) -> None:
    """The error comes from the codec."""
    with pytest.raises(ValueError, match="codec"):
        decoded(data)


def test_hundreds_of_levels_are_supported() -> None:
    """They are encoded and decoded, even if orjson refuses to encode so many."""
    value = decoded(nested(600))
    assert levels(value) == 600
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(value)
    assert encoded(value) == nested(600).encode()


def test_too_many_levels_raise_recursion_error() -> None:
    """Encoding and decoding stop before the stack is exhausted."""
    with pytest.raises(RecursionError):
        decoded(nested(100_000))
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError):
        encoded(value)
