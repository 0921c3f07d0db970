"""Runs one unit of work, such as one order: retried until it succeeds or fails for good. Throttling never fails it."""

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
"""Time limit of one attempt. Long, as no Pub/Sub message waits, and a large order must fit at any `--share`."""
_ATTEMPTS = 5
"""Failed attempts after which a unit fails, if others have succeeded since the first. Throttling does not count."""
OUTAGE = 600.0
"""Seconds without any success after which the run stops; if only one unit is failing, that unit fails instead."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The number of an attempt at a unit, and when the first attempt began."""

    number: int
    began: datetime


Work = Callable[[Attempt], None]
"""One attempt at a unit of work. Raises a SyncError if it does not succeed."""


@dataclass(frozen=True, slots=True)
class UnitResult:
    """The result of a unit: sent, `skipped` for a reason, or `failed` for good."""

    skipped: str = ""
    failed: SyncError | None = None
    calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """True if a backend or the SDK's validation refused the content."""
        return isinstance(self.failed, DeadLetter) and self.failed.reason != BROUGHT_BACK


@dataclass(slots=True)
class Health:
    """Tells an outage from the failure of a single unit: if others succeed, the unit is at fault.

    `succeeded_at` is when a unit last succeeded (`time.monotonic`); `failing` holds the units being retried.
    """

    succeeded_at: float = field(default_factory=time.monotonic)
    failing: set[object] = field(default_factory=set)


def run_unit(work: Work, limits: Limits, health: Health, stop: threading.Event) -> UnitResult:
    """Run a unit, and retry it while it may still succeed.

    Raises StoppedError if a backend denies access, if nothing succeeds for ten minutes, and after a signal.
    """
    unit = object()
    try:
        return _run_attempts(unit, work, limits, health, stop)
    finally:
        health.failing.discard(unit)


def with_retries(
    call: Callable[[], T], limits: Limits, health: Health, stop: threading.Event
) -> tuple[T, Mapping[str, int]]:
    """Make a call as a unit of its own: its result, and the API calls it took by backend.

    Raises the SyncError of a call that fails for good, and StoppedError as `run_unit` does.
    """
    found: list[T] = []

    def unit(_: Attempt) -> None:
        found.append(call())

    result = run_unit(unit, limits, health, stop)
    if result.failed:
        raise result.failed
    return found[-1], result.calls


def _run_attempts(unit: object, work: Work, limits: Limits, health: Health, stop: threading.Event) -> UnitResult:
    began, began_at = datetime.now(UTC), time.monotonic()
    first_failed_at = math.inf
    calls: Counter[str] = Counter()
    number = failures = 0
    while True:
        number += 1
        # Read before the attempt: if an outage ends during the attempt, others' successes say nothing about this unit.
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
                    INTERRUPTED,
                    f"Nothing succeeded for ten minutes ({error.reason}). Run the same command again to resume.",
                )
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** max(0, failures - 1))
        if stop.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
            raise StoppedError(INTERRUPTED, "Interrupted. Run the same command again to resume.")


def _is_inconclusive(error: SyncError | None) -> bool:
    """True if the end of an attempt does not show that a backend accepts writes."""
    return isinstance(error, Ignored | Unmappable) or (error is not None and error.reason == BROUGHT_BACK)


def _result_of(error: SyncError | None, calls: Counter[str]) -> UnitResult:
    if isinstance(error, Ignored):
        return UnitResult(skipped=error.reason, calls=calls)
    return UnitResult(failed=error, calls=calls)


def access_denied(error: TryAgain) -> StoppedError:
    """The error that stops a run whose Klaviyo key or API client lacks access."""
    backend, what = ("Klaviyo", "key") if error.reason.startswith("klaviyo") else ("commercetools", "API client")
    return StoppedError(
        DENIED,
        f"{backend} denies a call ({error.status} {error.code}): check the {what} and its scopes with `manage.py"
        " check`, then run the same command again to resume.",
    )


def _error_of_attempt(work: Work, attempt: Attempt) -> SyncError | None:
    try:
        work(attempt)
    except SyncError as error:
        return error
    except Exception as unforeseen:  # noqa: BLE001 - one unit's bug must not stop the others
        return TryAgain("unforeseen", code=location_of(unforeseen))
    return None
