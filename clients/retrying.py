"""Retries: how often, for how long, and when not.

A `Budget` limits what one message may use: wall-clock time and retries. `call` makes one backend call within it. A
`WaitingRoom` limits how many messages may wait at a time.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from clients.failures import THROTTLED
from clients.pauses import Operation, Pauses
from core.errors import Refused, TryAgain, Unavailable
from core.rules import Limits

Answer = TypeVar("Answer")
Timeouts = tuple[float, float]
"""Seconds to connect, and seconds for the whole call."""

PATIENCE = 2.0
"""Seconds that a message may wait for a lock, and for its quota before its first write."""

MESSAGE_FAILED = "message_failed"
"""Reason of a call that was not made because another call of its message had already failed for good."""


@dataclass(slots=True)
class Budget:
    """What one message may use, and what it has used. Times are `time.monotonic`.

    `has_written` is set by the first write to Klaviyo. From then on the message waits for its quota until its deadline,
    because a redelivery would start from the beginning.

    `waits` is for jobs, which take no thread from other messages. They wait for the quota from the start and sit out
    pauses, and a 429 costs them no retry.

    `calls` counts the calls by backend. `cuts` says what was left out of bodies, and `consent` what was decided about
    consent and why; both go into the message's log line.
    """

    limits: Limits
    started_at: float
    deadline: float
    retries_left: int
    has_written: bool = False
    waits: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    cuts: list[str] = field(default_factory=list)
    consent: list[str] = field(default_factory=list)
    _has_failed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def patience(self) -> float:
        """Seconds that the message may wait for its next slot. Short, because other messages need the thread."""
        return self.seconds_left if self.has_written or self.waits else min(PATIENCE, self.seconds_left)

    def admit(self, operation: Operation) -> Timeouts:
        """Count a call and return its timeouts. Raises TryAgain if the message has failed or its time is over."""
        with self._lock:
            if self._has_failed:
                raise TryAgain(MESSAGE_FAILED)
            left = self.seconds_left
            if left <= 0:
                raise TryAgain("out_of_time")
            self.calls[operation.backend] += 1
        return min(self.limits.connect_timeout, left), min(self.limits.read_timeout, left)

    def count_repeat(self, backend: str) -> None:
        """Count a call that is repeated with a fresh token."""
        with self._lock:
            self.calls[backend] += 1

    def end(self) -> None:
        """Let no other call start: the message has failed."""
        self._has_failed = True

    def wait_before_retry(self, error: Unavailable, attempt: int) -> float | None:
        """Seconds to wait before the next attempt at a call. None ends the message: there is no other attempt."""
        wait = error.retry_after
        if not wait:
            wait = self.limits.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        with self._lock:
            if self.waits and error.status == THROTTLED and not self._has_failed and wait < self.seconds_left:
                return wait
            if (
                self._has_failed
                or attempt >= self.limits.call_attempts
                or self.retries_left <= 0
                or wait > self.limits.retry_after_max
                or wait >= self.seconds_left
            ):
                self._has_failed = True
                return None
            self.retries_left -= 1
        return wait


_budget: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def message_budget(limits: Limits, *, waits: bool = False) -> Iterator[Budget]:
    """Set the budget of a message for all calls made inside. A job sets one per unit of work, with `waits`."""
    now = time.monotonic()
    budget = Budget(limits, now, now + limits.message_seconds, limits.message_retries, waits=waits)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


@contextmanager
def time_reserved(share: float) -> Iterator[None]:
    """Set an earlier deadline inside, to reserve this share of the message's time for what has to follow."""
    budget = current_budget()
    seconds = budget.limits.message_seconds * share
    budget.deadline -= seconds
    try:
        yield
    finally:
        budget.deadline += seconds


@contextmanager
def last_calls() -> Iterator[None]:
    """Allow calls that a failed message must still make: each is attempted once, within the time that is left."""
    failed = current_budget()
    final = Budget(
        failed.limits, failed.started_at, failed.deadline, 0, has_written=True, waits=failed.waits, calls=failed.calls
    )
    token = _budget.set(final)
    try:
        yield
    finally:
        _budget.reset(token)


def current_budget() -> Budget:
    """The budget of the message that this context processes."""
    return _budget.get()


class WaitingRoom:
    """Limits the messages that wait before their first write to half of the threads, so that others can proceed."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads // 2)
        self._lock = threading.Lock()
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Yield True if the current message may wait inside. A message that has written, or a job, always may."""
        budget = current_budget()
        if budget.has_written or budget.waits:
            yield True
            return
        message = id(budget)
        with self._lock:
            has_room = message in self._waiting or len(self._waiting) < self._most
            if has_room:
                self._waiting[message] += 1  # one message may wait in several threads
        try:
            yield has_room
        finally:
            if has_room:
                with self._lock:
                    self._waiting[message] -= 1
                    if not self._waiting[message]:
                        del self._waiting[message]


def call(operation: Operation, pauses: Pauses, send: Callable[[Timeouts], Answer]) -> Answer:
    """Make one backend call within the message's budget and return its answer.

    `send` makes one attempt. If it raises Unavailable the call is retried, any other exception is final. Raises what
    `send` raises, and TryAgain if the message's time is over or the operation is paused.
    """
    budget = current_budget()
    # Not with tenacity or stamina: their loops keep the last error in a reference cycle. That would keep the frames and
    # documents of a failed message in memory until the garbage collector runs.
    for attempt in count(1):
        try:
            return _attempt(operation, pauses, budget, send)
        except Unavailable as error:
            seconds = budget.wait_before_retry(error, attempt)
            if seconds is None:
                raise
        time.sleep(seconds)
    raise AssertionError  # never reached, but mypy can't know that


def _attempt(operation: Operation, pauses: Pauses, budget: Budget, send: Callable[[Timeouts], Answer]) -> Answer:
    is_probe = _admit(operation, pauses, budget)
    answered = False
    try:
        answer = send(budget.admit(operation))
        answered = True
    except Unavailable as error:
        if error.status == THROTTLED:
            error.retry_after = pauses.pause(operation, error.retry_after)
            is_probe = False  # the new pause has replaced the one that was probed
        raise
    except Refused:
        answered = True
        raise
    finally:
        if is_probe:
            (pauses.lift if answered else pauses.end_probe)(operation)
    return answer


def _admit(operation: Operation, pauses: Pauses, budget: Budget) -> bool:
    """True if the call probes a pause. Raises TryAgain if the operation is paused; a job first sits the pause out."""
    while True:
        try:
            return pauses.admit(operation)
        except TryAgain:
            seconds = pauses.seconds_left(operation) if budget.waits else None
            if seconds is None or seconds >= budget.seconds_left:
                raise
        time.sleep(seconds)
