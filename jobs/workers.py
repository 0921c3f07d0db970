"""The threads of one pass. They work while the main thread handles signals, heartbeats and progress."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from jobs.passes import Pass
from jobs.progress import Snapshot
from jobs.reading import COUNT_LIMIT
from jobs.run import GRACE, Run
from jobs.units import UnitResult, Work, run_unit

_MINUTE = 60.0

T = TypeVar("T")


class Workers:
    """A thread for each document that the pass processes at a time, and one more for reads."""

    def __init__(self, run: Run, backfill_pass: Pass) -> None:
        self._run = run
        self._pass = backfill_pass
        self._state = run.state.pass_state(backfill_pass.name)
        self._pool = ThreadPoolExecutor(backfill_pass.workers + 1, thread_name_prefix=backfill_pass.name)
        self._began = self._timed_at = time.monotonic()
        self._done = 0
        self._settled_on_page = 0
        """Units of the current page that have finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def call(self, read: Callable[[], T]) -> T:
        """Run `read` in a worker thread and return its result. Raises what it raises, and StoppedError."""
        future: Future[T] = self._pool.submit(read)
        self._run.wait_for([future], self._tick)
        return future.result()

    def run_units(self, works: Mapping[str, Work]) -> dict[str, UnitResult]:
        """Run the units and return their results by id. Raises StoppedError."""
        run = self._run
        limits = run.services.settings.sync.limits
        futures = {own: self._pool.submit(run_unit, work, limits, run.health, run.stop) for own, work in works.items()}

        def tick() -> None:
            self._settled_on_page = sum(future.done() for future in futures.values())
            self._tick()

        run.wait_for(futures.values(), tick, GRACE)
        self._settled_on_page = 0
        return {own_id: future.result() for own_id, future in futures.items()}

    def count_done(self, count: int) -> None:
        """Count finished documents, and add the time since the last call to the pass's seconds."""
        self._done += count
        now = time.monotonic()
        self._state.seconds += now - self._timed_at
        self._timed_at = now

    def _tick(self) -> None:
        run, state = self._run, self._state
        run.state.beat()
        minutes = (time.monotonic() - self._began) / _MINUTE
        run.progress.show(
            Snapshot(
                self._pass.name,
                state.read + self._settled_on_page,
                state.total,
                state.total == COUNT_LIMIT,
                (self._done + self._settled_on_page) / minutes if minutes else 0.0,
                state.errors,
                run.services.klaviyo.throttled_calls + run.services.commercetools.throttled_calls,
            )
        )
