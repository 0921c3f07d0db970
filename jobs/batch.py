"""Many documents that one of Klaviyo's bulk jobs writes, and what is common to all such batches."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from core.errors import TryAgain
from jobs.outcome import INTERRUPTED, InterruptedRunError, StoppedError
from jobs.run import Run
from jobs.units import Attempt, UnitResult, with_retries

LISTS_LAG = 5.0
"""Seconds after which a list shows what was written before: of Klaviyo's jobs, or of commercetools' documents."""
JOB_TIMEOUT = 3600.0
"""Seconds after which a job is not waited for any longer."""
UNLISTED_JOBS_WAIT = 300.0
"""Seconds to wait for jobs of which Klaviyo does not tell."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0
_FORBIDDEN = 403

Work = Callable[[Attempt], None]
T = TypeVar("T")


class Batch(ABC):
    """Documents are added page by page; `send` has them written, and says what is left for the live handlers.

    A job is done some time after its documents were read, and what a message has written since then must stand. So
    everything is read again once the job is complete, and what has changed is given to its live handler.
    """

    def __init__(self, run: Run, where: Sequence[str]) -> None:
        self.run = run
        self.where = where
        self.began = datetime.now(UTC)
        self.results: dict[str, UnitResult] = {}
        """By id: what is settled."""
        self.remaining: dict[str, Work] = {}
        """By id: what the live handlers have to do."""
        self.calls: Counter[str] = Counter()

    @property
    @abstractmethod
    def is_full(self) -> bool:
        """Whether no more pages are to be added."""

    @abstractmethod
    def add(self, documents: Sequence[Any]) -> None:
        """Add the documents of a page."""

    @abstractmethod
    def send(self) -> None:
        """Write what was added. Raises StoppedError."""

    @abstractmethod
    def wait_for_jobs(self) -> None:
        """Wait for every job that was begun since `began`: an answer may have been lost, or a run killed."""

    def resume(self, _noted: Mapping[str, Any]) -> None:
        """Wait for the jobs of a batch that was killed; `left` are then the units that undo what it left behind."""
        self.wait_for_jobs()

    @property
    def resume_data(self) -> dict[str, Any]:
        """What `resume` has to know, should the run be killed."""
        return {}

    @property
    def customers(self) -> list[str]:
        """The customers whom a job may bring back, should the run be killed."""
        return []

    def with_retries(self, call: Callable[[], T]) -> T:
        """What a call gives, however often it takes. Raises what refuses it, and StoppedError."""
        found, calls = with_retries(call, self.run.services.settings.sync.limits, self.run.health, self.run.stop)
        self.calls.update(calls)
        return found

    def if_allowed(self, call: Callable[[], T]) -> T | None:
        """The same, but None for a call whose scope the key lacks."""

        def unless_forbidden() -> T | None:
            try:
                return call()
            except TryAgain as denied:
                if denied.status != _FORBIDDEN:
                    raise
                return None

        return self.with_retries(unless_forbidden)

    def poll_until(self, is_so: Callable[[], bool]) -> None:
        """Ask until something is so, less and less often. Raises what refuses to tell, and StoppedError."""
        waits, end = poll_intervals(), time.monotonic() + JOB_TIMEOUT
        while not self.with_retries(is_so):
            if time.monotonic() > end:
                raise StoppedError(
                    INTERRUPTED, "A bulk job of Klaviyo's is not done after an hour. Go on with the same command."
                )
            self.pause(next(waits))

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is asked to end: raises InterruptedRunError."""
        if self.run.stop.wait(seconds):
            raise InterruptedRunError(leaves_threads=False)


def poll_intervals() -> Iterator[float]:
    """Seconds between two looks at a job, for ever."""
    seconds = _FIRST_PAUSE
    while True:
        yield seconds
        seconds = min(_LONGEST_PAUSE, seconds * 1.5)
