"""One at a time per resource, within an instance."""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import TryAgain

_PRUNED_AT = 1_000
"""Keys that are remembered before those that are too old are looked for; then a quarter more than are left."""


@dataclass(slots=True)
class _Held:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class KeyedLocks:
    """Locks by key, made when first wanted and dropped when nobody holds or awaits them.

    Who held a key is remembered for so many seconds: as long as a message may take that will ask for it.
    """

    def __init__(self, remembered_seconds: float = 60.0) -> None:
        self._remembered_seconds = remembered_seconds
        self._guard = threading.Lock()
        self._locks: dict[str, _Held] = {}
        self._released: dict[str, float] = {}
        self._pruned_at = _PRUNED_AT

    @contextmanager
    def hold(self, keys: Collection[str], deadline: float, *, remembered: bool = True) -> Iterator[None]:
        """Hold all of the keys. Raises TryAgain when one is not free by `deadline` (`time.monotonic`).

        `remembered` says whether `released_since` is to know of it.
        """
        held: list[str] = []
        try:
            for key in sorted(set(keys)):  # always in this order: two holders can't wait for each other
                self._take(key, deadline)
                held.append(key)
            yield
        finally:
            for key in reversed(held):
                self._let_go(key, remembered=remembered)

    def released_since(self, keys: Collection[str], moment: float) -> bool:
        """Whether somebody held one of the keys and let go of it after `moment`, while that is remembered."""
        with self._guard:
            return any(self._released.get(key, float("-inf")) >= moment for key in keys)

    def _take(self, key: str, deadline: float) -> None:
        with self._guard:
            lock = self._locks.setdefault(key, _Held())
            lock.users += 1
        acquired = False
        try:
            acquired = lock.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            if not acquired:
                with self._guard:
                    self._leave(key, lock)
        if not acquired:
            raise TryAgain("resource_busy")

    def _let_go(self, key: str, *, remembered: bool) -> None:
        with self._guard:
            if remembered:
                self._remember(key)
            lock = self._locks[key]
            lock.lock.release()
            self._leave(key, lock)

    def _leave(self, key: str, lock: _Held) -> None:
        lock.users -= 1
        if not lock.users:
            del self._locks[key]

    def _remember(self, key: str) -> None:
        now = time.monotonic()
        self._released[key] = now
        if len(self._released) >= self._pruned_at:
            self._released = {key: at for key, at in self._released.items() if now - at < self._remembered_seconds}
            self._pruned_at = max(_PRUNED_AT, len(self._released) * 5 // 4)
