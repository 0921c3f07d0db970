"""What the passes of a run share: the backends, the state, and what ends it early."""

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
"""Seconds that a page has to end once the run is asked to; then it is dropped, and repeated by the next run."""
_TICK = 0.25
_BRAKE_WINDOW, _BRAKE_MINIMUM, _MAX_REFUSED_SHARE = 1_000, 200, 0.05


@dataclass(slots=True, kw_only=True)
class Run:
    """One run. `stop` is set when it is asked to end, `page` replaces the passes' own page sizes."""

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
    """Passes whose bulk jobs the key may not begin."""
    failed_recoveries: int = 0
    """Looks after a kill that failed: they belong to no document of a pass."""
    _recent_refusals: deque[bool] = field(default_factory=lambda: deque(maxlen=_BRAKE_WINDOW))

    def wait_for(self, futures: Collection["Future[Any]"], tick: Callable[[], None], grace: float = 0.0) -> None:
        """As `await_all`, with the run's own signal."""
        await_all(futures, self.stop, tick, grace)

    def brake(self, units: Iterable[UnitResult]) -> None:
        """Raise StoppedError when so much is refused that it can't be for the data."""
        self._recent_refusals.extend(unit.is_refused for unit in units)
        refused, total = sum(self._recent_refusals), len(self._recent_refusals)
        if total >= _BRAKE_MINIMUM and refused > _MAX_REFUSED_SHARE * total:
            raise StoppedError(
                BRAKE,
                f"{refused} of the last {total} documents were refused: something is wrong with the configuration,"
                f" not with them. {self.errors.path} has the reasons.",
            )


def await_all(
    futures: Collection["Future[Any]"], stop: threading.Event, tick: Callable[[], None], grace: float = 0.0
) -> None:
    """Wait for all of them, or until one has raised, which is raised here. `tick` is called a few times a second.

    Raises InterruptedRunError when the run was asked to end `grace` seconds ago.
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
    """Raise what a unit raised, and note whether others are still under way."""
    try:
        future.result()
    except StoppedError as stopped:
        stopped.leaves_threads = not is_last
        raise
