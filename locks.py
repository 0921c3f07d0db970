"""One at a time per resource, within an instance."""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from errors import TryAgain

_REMEMBERED_SECONDS = 60.0
_PRUNED_AT = 10_000
"""Keys that are remembered before those older than a minute are looked for."""


@dataclass(slots=True)
class _Held:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class KeyedLocks:
    """Locks by key, made when first wanted and dropped when nobody holds or awaits them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, _Held] = {}
        self._released: dict[str, float] = {}
        self._pruned_at = _PRUNED_AT

    @contextmanager
    def hold(self, keys: Collection[str], deadline: float, *, remembered: bool = True) -> Iterator[None]:
        """Hold all of the keys. Raises TryAgain when one is not free by `deadline` (`time.monotonic`).

        `remembered` says whether `released_since` is to know of it.
        """
        with ExitStack() as stack:
            for key in sorted(set(keys)):  # always in this order: two holders can't wait for each other
                stack.enter_context(self._hold(key, deadline, remembered=remembered))
            yield

    def released_since(self, keys: Collection[str], moment: float) -> bool:
        """Whether somebody held one of the keys and let go of it after `moment`, within the last minute."""
        with self._guard:
            return any(self._released.get(key, float("-inf")) >= moment for key in keys)

    @contextmanager
    def _hold(self, key: str, deadline: float, *, remembered: bool) -> Iterator[None]:
        with self._guard:
            held = self._locks.setdefault(key, _Held())
            held.users += 1
        acquired = False
        try:
            acquired = held.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
            if not acquired:
                raise TryAgain("resource_busy")
            yield
        finally:
            with self._guard:
                if acquired:
                    if remembered:
                        self._remember(key)
                    held.lock.release()
                held.users -= 1
                if not held.users:
                    del self._locks[key]

    def _remember(self, key: str) -> None:
        now = time.monotonic()
        self._released[key] = now
        if len(self._released) >= self._pruned_at:
            self._released = {key: at for key, at in self._released.items() if now - at < _REMEMBERED_SECONDS}
            self._pruned_at = max(_PRUNED_AT, 2 * len(self._released))
