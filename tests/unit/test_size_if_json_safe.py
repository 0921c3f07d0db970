"""`size_if_json_safe` gives a size only for an object that `json_safe` would not change."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire import encoded
from mappers.json_safe import Cuts, _safe_object, size_if_json_safe

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
def test_an_object_with_a_size_stays_unchanged(fields: dict[str, Any]) -> None:
    """The size is that of its encoded JSON, and nothing is cut, replaced or dropped."""
    size = size_if_json_safe(fields)
    if size is not None:
        cuts = Cuts()
        assert _safe_object(fields, 1, "", cuts) == fields
        assert cuts.listed() == ()
        assert size == len(encoded(fields))


@pytest.mark.parametrize("line_items", [1, 2500], ids=["small", "larger than one string may be"])
def test_ordinary_documents_have_a_size(line_items: int) -> None:
    """Otherwise the check would only add cost."""
    line_item = {"name": {"de": "Größe"}, "quantity": 1, "price": 1.5, "gift": False, "custom": None}
    assert size_if_json_safe({"lineItems": [line_item] * line_items}) is not None


def test_an_object_that_would_change_has_no_size() -> None:
    """It is too deep, too long, has too many entries, or holds a value that JSON can't express as it is."""
    deep: Any = 1
    for _ in range(10):
        deep = [deep]
    assert size_if_json_safe({"deep": deep}) is None
    assert size_if_json_safe({"long": "x" * 100_001}) is None
    assert size_if_json_safe({"many": list(range(4001))}) is None
    assert size_if_json_safe({"nan": float("nan")}) is None
    assert size_if_json_safe({"half": "\ud83d"}) is None
    assert size_if_json_safe({"tuple": (1, 2)}) is None
