"""An object counts as sound only if looking at each of its values would change nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire import encoded
from mappers.json_safe import Cuts, _safe_object, sound_size

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.dates()
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), _VALUES, max_size=5))
def test_what_is_sound_stays_as_it_is(fields: dict[str, Any]) -> None:
    """Its size is that on the wire, and nothing of it is cut, replaced or left out."""
    size = sound_size(fields)
    if size is not None:
        cuts = Cuts()
        assert _safe_object(fields, 1, "", cuts) == fields
        assert cuts.listed() == ()
        assert size == len(encoded(fields))


@pytest.mark.parametrize("line_items", [1, 2500], ids=["small", "larger than one string may be"])
def test_nearly_every_document_is_sound(line_items: int) -> None:
    """Otherwise looking for it would only cost."""
    line_item = {"name": {"de": "Größe"}, "quantity": 1, "price": 1.5, "gift": False, "custom": None}
    assert sound_size({"lineItems": [line_item] * line_items}) is not None


def test_what_is_too_deep_long_or_many_is_not() -> None:
    """The limits of Klaviyo, each by itself."""
    deep: Any = 1
    for _ in range(10):
        deep = [deep]
    assert sound_size({"deep": deep}) is None
    assert sound_size({"long": "x" * 100_001}) is None
    assert sound_size({"many": list(range(4001))}) is None
    assert sound_size({"nan": float("nan")}) is None
    assert sound_size({"half": "\ud83d"}) is None
    assert sound_size({"tuple": (1, 2)}) is None
