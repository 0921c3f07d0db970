"""A unit of a job's work: when it is retried, when it fails for good, and what ends the run."""

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


def _run(work: Callable[[Attempt], None], health: Health | None = None) -> UnitResult:
    return run_unit(work, Limits(), health or Health(), FakeClock())


def _failing(*errors: Exception) -> Callable[[Attempt], None]:
    """Work that raises these errors, one per attempt, then succeeds."""
    left = list(errors)

    def work(_: Attempt) -> None:
        if left:
            raise left.pop(0)

    return work


def test_success_skip_and_refusal_need_one_attempt() -> None:
    """A unit that succeeds, is skipped or is refused is not retried."""
    assert _run(_failing()) == UnitResult(calls={})
    assert _run(_failing(Ignored("no_email"))).skipped == "no_email"
    for error in (Refused("klaviyo", "create_event", status=400), Unmappable("KeyError")):
        result = _run(_failing(error))
        assert (result.failed, result.is_refused) == (error, True)


def test_throttling_never_fails_a_unit() -> None:
    """A 429 is always retried, also while other units succeed."""
    health = Health()
    throttled = iter(range(50))

    def work(_: Attempt) -> None:
        health.succeeded_at += 1_000  # another unit
        if next(throttled, None) is not None:
            raise TryAgain("throttled", status=429)

    assert _run(work, health) == UnitResult(calls={})


def test_attempts_know_when_the_first_one_began() -> None:
    """Handlers need that time to find what an earlier attempt may have sent."""
    seen: list[Attempt] = []

    def work(attempt: Attempt) -> None:
        seen.append(attempt)
        if attempt.number < 3:
            raise TryAgain("klaviyo_error", status=503)

    _run(work)
    assert [one.number for one in seen] == [1, 2, 3]
    assert len({one.began for one in seen}) == 1


@pytest.mark.parametrize("error", [TryAgain("klaviyo_error", status=500), RuntimeError("Jane Doe")], ids=["500", "bug"])
def test_a_unit_fails_for_good_while_others_succeed(error: Exception) -> None:
    """After five attempts the unit is at fault. The failure for the errors file lacks the error's text."""
    health = Health()
    attempts = 0

    def work(_: Attempt) -> None:
        nonlocal attempts
        attempts += 1
        health.succeeded_at += 1_000  # another unit
        raise error

    result = _run(work, health)
    assert attempts == 5
    assert result.failed
    assert not result.is_refused
    assert "Jane" not in f"{result.failed} {getattr(result.failed, 'code', '')}"


@pytest.mark.parametrize("succeeds_in", [0, 6], ids=["before the first failure", "during the last attempt"])
def test_an_outage_that_ends_fails_no_unit(succeeds_in: int) -> None:
    """Others succeeded before the first failure, or after the last attempt began. Neither proves this unit at fault."""
    health = Health()
    attempts = 0

    def work(_: Attempt) -> None:
        nonlocal attempts
        if attempts == succeeds_in:
            health.succeeded_at = time.monotonic()
        attempts += 1
        if attempts <= 7:
            raise TryAgain("klaviyo_error", status=503)

    assert _run(work, health) == UnitResult(calls={})
    assert attempts == 8


@pytest.mark.parametrize("outcome", [Ignored("no_profile"), Unmappable("KeyError")], ids=str)
def test_a_unit_that_sends_nothing_does_not_count_as_success(outcome: Exception) -> None:
    """A unit that is skipped or can't be mapped does not show that a backend accepts writes."""
    health = Health(succeeded_at=0.0)
    _run(_failing(outcome), health)
    assert health.succeeded_at == 0.0


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_unit_that_fails_alone_is_given_up(monkeypatch: pytest.MonkeyPatch, *, is_alone: bool) -> None:
    """No other unit is left that could succeed. After ten minutes the unit fails, if it is the only one failing."""
    monkeypatch.setattr(jobs.units, "OUTAGE", -1.0)
    health = Health() if is_alone else Health(failing={"another"})

    def work(_: Attempt) -> None:
        health.succeeded_at = time.monotonic()
        raise TryAgain("klaviyo_error", status=500)

    if is_alone:
        assert _run(work, health).failed
    else:
        with pytest.raises(StoppedError, match="ten minutes"):
            _run(work, health)
    assert health.failing == (set() if is_alone else {"another"})


def test_an_outage_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing succeeds for ten minutes, so the run stops, and no unit fails for good."""
    monkeypatch.setattr(jobs.units, "OUTAGE", -1.0)
    with pytest.raises(StoppedError, match="ten minutes") as stopped:
        _run(_failing(*[TryAgain("klaviyo_unreachable")] * 9))
    assert stopped.value.code == INTERRUPTED


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_ends_the_run(status: int) -> None:
    """A wrong key must not fill the errors file."""
    with pytest.raises(StoppedError, match="commercetools denies a call") as stopped:
        _run(_failing(TryAgain("commercetools_denied", status=status)))
    assert stopped.value.code == DENIED


def test_a_signal_ends_the_wait_between_attempts() -> None:
    """The run stops without another attempt."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError, match="Interrupted"):
        run_unit(_failing(TryAgain("throttled", status=429)), Limits(), Health(), stop)


def test_waits_grow_and_are_bounded() -> None:
    """Waits between attempts grow from a second to a minute, with jitter."""
    stop = FakeClock()
    run_unit(_failing(*[TryAgain("klaviyo_error")] * 12), Limits(), Health(succeeded_at=-1e9), stop)
    assert 0.5 <= stop.waits[0] <= 1.0
    assert 30 <= stop.waits[-1] <= 60
