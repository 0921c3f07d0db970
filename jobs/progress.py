"""How a run is getting on, for people and for logs."""

import time
from dataclasses import dataclass
from typing import Protocol

from core.logs import log

_LOG_INTERVAL = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pass under way. `total` is about how many there are, None where nobody can tell; `is_capped`: at least.

    `rate` is documents a minute in this process, `throttled` the calls that were answered 429.
    """

    name: str
    done: int
    total: int | None
    is_capped: bool
    rate: float
    errors: int
    throttled: int

    @property
    def minutes_left(self) -> float | None:
        """Of this pass, at this rate; None where nobody can tell."""
        if not self.rate or self.total is None or self.is_capped:
            return None
        return max(0, self.total - self.done) / self.rate


class Progress(Protocol):
    """Shows snapshots, which come a few times a second."""

    def show(self, snapshot: Snapshot) -> None:
        """Show how far a pass is."""

    def close(self) -> None:
        """The run ends."""


class LoggedProgress:
    """One JSON line every 30 seconds."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._next = time.monotonic() + _LOG_INTERVAL

    def show(self, snapshot: Snapshot) -> None:
        """Log how far a pass is, if it is time to."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOG_INTERVAL
        left = snapshot.minutes_left
        log.info(
            f"{self._command}: {snapshot.name}",
            done=snapshot.done,
            total=snapshot.total,
            total_is_capped=snapshot.is_capped,
            per_minute=round(snapshot.rate, 1),
            minutes_left=None if left is None else round(left, 1),
            errors=snapshot.errors,
            throttled=snapshot.throttled,
        )

    def close(self) -> None:
        """Nothing is open."""
