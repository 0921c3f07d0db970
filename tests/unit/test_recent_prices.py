"""Standalone prices that this instance read correct the results of queries, which may lag."""

from collections.abc import Mapping
from typing import Any

import pytest

from clients.recent_prices import RecentPrices
from core.errors import Unmappable
from tests.unit.strategies import settings_with

RULES = settings_with().sync.price


def _price(version: int, **fields: Any) -> Any:
    return {"id": "p", "version": version, "sku": "A", **fields}


def _corrected(recent: RecentPrices, *listed: Any, now: Mapping[str, Any] | None = None, own: str = "") -> Any:
    """The corrected prices of the SKU, and the ids that were read. `now` is what a read by id returns."""
    read: list[str] = []

    def by_id(price_id: str) -> Any:
        read.append(price_id)
        return (now or {}).get(price_id)

    return recent.corrected(listed, ["A"], own, by_id)["A"], read


@pytest.mark.parametrize(
    ("known", "listed", "expected"), [(2, 1, 2), (1, 2, 2), (2, 2, 2)], ids=["older", "newer", "same"]
)
def test_the_newer_version_counts(known: int, listed: int, expected: int) -> None:
    """It may be the remembered or the listed one. A late older version is not remembered. Nothing is read."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(known))
    recent.remember("p", _price(known - 1))
    assert _corrected(recent, _price(listed)) == ([_price(expected)], [])


@pytest.mark.parametrize("now", [{}, {"p": _price(3)}], ids=["deleted now", "exists now"])
@pytest.mark.parametrize("was_deleted", [False, True])
def test_a_contradicting_query_is_checked_by_a_read(was_deleted: bool, now: Any) -> None:  # noqa: FBT001 - from a table
    """A remembered price may be missing in the list, or a deleted one listed. A read by id decides.

    The caller's own price is not read, as the caller handles it.
    """
    recent = RecentPrices(RULES)
    recent.remember("p", None if was_deleted else _price(1))
    listed = [_price(1)] if was_deleted else []
    assert _corrected(recent, *listed, now=now) == (list(now.values()), ["p"])
    assert _corrected(recent, *listed, now=now, own="p") == (listed, [])


def test_a_price_rightly_missing_in_a_query_is_not_read() -> None:
    """It may not be shown, or it belongs to another SKU."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(1, active=False))
    recent.remember("q", _price(1, id="q", sku="B"))
    assert _corrected(recent) == ([], [])


def test_a_burst_of_new_prices_costs_at_most_ten_reads() -> None:
    """Ten prices are read for one query. For the others the remembered state counts, including a deletion."""
    recent = RecentPrices(RULES)
    burst = {f"p{number:02}": _price(1, id=f"p{number:02}") for number in range(50)}
    for price_id, price in burst.items():
        recent.remember(price_id, price)
    assert _corrected(recent, now=burst) == (list(burst.values()), list(burst)[:10])
    recent.remember("p49", None)
    assert _corrected(recent, burst["p49"], now=burst)[0] == list(burst.values())[:-1]


def test_a_price_that_may_not_be_shown_is_left_out() -> None:
    """This holds for a remembered version and for one read by id, as the query would not list it either."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(2, active=False))
    assert _corrected(recent, _price(1)) == ([], [])
    recent.remember("p", _price(3))
    assert _corrected(recent, now={"p": _price(4, active=False)}) == ([], ["p"])


def test_a_price_without_a_version_is_unmappable() -> None:
    """A document of the wrong shape becomes a dead letter."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(1))
    with pytest.raises(Unmappable):
        _corrected(recent, {"id": "p", "sku": "A"})
