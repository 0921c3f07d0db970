"""What this instance learned of standalone prices corrects what a query lists."""

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
    """What is left of the SKU's prices, and the ids that were read."""
    read: list[str] = []

    def by_id(price_id: str) -> Any:
        read.append(price_id)
        return (now or {}).get(price_id)

    return recent.corrected(listed, ["A"], own, by_id)["A"], read


@pytest.mark.parametrize(
    ("known", "listed", "expected"), [(2, 1, 2), (1, 2, 2), (2, 2, 2)], ids=["older", "newer", "same"]
)
def test_of_two_versions_the_newer_one_counts(known: int, listed: int, expected: int) -> None:
    """Whichever side has it, and whatever was seen later; nothing is read."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(known))
    recent.remember("p", _price(known - 1))
    assert _corrected(recent, _price(listed)) == ([_price(expected)], [])


@pytest.mark.parametrize("now", [{}, {"p": _price(3)}], ids=["gone", "there"])
@pytest.mark.parametrize("is_gone", [False, True])
def test_a_query_that_says_otherwise_is_checked(is_gone: bool, now: Any) -> None:  # noqa: FBT001 - a table
    """Known and not listed, or gone and listed: the read by id decides, and the caller does so for its own price."""
    recent = RecentPrices(RULES)
    recent.remember("p", None if is_gone else _price(1))
    listed = [_price(1)] if is_gone else []
    assert _corrected(recent, *listed, now=now) == (list(now.values()), ["p"])
    assert _corrected(recent, *listed, now=now, own="p") == (listed, [])


def test_what_a_query_does_not_list_rightly() -> None:
    """It is not to be shown, or another SKU's."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(1, active=False))
    recent.remember("q", _price(1, id="q", sku="B"))
    assert _corrected(recent) == ([], [])


def test_a_burst_of_new_prices_costs_few_reads_and_loses_none() -> None:
    """Ten of them are looked at for one query; of the others what is known counts, also that one is gone."""
    recent = RecentPrices(RULES)
    burst = {f"p{number:02}": _price(1, id=f"p{number:02}") for number in range(50)}
    for price_id, price in burst.items():
        recent.remember(price_id, price)
    assert _corrected(recent, now=burst) == (list(burst.values()), list(burst)[:10])
    recent.remember("p49", None)
    assert _corrected(recent, burst["p49"], now=burst)[0] == list(burst.values())[:-1]


def test_what_may_not_be_shown_is_not_listed() -> None:
    """Neither a version that is known, nor what a read by id finds: the query would not list it either."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(2, active=False))
    assert _corrected(recent, _price(1)) == ([], [])
    recent.remember("p", _price(3))
    assert _corrected(recent, now={"p": _price(4, active=False)}) == ([], ["p"])


def test_a_price_without_a_version_is_unmappable() -> None:
    """As everywhere."""
    recent = RecentPrices(RULES)
    recent.remember("p", _price(1))
    with pytest.raises(Unmappable):
        _corrected(recent, {"id": "p", "sku": "A"})
