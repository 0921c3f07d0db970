"""One unit of work, such as one order: done again until it is settled, and never failed for being throttled."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from clients.failures import ACCESS_DENIED
from clients.retrying import message_budget
from core.errors import DeadLetter, Ignored, SyncError, TryAgain, Unmappable
from core.rules import Limits
from handlers.erasure import BROUGHT_BACK
from jobs.outcome import DENIED, INTERRUPTED, StoppedError
from pipeline import location_of

UNIT_SECONDS = 600.0
"""Wall clock for one attempt: a job holds no message of Pub/Sub's, and a large order has to end at any share."""
_ATTEMPTS = 5
"""After which a unit is given up if others got through since its first failure; throttled ones are not counted."""
OUTAGE = 600.0
"""Seconds without any success after which the run stops, or the unit is given up if it is the only one that fails."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt at a unit this is, and when the first one began."""

    number: int
    began: datetime


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What became of a unit: sent, or `skipped` for a reason, or `failed` for good."""

    skipped: str = ""
    failed: SyncError | None = None
    calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether a backend, or the SDK's validation, did not want its content."""
        return isinstance(self.failed, DeadLetter) and self.failed.reason != BROUGHT_BACK


@dataclass(slots=True)
class Health:
    """When a backend last took what a unit sent, `time.monotonic`: while others get through, a failure is the unit's.

    `failing` holds the units that have failed and are tried again.
    """

    succeeded_at: float = field(default_factory=time.monotonic)
    failing: set[object] = field(default_factory=set)


def run_unit(work: Callable[[Attempt], None], limits: Limits, health: Health, stop: threading.Event) -> UnitResult:
    """Do a unit's work, again and again while it may succeed later.

    Raises StoppedError for a key or scope that is missing, and when nothing at all gets through for ten minutes.
    """
    unit = object()
    try:
        return _run_attempts(unit, work, limits, health, stop)
    finally:
        health.failing.discard(unit)


def with_retries(
    call: Callable[[], T], limits: Limits, health: Health, stop: threading.Event
) -> tuple[T, Mapping[str, int]]:
    """What a call gives, however often it takes, and the calls that it took.

    Raises what refuses it, and StoppedError.
    """
    found: list[T] = []

    def unit(_: Attempt) -> None:
        found.append(call())

    result = run_unit(unit, limits, health, stop)
    if result.failed:
        raise result.failed
    return found[-1], result.calls


def _run_attempts(
    unit: object, work: Callable[[Attempt], None], limits: Limits, health: Health, stop: threading.Event
) -> UnitResult:
    began, began_at = datetime.now(UTC), time.monotonic()
    first_failed_at = math.inf
    calls: Counter[str] = Counter()
    number = failures = 0
    while True:
        number += 1
        # Looked at before the attempt: one that ends in the moment in which an outage does proves nothing.
        others_succeed = health.succeeded_at > first_failed_at
        with message_budget(limits, waits=True) as budget:
            error = _error_of_attempt(work, Attempt(number, began))
        calls.update(budget.calls)
        if not isinstance(error, TryAgain):
            if not _is_inconclusive(error):
                health.succeeded_at = time.monotonic()
            return _result_of(error, calls)
        if error.status in ACCESS_DENIED:
            raise access_denied(error)
        if error.reason != "throttled":
            failures += 1
            first_failed_at = min(first_failed_at, time.monotonic())
            health.failing.add(unit)
            if failures >= _ATTEMPTS and others_succeed:
                return UnitResult(failed=error, calls=calls)
            if time.monotonic() - max(health.succeeded_at, began_at) > OUTAGE:
                if health.failing == {unit} and health.succeeded_at > began_at:
                    return UnitResult(failed=error, calls=calls)
                raise StoppedError(
                    INTERRUPTED, f"Nothing gets through for ten minutes ({error.reason}). Go on with the same command."
                )
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** max(0, failures - 1))
        if stop.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
            raise StoppedError(INTERRUPTED, "Interrupted. Go on with the same command.")


def _is_inconclusive(error: SyncError | None) -> bool:
    """Whether an end tells nothing of a backend that takes what it is sent."""
    return isinstance(error, Ignored | Unmappable) or (error is not None and error.reason == BROUGHT_BACK)


def _result_of(error: SyncError | None, calls: Counter[str]) -> UnitResult:
    if isinstance(error, Ignored):
        return UnitResult(skipped=error.reason, calls=calls)
    return UnitResult(failed=error, calls=calls)


def access_denied(error: TryAgain) -> StoppedError:
    """The end of a run whose key or client may not do what it has to."""
    backend, what = ("Klaviyo", "key") if error.reason.startswith("klaviyo") else ("commercetools", "API client")
    return StoppedError(
        DENIED,
        f"{backend} denies a call ({error.status} {error.code}): look at the {what} and its scopes with `manage.py"
        " check`, then go on with the same command.",
    )


def _error_of_attempt(work: Callable[[Attempt], None], attempt: Attempt) -> SyncError | None:
    try:
        work(attempt)
    except SyncError as error:
        return error
    except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the others go on
        return TryAgain("unforeseen", code=location_of(unforeseen))
    return None
