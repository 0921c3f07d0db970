"""The progress of a run, for people and for logs."""

import time
from dataclasses import dataclass
from typing import Protocol

from core.logs import log

_LOG_INTERVAL = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The progress of a pass. `total` is an estimate, None if unknown; with `is_capped` it is a lower bound.

    `rate` is documents per minute in this process, `throttled` counts calls that were answered 429.
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
        """Minutes until the pass ends at this rate; None if unknown."""
        if not self.rate or self.total is None or self.is_capped:
            return None
        return max(0, self.total - self.done) / self.rate


class Progress(Protocol):
    """Shows snapshots. `show` is called a few times a second."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the progress of a pass."""

    def close(self) -> None:
        """Clean up at the end of the run."""


class LoggedProgress:
    """Logs progress every 30 seconds."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._next = time.monotonic() + _LOG_INTERVAL

    def show(self, snapshot: Snapshot) -> None:
        """Log the progress of a pass, unless the last line is under 30 seconds old."""
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
        """Nothing to clean up."""
