"""The base of batches: many documents that Klaviyo's bulk jobs write together."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from core.errors import TryAgain
from jobs.outcome import INTERRUPTED, InterruptedRunError, StoppedError
from jobs.run import Run
from jobs.units import UnitResult, Work, with_retries

LISTS_LAG = 5.0
"""Seconds after which lists show earlier writes: Klaviyo's lists of jobs, and commercetools' lists of documents."""
_JOB_TIMEOUT = 3600.0
"""Seconds to wait for a bulk job to end."""
UNLISTED_JOBS_WAIT = 300.0
"""Seconds to wait for jobs that Klaviyo refuses to list."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0
_FORBIDDEN = 403

T = TypeVar("T")


class JobState(Protocol):
    """The state of any of Klaviyo's bulk jobs."""

    @property
    def is_open(self) -> bool:
        """True if the job may still write records."""


State = TypeVar("State", bound=JobState)


class Batch(ABC):
    """Documents are added page by page. `send` writes them by bulk jobs, and leaves the rest to the live handlers.

    A job writes its documents some time after they were read, and must not undo what messages have written since. So
    documents are read again once the job has ended, and the live handlers copy those that have changed.
    """

    def __init__(self, run: Run, where: Sequence[str]) -> None:
        self.run = run
        self.where = where
        self.began = datetime.now(UTC)
        self.results: dict[str, UnitResult] = {}
        """The results of the documents that are finished, by id."""
        self.remaining: dict[str, Work] = {}
        """The work left to the live handlers, by id."""
        self.calls: Counter[str] = Counter()

    @property
    @abstractmethod
    def is_full(self) -> bool:
        """True if no more pages should be added."""

    @abstractmethod
    def add(self, documents: Sequence[Any]) -> None:
        """Add the documents of a page."""

    @abstractmethod
    def send(self) -> None:
        """Write the documents that were added. Raises StoppedError."""

    @abstractmethod
    def wait_for_jobs(self) -> None:
        """Wait for all jobs started since `began`, even those whose ids were lost with an answer or a killed run."""

    def resume(self, _resume_data: Mapping[str, Any]) -> None:
        """Wait for the jobs of a batch that was killed, given its `resume_data`.

        Afterwards `remaining` holds the work that undoes what the batch left behind.
        """
        self.wait_for_jobs()

    @property
    def resume_data(self) -> dict[str, Any]:
        """What `resume` needs if the run is killed."""
        return {}

    @property
    def customers(self) -> list[str]:
        """The customers whose profiles the batch may write, to be checked for deletions if the run is killed."""
        return []

    def with_retries(self, call: Callable[[], T]) -> T:
        """Make a call, with the retries of `units.with_retries`. Raises a SyncError that is final, and StoppedError."""
        found, calls = with_retries(call, self.run.services.settings.sync.limits, self.run.health, self.run.stop)
        self.calls.update(calls)
        return found

    def if_allowed(self, call: Callable[[], T]) -> T | None:
        """`with_retries`, but returns None if the key lacks the scope for the call."""

        def unless_forbidden() -> T | None:
            try:
                return call()
            except TryAgain as denied:
                if denied.status != _FORBIDDEN:
                    raise
                return None

        return self.with_retries(unless_forbidden)

    def poll_job(self, job_id: str, read: Callable[[str], State | None]) -> State | None:
        """Poll a job until it has ended. Returns its state; None if Klaviyo still does not know it after a few seconds.

        Raises as `with_retries` does, and StoppedError after an hour.
        """
        end = time.monotonic() + LISTS_LAG
        state: State | None = None

        def has_ended() -> bool:
            nonlocal state
            state = read(job_id)
            return time.monotonic() > end if state is None else not state.is_open

        self.poll_until(has_ended, f"Klaviyo's bulk job {job_id}")
        return state

    def poll_until(self, has_ended: Callable[[], bool], name: str) -> None:
        """Poll at growing intervals until `has_ended` is true. `name` names the job in the error.

        Raises as `with_retries` does, and StoppedError after an hour.
        """
        intervals, end = _poll_intervals(), time.monotonic() + _JOB_TIMEOUT
        while not self.with_retries(has_ended):
            if time.monotonic() > end:
                raise StoppedError(
                    INTERRUPTED, f"{name} has not ended after an hour. Run the same command again to resume."
                )
            self.pause(next(intervals))

    def pause(self, seconds: float) -> None:
        """Wait. Raises InterruptedRunError on a signal."""
        if self.run.stop.wait(seconds):
            raise InterruptedRunError(leaves_threads=False)


def _poll_intervals() -> Iterator[float]:
    """Seconds between two polls of a job, growing from 1 to 5; endless."""
    seconds = _FIRST_PAUSE
    while True:
        yield seconds
        seconds = min(_LONGEST_PAUSE, seconds * 1.5)
