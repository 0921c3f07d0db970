"""Trying again: how often, how long, and when not.

A `Budget` is what one message may use: wall clock and retries. `call` makes one backend call within it. `Pauses` stops
asking a backend for an operation that it throttles.
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

from core.errors import Refused, TryAgain, Unavailable
from core.rules import Limits

Answer = TypeVar("Answer")
Timeouts = tuple[float, float]
"""Seconds to connect, and for the whole call."""

THROTTLED = 429
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 600.0
_WHILE_ANOTHER_PROBES = 0.05
"""Seconds between two looks at a pause that another call may lift."""

PATIENCE = 2.0
"""Seconds that a message waits for what others hold, and for its quota before it has written anything."""

MESSAGE_FAILED = "message_failed"
"""Reason of a call that was not made because another one of its message had failed for good."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call, as limits see it: Klaviyo counts its quotas per operation."""

    backend: str
    name: str


@dataclass(slots=True)
class Budget:
    """What one message may use, and what it has used; times are `time.monotonic`.

    `has_written` says whether it has begun to change Klaviyo: then it waits for its quota to the end of its time.
    `waits` is for jobs, which hold no message and keep no thread from one: they wait for the quota from the start, and
    while an operation is paused, and a 429 costs no retry. `consent` says what was decided of it, and why.
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
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def seconds_left(self) -> float:
        """Wall clock that is left for the message."""
        return self.deadline - time.monotonic()

    @property
    def patience(self) -> float:
        """Seconds that the message may wait for its next slot: a thread that waits is one that other messages lack."""
        return self.seconds_left if self.has_written or self.waits else min(PATIENCE, self.seconds_left)

    def admit(self, operation: Operation) -> Timeouts:
        """Count one more call and give its timeouts. Raises TryAgain when no further call may be started."""
        with self._lock:
            if self._over:
                raise TryAgain(MESSAGE_FAILED)
            left = self.seconds_left
            if left <= 0:
                raise TryAgain("out_of_time")
            self.calls[operation.backend] += 1
        return min(self.limits.connect_timeout, left), min(self.limits.read_timeout, left)

    def admit_repeat(self, backend: str) -> None:
        """Count the repetition of a call with a fresh token."""
        with self._lock:
            self.calls[backend] += 1

    def end(self) -> None:
        """Start no other call: the message has failed."""
        self._over = True

    def wait_before_retry(self, error: Unavailable, attempt: int) -> float | None:
        """Seconds to wait before the next attempt at a call, or None when this was the last one."""
        wait = error.retry_after
        if not wait:
            wait = self.limits.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        with self._lock:
            if self.waits and error.status == THROTTLED and not self._over and wait < self.seconds_left:
                return wait
            if (
                self._over
                or attempt >= self.limits.call_attempts
                or self.retries_left <= 0
                or wait > self.limits.retry_after_max
                or wait >= self.seconds_left
            ):
                self._over = True
                return None
            self.retries_left -= 1
        return wait


_budget: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def message_budget(limits: Limits, *, waits: bool = False) -> Iterator[Budget]:
    """The budget of one message, for every call that is made inside; or that of a job's unit of work, which `waits`."""
    now = time.monotonic()
    budget = Budget(limits, now, now + limits.message_seconds, limits.message_retries, waits=waits)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


@contextmanager
def time_kept_back(share: float) -> Iterator[None]:
    """End the message's time earlier inside, so that this share of it is left for what has to follow."""
    budget = current_budget()
    seconds = budget.limits.message_seconds * share
    budget.deadline -= seconds
    try:
        yield
    finally:
        budget.deadline += seconds


@contextmanager
def last_calls() -> Iterator[None]:
    """What a message that failed still has to see to: within what is left of its time, each call attempted once."""
    failed = current_budget()
    rest = Budget(
        failed.limits, failed.started_at, failed.deadline, 0, has_written=True, waits=failed.waits, calls=failed.calls
    )
    token = _budget.set(rest)
    try:
        yield
    finally:
        _budget.reset(token)


def current_budget() -> Budget:
    """The budget of the message that is being processed in this context."""
    return _budget.get()


