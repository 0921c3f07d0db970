"""What the passes of a run share: the backends, the state, and what stops the run early."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, field
from typing import Any

from handlers.services import Services
from jobs.errors_file import ErrorsFile
from jobs.outcome import BRAKE, InterruptedRunError, StoppedError
from jobs.progress import Progress
from jobs.reading import Reader
from jobs.selection import Selection
from jobs.state import StateFile
from jobs.units import Health, UnitResult

GRACE = 8.0
"""Seconds that a page has to finish after a signal. Then it is dropped, and the next run repeats it."""
_TICK = 0.25
_BRAKE_WINDOW, _BRAKE_MINIMUM, _MAX_REFUSED_SHARE = 1_000, 200, 0.05


@dataclass(slots=True, kw_only=True)
class Run:
    """One run. `stop` is set by a signal; `page` overrides the passes' page sizes."""

    services: Services
    reader: Reader
    selection: Selection
    state: StateFile
    errors: ErrorsFile
    progress: Progress
    stop: threading.Event
    page: int | None = None
    health: Health = field(default_factory=Health)
    without_bulk: set[str] = field(default_factory=set)
    """Passes for which the key may not start bulk jobs."""
    failed_recoveries: int = 0
    """Recovery steps after a kill that failed. They belong to no document of a pass, so no pass counts them."""
    _recent_refusals: deque[bool] = field(default_factory=lambda: deque(maxlen=_BRAKE_WINDOW))

    def wait_for(self, futures: Collection["Future[Any]"], tick: Callable[[], None], grace: float = 0.0) -> None:
        """`await_all` with this run's stop event."""
        await_all(futures, self.stop, tick, grace)

    def require_few_refusals(self, units: Iterable[UnitResult]) -> None:
        """Count the units, and raise StoppedError if so many were refused that the configuration must be wrong.

        That is over 5 % of the last 1,000, once there are 200.
        """
        self._recent_refusals.extend(unit.is_refused for unit in units)
        refused, total = sum(self._recent_refusals), len(self._recent_refusals)
        if total >= _BRAKE_MINIMUM and refused > _MAX_REFUSED_SHARE * total:
            raise StoppedError(
                BRAKE,
                f"{refused} of the last {total} documents were refused: something is wrong with the configuration,"
                f" not with the documents. {self.errors.path} has the reasons.",
            )


def await_all(
    futures: Collection["Future[Any]"], stop: threading.Event, tick: Callable[[], None], grace: float = 0.0
) -> None:
    """Wait until all futures are done, or re-raise what the first one raises. Calls `tick` a few times a second.

    Raises InterruptedRunError if they are not done `grace` seconds after `stop` is set.
    """
    pending: set[Future[Any]] = set(futures)
    until: float | None = None
    while pending:
        done, pending = wait(pending, _TICK, FIRST_EXCEPTION)
        for one in done:
            _raise_error(one, is_last=not pending)
        tick()
        if pending and stop.is_set():
            until = until or time.monotonic() + grace
            if time.monotonic() >= until:
                raise InterruptedRunError(leaves_threads=True)


def _raise_error(future: "Future[Any]", *, is_last: bool) -> None:
    """Re-raise a future's error, and record on a StoppedError whether other threads are still running."""
    try:
        future.result()
    except StoppedError as stopped:
        stopped.leaves_threads = not is_last
        raise
