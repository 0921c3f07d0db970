"""Locks by key: one holder at a time, no waiting for other keys, nothing left behind."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from core.errors import TryAgain
from core.locks import KeyedLocks

FOREVER = float("inf")
LONG = 10.0


def _soon() -> float:
    return time.monotonic() + LONG


def test_one_holder_of_a_key() -> None:
    """Whoever comes second waits until the first lets go."""
    locks, inside, most = KeyedLocks(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with locks.hold(["a", "b"], _soon()):
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert most == 1


def test_another_key_is_free() -> None:
    """Holding one key keeps nobody from another."""
    locks = KeyedLocks()
    with locks.hold(["a"], _soon()), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: _held(locks, "b")).result(LONG)


def _held(locks: KeyedLocks, *keys: str, deadline: float | None = None) -> bool:
    with locks.hold(keys, _soon() if deadline is None else deadline):
        return True


def test_a_key_that_is_not_free_in_time() -> None:
    """The message is given back, and what it held already is free again."""
    locks = KeyedLocks()
    with locks.hold(["b"], _soon()), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: locks.hold(["a", "b"], time.monotonic() + 0.02).__enter__())
        with pytest.raises(TryAgain, match="resource_busy"):
            waiting.result(LONG)
        assert _held(locks, "a")
    assert _held(locks, "b")


def test_keys_are_taken_in_one_order() -> None:
    """However they are named, "a" is held while "b" is awaited: two holders of both never wait for each other."""
    locks = KeyedLocks()
    with ThreadPoolExecutor(1) as pool:
        with locks.hold(["b"], _soon()):
            waiting = pool.submit(lambda: _held(locks, "b", "a", "b"))
            while locks._locks["b"].users < 2:
                assert not waiting.done()
                time.sleep(0.001)
            with pytest.raises(TryAgain):
                _held(locks, "a", deadline=0)
        assert waiting.result(LONG)


def test_nothing_is_left_behind() -> None:
    """A key that nobody holds or awaits takes no memory, also after an error inside."""
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="inside"), locks.hold(["a", "b"], _soon()):
        raise ValueError("inside")
    assert locks._locks == {}


def test_who_held_it_since() -> None:
    """A key that was held and let go of after a moment is known, one that was before is not, nor one never held."""
    locks = KeyedLocks()
    before = time.monotonic()
    with locks.hold(["a"], _soon()):
        assert not locks.released_since(["a"], before)
    assert locks.released_since(["other", "a"], before)
    assert not locks.released_since(["a"], time.monotonic() + 1)
    assert not locks.released_since(["other"], before)


def test_what_is_too_old_to_be_asked_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the keys of as many seconds as a message may take; younger ones stay known."""
    now = 1000.0
    monkeypatch.setattr("core.locks.time", SimpleNamespace(monotonic=lambda: now))
    locks = KeyedLocks(remembered_seconds=25)
    for number in range(900):
        _held(locks, f"old {number}")
    before = now = 1026.0
    for number in range(200):
        _held(locks, f"young {number}")
    assert len(locks._released_at) <= 200
    assert all(locks.released_since([f"young {number}"], before) for number in range(200))


def test_what_nobody_asks_for_is_not_remembered() -> None:
    """It takes no memory once it was let go of."""
    locks = KeyedLocks()
    before = time.monotonic()
    with locks.hold(["a"], _soon(), record_release=False):
        pass
    assert not locks.released_since(["a"], before)
    assert locks._released_at == {}


def test_a_key_that_was_not_got_is_not_released() -> None:
    """Waiting in vain is no holding."""
    locks = KeyedLocks()
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.hold(["a"], _soon()):
            begun.set()
            done.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert begun.wait(LONG)
        before = time.monotonic()
        with pytest.raises(TryAgain):
            _held(locks, "a", deadline=0)
        assert not locks.released_since(["a"], before)
        done.set()
        holding.result(LONG)
