"""Count people in a fixed amount of memory."""

import pytest

from jobs.new_profiles import DistinctCounter


def test_few_are_counted_exactly() -> None:
    """Each person counts once, however often they occur."""
    counted = DistinctCounter(capacity=100)
    for number in range(1000):
        counted.add(f"person-{number % 100}")
    assert (counted.count, counted.is_estimated) == (100, False)


@pytest.mark.parametrize("people", [5_000, 50_000])
def test_many_are_estimated(people: int) -> None:
    """Memory does not grow, and duplicates still count once. Hashes are stable, so the estimate is too."""
    counted = DistinctCounter(capacity=1_000)
    for number in range(people * 2):
        counted.add(f"person-{number % people}")
    assert counted.is_estimated
    assert counted.count == pytest.approx(people, rel=0.1)
    assert len(counted._hashes) == len(counted._largest_first) == 1_000
