"""Events of an order with many parcels and line items share their common values, without changing any event."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from mappers.deliveries import shipments
from mappers.json_safe import SizeCache, size_if_json_safe
from mappers.order_events import OwnedOrder, fact_events
from mappers.order_properties import NO_DETAILS
from mappers.shipment_events import ShippedParcel, confirmed_shipments
from tests.functional.documents import line_item
from tests.functional.shipment_documents import DHL, LATER, delivery, parcel, shipped_order
from tests.unit.strategies import settings_with

NOW = datetime(2026, 5, 3, tzinfo=UTC)
SETTINGS = settings_with({}, preferred_locale="en-US")
LINES = {f"line-{number}": 1 for number in range(30)}


def _tracking(number: int) -> Any:
    return {**DHL, "trackingId": f"T-{number}"}


def _order() -> Any:
    """An order with 20 parcels that do not list their content, and 10 that do."""
    loose = [parcel(number, _tracking(number)) for number in range(20)]
    packed = [parcel(number, _tracking(number), {f"line-{number}": 1, "gone": 1}) for number in range(20, 30)]
    return shipped_order(delivery(1, LINES, *loose, *packed), lines=[line_item(number) for number in range(30)])


def _shipped_parcels(order: Any) -> list[ShippedParcel]:
    return [ShippedParcel(one, shipment, LATER) for shipment in shipments(order) for one in shipment.parcels]


def test_events_built_together_equal_those_built_one_by_one() -> None:
    """Shared values change no event."""
    order = _order()
    owned = OwnedOrder(order, {"email": "a@x.io"}, NO_DETAILS)
    together = fact_events(owned, confirmed_shipments(order, _shipped_parcels(order), SETTINGS), SETTINGS, now=NOW)
    alone = [
        event
        for shipped_parcel in _shipped_parcels(order)
        for event in fact_events(owned, confirmed_shipments(order, [shipped_parcel], SETTINGS), SETTINGS, now=NOW)
    ]
    assert together == alone
    assert [bool(event.cuts) for event in together] == [False] * 20 + [True] * 10


def test_values_common_to_all_parcels_are_built_once() -> None:
    """Otherwise 500 parcels with 500 lines each would take a minute, longer than a message's budget."""
    order = _order()
    owned = OwnedOrder(order, {"email": "a@x.io"}, NO_DETAILS)
    events = fact_events(owned, confirmed_shipments(order, _shipped_parcels(order), SETTINGS), SETTINGS, now=NOW)
    properties = [event.body["data"]["attributes"]["properties"] for event in events]
    assert len({id(one["Items"]) for one in properties}) == 1
    assert len({id(one["lineItems"]) for one in properties}) == 1
    assert len({id(one["ShippedItems"]) for one in properties}) == 1 + 10


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"a": 1},
        {"a": [1, 2], "ü": {"b": "ß €", "c": None}, 'quo"te': "a\nb", "d": [], "e": {}, "f": 1.5, "g": True},
        {"a": math.inf},
        {"a": [{"b": math.nan}]},
        {"a": (1, 2)},
        {"a": {1, 2}},
        {"a": "x" * 200_000},
        {"a": [[[[[[[[[["eleven levels"]]]]]]]]]]},
    ],
)
def test_cached_sizes_equal_computed_ones(fields: Any) -> None:
    """The size in bytes, or None if a value is not JSON-safe: at the first call and from the cache."""
    shared = SizeCache()
    assert [shared.size_if_json_safe(fields), shared.size_if_json_safe(fields)] == [size_if_json_safe(fields)] * 2


def test_a_shared_value_counts_with_each_of_its_names() -> None:
    """The name is part of the size."""
    shared, value = SizeCache(), [1, 2, 3]
    for fields in ({"a": value}, {"longer": value}, {"a": value, "longer": value}, {"a": [1]}):
        assert shared.size_if_json_safe(fields) == size_if_json_safe(fields)
