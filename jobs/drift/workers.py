"""The threads of a comparison. They read and write while the main thread handles signals and progress."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from core.errors import DeadLetter, SyncError
from core.settings import Settings
from handlers.services import Services
from jobs.drift.findings import Findings
from jobs.malloc import share_one_heap
from jobs.outcome import INTERRUPTED, REFUSED, InterruptedRunError, Outcome, StoppedError, stop_on_signals
from jobs.progress import Progress, Snapshot
from jobs.reading import Reader, RetryPolicy
from jobs.run import GRACE, await_all
from jobs.services import THREADS, ConsentMode, job_services
from jobs.units import Health, UnitResult, Work, run_unit, with_retries

_MINUTE = 60.0
_CHUNK = 1_000
"""Units submitted at a time: a shop may have millions."""

T = TypeVar("T")
Item = TypeVar("Item")


class WorkerPool:
    """Threads that call both backends. Failed calls are retried by the rules of `jobs.units`."""

    def __init__(self, services: Services, reader: Reader, stop: threading.Event, progress: Progress) -> None:
        self.services = services
        self.reader = reader
        self._stop = stop
        self._progress = progress
        self._limits = services.settings.sync.limits
        self._health = Health()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="drift")
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._task = _Task("", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def calls(self) -> dict[str, int]:
        """Calls so far, by backend."""
        with self._lock:
            return dict(self._calls + Counter(commercetools=self.reader.calls))

    def begin(self, name: str, total: int | None = None) -> None:
        """Start a new task in the progress display, with about `total` steps."""
        self._task = _Task(name, total)

    def step(self, count: int = 1) -> None:
        """Count finished steps of the task."""
        with self._lock:
            self._task.done += count

    def add_to_total(self, findings: Findings, number: int) -> None:
        """Add to a kind's number of records in the shop. Thread-safe."""
        with self._lock:
            findings.total += number

    def run_locked(self, change: Callable[[], None]) -> None:
        """Run `change`, which changes the findings, while holding the pool's lock."""
        with self._lock:
            change()

    def with_retries(self, call: Callable[[], T]) -> T:
        """Make a call with retries, in the current thread: use it in the pool's threads only.

        Raises a SyncError that is final, and StoppedError.
        """
        found, calls = with_retries(call, self._limits, self._health, self._stop)
        with self._lock:
            self._calls.update(calls)
        return found

    def read(self, what: str, call: Callable[[], T]) -> T:
        """`with_retries` for reads that the run needs, such as a page of a list. Raises only StoppedError.

        `what` names them in the error.
        """
        try:
            return self.with_retries(call)
        except DeadLetter as refused:
            raise StoppedError(REFUSED, f"{what} can't be read: {refused}.") from None
        except SyncError as error:
            raise StoppedError(
                INTERRUPTED, f"{what} can't be read ({error}). Run the same command again to resume."
            ) from None

    def call(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread of the pool and return its result. Raises as `call_all` does."""
        return self.call_all([work])[0]

    def call_all(self, works: Iterable[Callable[[], T]]) -> list[T]:
        """Run all `works` concurrently and return their results. Raises what any of them raises, and StoppedError."""
        futures = [self._executor.submit(work) for work in works]
        self._await(futures)
        return [future.result() for future in futures]

    def map(self, work: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
        """Run `work` concurrently for each item; each is a step of the task. Raises as `call_all` does."""

        def stepped(item: Item) -> T:
            found = work(item)
            self.step()
            return found

        found: list[T] = []
        for start in range(0, len(items), _CHUNK):
            found += self.call_all([partial(stepped, item) for item in items[start : start + _CHUNK]])
        return found

    def run_units(self, works: Mapping[str, Work]) -> dict[str, UnitResult]:
        """Run units and return their results by name. On a signal, running units have some seconds to finish.

        Raises StoppedError.
        """

        def do(work: Work) -> UnitResult:
            result = run_unit(work, self._limits, self._health, self._stop)
            with self._lock:
                self._calls.update(result.calls)
                self._task.done += 1
            return result

        named, done = list(works.items()), dict[str, UnitResult]()
        for start in range(0, len(named), _CHUNK):
            futures = {name: self._executor.submit(do, work) for name, work in named[start : start + _CHUNK]}
            self._await(list(futures.values()), GRACE)
            done |= {name: future.result() for name, future in futures.items()}
        return done

    def pause(self, seconds: float) -> None:
        """Wait. Raises InterruptedRunError on a signal."""
        if self._stop.wait(seconds):
            raise InterruptedRunError(leaves_threads=False)

    def _await(self, futures: Sequence["Future[T]"], grace: float = 0.0) -> None:
        await_all(futures, self._stop, self._tick, grace)

    def _tick(self) -> None:
        task = self._task
        minutes = (time.monotonic() - task.began) / _MINUTE
        rate = task.done / minutes if minutes else 0.0
        throttled = self.services.klaviyo.throttled_calls + self.services.commercetools.throttled_calls
        self._progress.show(Snapshot(task.name, task.done, task.total, False, rate, 0, throttled))


def with_worker_pool(
    settings: Settings,
    share: float,
    progress: Progress,
    work: Callable[[WorkerPool], Outcome],
    retry_policy: RetryPolicy | None = None,
    consent: ConsentMode = "left",
) -> Outcome:
    """Run `work` with a pool that uses `share` of Klaviyo's rate limits.

    SIGTERM and SIGINT end it within ten seconds, without waiting for threads that are still running.
    """
    share_one_heap()
    services = job_services(settings, share, consent=consent)
    rules, leaves_threads = settings.sync, True
    try:
        with stop_on_signals() as stop:
            reader = Reader(services.commercetools, rules.limits, rules.backfill.read_timeout, stop, retry_policy)
            with WorkerPool(services, reader, stop, progress) as pool:
                outcome = work(pool)
        leaves_threads = outcome.leaves_threads
        return outcome
    finally:
        progress.close()
        if not leaves_threads:
            services.close()


class _Task:
    """The current task in the progress display."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total, self.done, self.began = name, total, 0, time.monotonic()
