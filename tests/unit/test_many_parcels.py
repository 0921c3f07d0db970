"""An order of many parcels and many lines: what all events say alike is made once, and says the same as made alone."""

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
    """Parcels that do not say what is in them, and some that do."""
    loose = [parcel(number, _tracking(number)) for number in range(20)]
    packed = [parcel(number, _tracking(number), {f"line-{number}": 1, "gone": 1}) for number in range(20, 30)]
    return shipped_order(delivery(1, LINES, *loose, *packed), lines=[line_item(number) for number in range(30)])


def _left(order: Any) -> list[ShippedParcel]:
    return [ShippedParcel(its, one, LATER) for one in shipments(order) for its in one.parcels]


def test_events_made_together_are_those_made_one_by_one() -> None:
    """Whatever they share."""
    order = _order()
    owned = OwnedOrder(order, {"email": "a@x.io"}, NO_DETAILS)
    together = fact_events(owned, confirmed_shipments(order, _left(order), SETTINGS), SETTINGS, now=NOW)
    alone = [
        event
        for left in _left(order)
        for event in fact_events(owned, confirmed_shipments(order, [left], SETTINGS), SETTINGS, now=NOW)
    ]
    assert together == alone
    assert [bool(event.cuts) for event in together] == [False] * 20 + [True] * 10


def test_what_many_parcels_say_alike_is_made_once() -> None:
    """Five hundred parcels times five hundred lines would take a minute, which no message has."""
    order = _order()
    owned = OwnedOrder(order, {"email": "a@x.io"}, NO_DETAILS)
    made = fact_events(owned, confirmed_shipments(order, _left(order), SETTINGS), SETTINGS, now=NOW)
    said = [event.body["data"]["attributes"]["properties"] for event in made]
    assert len({id(one["Items"]) for one in said}) == 1
    assert len({id(one["lineItems"]) for one in said}) == 1
    assert len({id(one["ShippedItems"]) for one in said}) == 1 + 10


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
def test_shared_sizes_are_those_of_the_whole(fields: Any) -> None:
    """Bytes of what is sound, None for what is not, the first time and again."""
    shared = SizeCache()
    assert [shared.size_if_json_safe(fields), shared.size_if_json_safe(fields)] == [size_if_json_safe(fields)] * 2


def test_a_shared_value_counts_under_each_of_its_names() -> None:
    """The name is a part of the size."""
    shared, value = SizeCache(), [1, 2, 3]
    for fields in ({"a": value}, {"longer": value}, {"a": value, "longer": value}, {"a": [1]}):
        assert shared.size_if_json_safe(fields) == size_if_json_safe(fields)
