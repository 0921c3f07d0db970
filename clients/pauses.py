"""Pause operations that a backend throttles.

After a 429 nobody calls the operation until its pause is over. Then one call, the probe, goes first. If the backend
answers it, the pause is lifted for everyone; if it is throttled again, the next pause is longer.
"""

import threading
import time
from dataclasses import dataclass

from clients.failures import THROTTLED
from core.errors import TryAgain

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 600.0
_PROBE_CHECK_SECONDS = 0.05
"""Seconds to wait before checking again whether another call's probe has lifted the pause."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call. Throttling is per operation, as Klaviyo counts its quotas."""

    backend: str
    name: str


@dataclass(slots=True)
class _Pause:
    until: float
    length: float
    probing: bool = False


class Pauses:
    """The paused operations of one backend. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses: dict[Operation, _Pause] = {}
        self.throttled_calls = 0
        """Calls that were answered 429."""

    def require_unpaused(self, operation: Operation) -> None:
        """Raise TryAgain while the operation is paused or being probed."""
        pause = self._pauses.get(operation)
        if pause and (pause.probing or time.monotonic() < pause.until):
            raise TryAgain("throttled", status=THROTTLED)

    def admit(self, operation: Operation) -> bool:
        """True if this call is the probe. Raises TryAgain while the operation is paused or another call probes it.

        A probe must be followed by `lift`, `pause` or `end_probe`, or no other call is ever admitted.
        """
        if operation not in self._pauses:
            return False
        with self._lock:
            pause = self._pauses.get(operation)
            if not pause:
                return False
            if pause.probing or time.monotonic() < pause.until:
                raise TryAgain("throttled", status=THROTTLED)
            pause.probing = True
            return True

    def seconds_left(self, operation: Operation) -> float | None:
        """Seconds until it is worth asking `admit` again; None if the operation is not paused."""
        pause = self._pauses.get(operation)
        if not pause:
            return None
        return _PROBE_CHECK_SECONDS if pause.probing else max(0.0, pause.until - time.monotonic())

    def pause(self, operation: Operation, retry_after: float | None) -> float:
        """Pause an operation that was answered 429, and return the seconds until the pause ends.

        The pause lasts `retry_after` seconds. If the backend did not give any, it is one second, and twice the last
        pause after each throttled probe. It is ten minutes at most, and never shortens a running pause.
        """
        now = time.monotonic()
        with self._lock:
            self.throttled_calls += 1
            pause = self._pauses.get(operation)
            if retry_after is not None:
                length = retry_after
            elif pause is None:
                length = _FIRST_PAUSE
            elif pause.probing:
                length = pause.length * 2
            else:  # this call was already in flight when another one was throttled
                return max(0.0, pause.until - now)
            length = min(length, _LONGEST_PAUSE)
            until = max(now + length, pause.until if pause else 0.0)
            self._pauses[operation] = _Pause(until, length)
            return until - now

    def lift(self, operation: Operation) -> None:
        """The probe was answered; end the pause."""
        with self._lock:
            self._pauses.pop(operation, None)

    def end_probe(self, operation: Operation) -> None:
        """The probe got no answer, so the pause stays; the next call may probe."""
        with self._lock:
            if pause := self._pauses.get(operation):
                pause.probing = False