class WaitingRoom:
    """Messages that wait before they have written anything: at most half of the threads, so that others need not."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads // 2)
        self._lock = threading.Lock()
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Whether this message may wait inside; one that has begun to write always may."""
        budget = current_budget()
        if budget.has_written or budget.waits:
            yield True
            return
        message = id(budget)
        with self._lock:
            has_room = message in self._waiting or len(self._waiting) < self._most
            if has_room:
                self._waiting[message] += 1  # a message may wait in several threads
        try:
            yield has_room
        finally:
            if has_room:
                with self._lock:
                    self._waiting[message] -= 1
                    if not self._waiting[message]:
                        del self._waiting[message]


@dataclass(slots=True)
class _Pause:
    until: float
    length: float
    probing: bool = False


class Pauses:
    """Operations that a backend throttles. While one is paused nobody asks for it; then one call tries it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses: dict[Operation, _Pause] = {}
        self.refusals = 0
        """Calls that were answered 429."""

    def require_unpaused(self, operation: Operation) -> None:
        """Raises TryAgain while the operation is paused."""
        pause = self._pauses.get(operation)
        if pause and (pause.probing or time.monotonic() < pause.until):
            raise TryAgain("throttled", status=THROTTLED)

    def admit(self, operation: Operation) -> bool:
        """Whether this call is the one that finds out if a pause is over.

        Raises TryAgain while the operation is paused, or while another call finds out.
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
        """Seconds until the operation may be tried again; None while it is not paused."""
        pause = self._pauses.get(operation)
        if not pause:
            return None
        return _WHILE_ANOTHER_PROBES if pause.probing else max(0.0, pause.until - time.monotonic())

    def throttled(self, operation: Operation, retry_after: float | None) -> float:
        """Pause the operation: for `retry_after` seconds, else twice as long as the last time. Returns the seconds."""
        now = time.monotonic()
        with self._lock:
            self.refusals += 1
            pause = self._pauses.get(operation)
            if retry_after is not None:
                length = retry_after
            elif pause is None:
                length = _FIRST_PAUSE
            elif pause.probing:
                length = pause.length * 2
            else:  # a call that was under way when another one was throttled
                return max(0.0, pause.until - now)
            length = min(length, _LONGEST_PAUSE)
            until = max(now + length, pause.until if pause else 0.0)
            self._pauses[operation] = _Pause(until, length)
            return until - now

    def answered(self, operation: Operation) -> None:
        """The backend took the call that was to find out: the pause is over."""
        with self._lock:
            self._pauses.pop(operation, None)

    def unknown(self, operation: Operation) -> None:
        """The call that was to find out ended without an answer: the next one may try."""
        with self._lock:
            if pause := self._pauses.get(operation):
                pause.probing = False


def call(operation: Operation, pauses: Pauses, send: Callable[[Timeouts], Answer]) -> Answer:
    """Make one backend call within the message's budget and give its answer.

    `send` makes one attempt; what it raises as Unavailable is tried again, everything else is final. Raises what `send`
    raises, and TryAgain when the message's time is over or the operation is paused.
    """
    budget = current_budget()
    # A loop of tenacity's or stamina's keeps the last error in a reference cycle, and with it the frames and documents
    # of a failed message until the collector runs.
    for attempt in count(1):
        try:
            return _attempt(operation, pauses, budget, send)
        except Unavailable as error:
            seconds = budget.wait_before_retry(error, attempt)
            if seconds is None:
                raise
        time.sleep(seconds)
    raise AssertionError  # the loop ends by returning or raising; mypy can not know


def _attempt(operation: Operation, pauses: Pauses, budget: Budget, send: Callable[[Timeouts], Answer]) -> Answer:
    probes = _admitted(operation, pauses, budget)
    answered = False
    try:
        answer = send(budget.admit(operation))
        answered = True
    except Unavailable as error:
        if error.status == THROTTLED:
            error.retry_after = pauses.throttled(operation, error.retry_after)
            probes = False
        raise
    except Refused:
        answered = True
        raise
    finally:
        if probes:
            (pauses.answered if answered else pauses.unknown)(operation)
    return answer


def _admitted(operation: Operation, pauses: Pauses, budget: Budget) -> bool:
    """Whether the call is the one that finds out if a pause is over; a budget that `waits` sits the pause out."""
    while True:
        try:
            return pauses.admit(operation)
        except TryAgain:
            seconds = pauses.seconds_left(operation) if budget.waits else None
            if seconds is None or seconds >= budget.seconds_left:
                raise
        time.sleep(seconds)
