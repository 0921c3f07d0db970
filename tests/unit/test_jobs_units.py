"""A unit of a job's work: what it is tried again for, what it is given up for, and what ends the run."""

import threading
import time
from collections.abc import Callable

import pytest

import jobs.units
from core.errors import Ignored, Refused, TryAgain, Unmappable
from core.rules import Limits
from jobs.outcome import DENIED, INTERRUPTED, StoppedError
from jobs.units import Attempt, Health, UnitResult, run_unit
from tests.fake_clock import FakeClock


def _settled(work: Callable[[Attempt], None], health: Health | None = None) -> UnitResult:
    return run_unit(work, Limits(), health or Health(), FakeClock())


def _failing(*errors: Exception) -> Callable[[Attempt], None]:
    """Work that fails so often, then succeeds."""
    left = list(errors)

    def work(_: Attempt) -> None:
        if left:
            raise left.pop(0)

    return work


def test_what_is_done_skipped_and_refused() -> None:
    """The three ends that need no second attempt."""
    assert _settled(_failing()) == UnitResult(calls={})
    assert _settled(_failing(Ignored("no_email"))).skipped == "no_email"
    for error in (Refused("klaviyo", "create_event", status=400), Unmappable("KeyError")):
        done = _settled(_failing(error))
        assert (done.failed, done.is_refused) == (error, True)


def test_throttled_as_often_as_it_takes() -> None:
    """A 429 is never an error, also not while others get through."""
    health = Health()
    throttled = iter(range(50))

    def work(_: Attempt) -> None:
        health.succeeded_at += 1_000  # another unit
        if next(throttled, None) is not None:
            raise TryAgain("throttled", status=429)

    assert _settled(work, health) == UnitResult(calls={})


def test_attempts_are_counted_from_one_beginning() -> None:
    """So that handlers look for what an earlier attempt may have sent."""
    seen: list[Attempt] = []

    def work(attempt: Attempt) -> None:
        seen.append(attempt)
        if attempt.number < 3:
            raise TryAgain("klaviyo_error", status=503)

    _settled(work)
    assert [one.number for one in seen] == [1, 2, 3]
    assert len({one.began for one in seen}) == 1


@pytest.mark.parametrize("error", [TryAgain("klaviyo_error", status=500), RuntimeError("Jane Doe")], ids=["500", "bug"])
def test_given_up_while_others_get_through(error: Exception) -> None:
    """After five attempts it is this unit's own fault: an entry in the errors file, without the error's text."""
    health = Health()
    attempts = 0

    def work(_: Attempt) -> None:
        nonlocal attempts
        attempts += 1
        health.succeeded_at += 1_000  # another unit
        raise error

    done = _settled(work, health)
    assert attempts == 5
    assert done.failed
    assert not done.is_refused
    assert "Jane" not in f"{done.failed} {getattr(done.failed, 'code', '')}"


@pytest.mark.parametrize("succeeds_in", [0, 6], ids=["before it", "while an attempt at it is under way"])
def test_an_outage_that_passes_costs_nothing(succeeds_in: int) -> None:
    """Others got through before the first failure, or when the last attempt had begun: neither proves a fault."""
    health = Health()
    attempts = 0

    def work(_: Attempt) -> None:
        nonlocal attempts
        if attempts == succeeds_in:
            health.succeeded_at = time.monotonic()
        attempts += 1
        if attempts <= 7:
            raise TryAgain("klaviyo_error", status=503)

    assert _settled(work, health) == UnitResult(calls={})
    assert attempts == 8


@pytest.mark.parametrize("outcome", [Ignored("no_profile"), Unmappable("KeyError")], ids=str)
def test_what_sends_nothing_proves_nothing(outcome: Exception) -> None:
    """A unit that is skipped, or can't be mapped, did not get through to anybody."""
    health = Health(succeeded_at=0.0)
    _settled(_failing(outcome), health)
    assert health.succeeded_at == 0.0


@pytest.mark.parametrize("is_alone", [True, False])
def test_the_last_of_a_page_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch, *, is_alone: bool) -> None:
    """Nobody is left who could get through: after ten minutes it is its own fault, if it fails alone."""
    monkeypatch.setattr(jobs.units, "OUTAGE", -1.0)
    health = Health() if is_alone else Health(failing={"another"})

    def work(_: Attempt) -> None:
        health.succeeded_at = time.monotonic()
        raise TryAgain("klaviyo_error", status=500)

    if is_alone:
        assert _settled(work, health).failed
    else:
        with pytest.raises(StoppedError, match="ten minutes"):
            _settled(work, health)
    assert health.failing == (set() if is_alone else {"another"})


def test_an_outage_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing gets through for ten minutes: nobody's fault, so nothing is given up."""
    monkeypatch.setattr(jobs.units, "OUTAGE", -1.0)
    with pytest.raises(StoppedError, match="ten minutes") as stopped:
        _settled(_failing(*[TryAgain("klaviyo_unreachable")] * 9))
    assert stopped.value.code == INTERRUPTED


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_ends_the_run(status: int) -> None:
    """A wrong key is not to fill the errors file."""
    with pytest.raises(StoppedError, match="commercetools denies a call") as stopped:
        _settled(_failing(TryAgain("commercetools_denied", status=status)))
    assert stopped.value.code == DENIED


def test_a_signal_ends_the_waiting() -> None:
    """Between two attempts, not after the next one."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError, match="Interrupted"):
        run_unit(_failing(TryAgain("throttled", status=429)), Limits(), Health(), stop)


def test_waits_grow_and_are_bounded() -> None:
    """From a second to a minute."""
    stop = FakeClock()
    run_unit(_failing(*[TryAgain("klaviyo_error")] * 12), Limits(), Health(succeeded_at=-1e9), stop)
    assert 0.5 <= stop.waits[0] <= 1.0
    assert 30 <= stop.waits[-1] <= 60
