"""Locks by key: within one instance, only one message at a time works on a resource.

Other instances have locks of their own, so a lock never replaces the check for concurrent changes after a write.
"""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import TryAgain

_PRUNE_AT = 1_000
"""Prune the release times once there are this many. Next prune at 125 % of what survived, but not below this number."""


@dataclass(slots=True)
class _CountedLock:
    """A lock, and how many threads hold it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class KeyedLocks:
    """One lock per key. A lock is created on first use and removed with its last user, so idle keys take no memory.

    The time of a key's last release is kept for at least `remembered_seconds`. That must be longer than a message runs:
    a message asks `released_since` about moments since it began, and a pruned time would answer False. The locks are
    not reentrant: a thread that acquires a key twice waits for itself until the deadline.
    """

    def __init__(self, remembered_seconds: float = 60.0) -> None:
        self._remembered_seconds = remembered_seconds
        self._guard = threading.Lock()
        """Protects the attributes below. It is never held while waiting for a key."""
        self._locks: dict[str, _CountedLock] = {}
        self._released_at: dict[str, float] = {}
        self._prune_at = _PRUNE_AT

    @contextmanager
    def hold(self, keys: Collection[str], deadline: float, *, record_release: bool = True) -> Iterator[None]:
        """Hold all the keys, then release them. Raises TryAgain if one is still taken at `deadline` (`time.monotonic`).

        A deadline in the past takes only what is free now. With `record_release` off, `released_since` does not see
        this hold: for keys that nobody asks it about. Keys are acquired in sorted order, so two holds can't deadlock.
        Nested holds of two threads can deadlock, which ends at the earlier deadline.
        """
        held: list[str] = []
        try:
            for key in sorted(set(keys)):
                self._acquire(key, deadline)
                held.append(key)
            yield
        finally:
            for key in reversed(held):
                self._release(key, record=record_release)

    def released_since(self, keys: Collection[str], moment: float) -> bool:
        """True if one of the keys was released at or after `moment` (`time.monotonic`).

        For a message that read a resource before it got the lock: if another message released the lock since, the read
        may be stale. Ask while holding the keys, as other messages may acquire them afterwards.
        """
        with self._guard:
            return any(self._released_at.get(key, float("-inf")) >= moment for key in keys)

    def _acquire(self, key: str, deadline: float) -> None:
        with self._guard:
            entry = self._locks.setdefault(key, _CountedLock())
            entry.users += 1  # counted before waiting: the holder must not remove a lock that others wait for
        acquired = False
        try:
            acquired = entry.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            if not acquired:
                with self._guard:
                    self._remove_user(key, entry)
        if not acquired:
            raise TryAgain("resource_busy")

    def _release(self, key: str, *, record: bool) -> None:
        with self._guard:
            if record:  # before the release: the next holder must see it
                self._record_release(key)
            entry = self._locks[key]
            entry.lock.release()
            self._remove_user(key, entry)

    def _remove_user(self, key: str, entry: _CountedLock) -> None:
        """Count one user less, and remove the lock with its last one. The caller holds the guard."""
        entry.users -= 1
        if not entry.users:
            del self._locks[key]

    def _record_release(self, key: str) -> None:
        """Note the time of the key's release, and prune old times if there are many. The caller holds the guard."""
        now = time.monotonic()
        self._released_at[key] = now
        if len(self._released_at) >= self._prune_at:
            self._released_at = {
                other: at for other, at in self._released_at.items() if now - at < self._remembered_seconds
            }
            self._prune_at = max(_PRUNE_AT, len(self._released_at) * 5 // 4)
