"""What lasts is out of the collector's sight, and what comes after it is not."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from core.heap import lasting


class Cycle:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collector_is_left_as_it_was() -> Iterator[None]:
    threshold, enabled = gc.get_threshold(), gc.isenabled()
    gc.enable()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    (gc.enable if enabled else gc.disable)()
    gc.collect()


def well() -> None:
    """End as a body should."""


def badly() -> None:
    """Raise, as a body may."""
    raise LookupError("of the body")


ends = pytest.mark.parametrize("end", [well, badly])


@ends
def test_what_is_made_inside_is_passed_over(end: Callable[[], None]) -> None:
    """The collector knows nothing of it any more, however the body ends."""
    frozen = gc.get_freeze_count()
    kept: list[list[int]] = []
    with suppress(LookupError), lasting():
        kept += [[] for _ in range(1000)]
        end()
    assert gc.get_freeze_count() >= frozen + 1000
    assert not {id(one) for one in kept} & {id(one) for one in gc.get_objects()}


def test_what_is_made_inside_stays() -> None:
    """A cycle of it is never freed: whoever puts something inside means it to last."""
    with lasting():
        made = weakref.ref(Cycle())
    gc.collect()
    assert made() is not None


@ends
def test_the_collector_rests_inside_alone(end: Callable[[], None]) -> None:
    """It is off while the body runs and on afterwards, however that ends."""
    inside: list[bool] = []
    with suppress(LookupError), lasting():
        inside.append(gc.isenabled())
        end()
    assert inside == [False]
    assert gc.isenabled()


def test_an_exception_of_the_body_is_passed_on() -> None:
    """A failed import is the caller's to see."""
    with pytest.raises(LookupError, match="of the body"), lasting():
        badly()


@ends
def test_cycles_that_come_later(end: Callable[[], None]) -> None:
    """They are freed without being asked for: not after a few objects more, but before there are very many."""
    with suppress(LookupError), lasting():
        end()
    gc.collect()
    made = weakref.ref(Cycle())
    few = [[] for _ in range(5_000)]  # type: list[list[int]]
    assert made() is not None
    many = [[] for _ in range(200_000)]  # type: list[list[int]]
    assert made() is None
    assert (len(few), len(many)) == (5_000, 200_000)


def test_older_objects_are_looked_at_as_often_as_before() -> None:
    """Only the youngest may become more: the thresholds of what outlived them stay."""
    before = gc.get_threshold()
    with lasting():
        pass
    assert gc.get_threshold()[1:] == before[1:]
