"""Locks by key: one holder per key at a time, no waiting for other keys, and no memory for idle keys."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from core.errors import TryAgain
from core.locks import KeyedLocks

LONG = 10.0


def _soon() -> float:
    return time.monotonic() + LONG


def test_a_key_has_one_holder_at_a_time() -> None:
    """The next one waits until the holder releases the key."""
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


def test_other_keys_stay_free() -> None:
    """Holding a key does not block other keys."""
    locks = KeyedLocks()
    with locks.hold(["a"], _soon()), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: _hold_briefly(locks, "b")).result(LONG)


def _hold_briefly(locks: KeyedLocks, *keys: str, deadline: float | None = None) -> bool:
    with locks.hold(keys, _soon() if deadline is None else deadline):
        return True


def test_a_key_still_taken_at_the_deadline_raises_try_again() -> None:
    """The keys acquired so far are released."""
    locks = KeyedLocks()
    with locks.hold(["b"], _soon()), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: locks.hold(["a", "b"], time.monotonic() + 0.02).__enter__())
        with pytest.raises(TryAgain, match="resource_busy"):
            waiting.result(LONG)
        assert _hold_briefly(locks, "a")
    assert _hold_briefly(locks, "b")


def test_keys_are_acquired_in_sorted_order() -> None:
    """Two calls that need both keys can't deadlock, in whatever order they name them."""
    locks = KeyedLocks()
    with ThreadPoolExecutor(1) as pool:
        with locks.hold(["b"], _soon()):
            waiting = pool.submit(lambda: _hold_briefly(locks, "b", "a", "b"))
            while locks._locks["b"].users < 2:
                assert not waiting.done()
                time.sleep(0.001)
            with pytest.raises(TryAgain):
                _hold_briefly(locks, "a", deadline=0)
        assert waiting.result(LONG)


def test_idle_keys_take_no_memory() -> None:
    """A lock is removed with its last user, also after an error inside."""
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="inside"), locks.hold(["a", "b"], _soon()):
        raise ValueError("inside")
    assert locks._locks == {}


def test_a_release_since_a_moment_is_known() -> None:
    """Keys that are still held, that were released before the moment, or that were never held do not count."""
    locks = KeyedLocks()
    before = time.monotonic()
    with locks.hold(["a"], _soon()):
        assert not locks.released_since(["a"], before)
    assert locks.released_since(["other", "a"], before)
    assert not locks.released_since(["a"], time.monotonic() + 1)
    assert not locks.released_since(["other"], before)


def test_old_release_times_are_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only releases within `remembered_seconds`, the longest run of a message, are kept."""
    now = 1000.0
    monkeypatch.setattr("core.locks.time", SimpleNamespace(monotonic=lambda: now))
    locks = KeyedLocks(remembered_seconds=25)
    for number in range(900):
        _hold_briefly(locks, f"old {number}")
    before = now = 1026.0
    for number in range(200):
        _hold_briefly(locks, f"young {number}")
    assert len(locks._released_at) <= 200
    assert all(locks.released_since([f"young {number}"], before) for number in range(200))


def test_a_release_need_not_be_recorded() -> None:
    """With `record_release` off, a released key takes no memory."""
    locks = KeyedLocks()
    before = time.monotonic()
    with locks.hold(["a"], _soon(), record_release=False):
        pass
    assert not locks.released_since(["a"], before)
    assert locks._released_at == {}


def test_a_failed_wait_is_no_release() -> None:
    """A thread that waited for a key in vain leaves no release time."""
    locks = KeyedLocks()
    acquired, finish = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.hold(["a"], _soon()):
            acquired.set()
            finish.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert acquired.wait(LONG)
        before = time.monotonic()
        with pytest.raises(TryAgain):
            _hold_briefly(locks, "a", deadline=0)
        assert not locks.released_since(["a"], before)
        finish.set()
        holding.result(LONG)
