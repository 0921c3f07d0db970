"""Retries of backend calls: how often a call is attempted, how long is waited, and when a message ends."""

import gc
import weakref
from collections.abc import Callable

import pytest

from clients.pauses import Pauses
from clients.retrying import Budget, Timeouts, call, current_budget, message_budget
from core.errors import Refused, TryAgain, Unavailable
from core.rules import Limits
from tests.fake_clock import FakeClock
from tests.unit.backend_calls import READ, WRITE, answers, broken, throttled


def test_a_call_is_tried_three_times(clock: FakeClock) -> None:
    """The waits double. The third failure is final, and then the message starts no other call."""
    with message_budget(Limits(backoff=0.2)) as budget:
        assert call(WRITE, Pauses(), answers(broken(), broken(), "answer")) == "answer"
        assert clock.waits == pytest.approx([0.2, 0.4])
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), answers(broken(), broken(), broken(), "never asked"))
        with pytest.raises(TryAgain, match="message_failed"):
            call(READ, Pauses(), answers("never asked"))
    assert budget.calls == {"klaviyo": 6}


@pytest.mark.usefixtures("clock")
def test_a_message_has_four_retries() -> None:
    """All calls of the message share them."""
    with message_budget(Limits(call_attempts=3, message_retries=4)) as budget:
        for _ in range(2):
            call(WRITE, Pauses(), answers(broken(), broken(), "answer"))
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), answers(broken(), "never asked"))
    assert (budget.calls["klaviyo"], budget.retries_left) == (7, 0)


@pytest.mark.parametrize(
    "final", [TryAgain("klaviyo_denied", status=401), Refused("klaviyo", "create_event", status=400), KeyError("bug")]
)
def test_a_final_error_is_not_retried(clock: FakeClock, final: Exception) -> None:
    """Only Unavailable is retried. After a final error the message may still make other calls."""
    with message_budget(Limits()) as budget:
        with pytest.raises(type(final)):
            call(WRITE, Pauses(), answers(final, "never asked"))
        assert call(READ, Pauses(), answers("answer")) == "answer"
    assert (budget.calls, clock.waits) == ({"klaviyo": 1, "commercetools": 1}, [])


def _refused() -> Refused:
    return Refused("klaviyo", "create_event", status=400)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("error", [broken, _refused], ids=["retried", "final"])
def test_a_failed_call_frees_its_documents_immediately(error: Callable[[], Exception]) -> None:
    """Garbage collection is not needed for it. In an outage every message fails, so they would pile up."""

    class Document:
        pass

    def failing() -> weakref.ref[Document]:
        document = Document()

        def send(_timeouts: Timeouts) -> object:
            if document:
                raise error()
            return document

        with message_budget(Limits()), pytest.raises((Unavailable, Refused)):
            call(WRITE, Pauses(), send)
        return weakref.ref(document)

    gc.disable()
    try:
        assert failing()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("retry_after", "slept"), [(2.0, [2.0]), (5.0, [5.0])], ids=["short", "longest"])
def test_retry_after_is_honoured(clock: FakeClock, retry_after: float, slept: list[float]) -> None:
    """Up to five seconds are waited."""
    with message_budget(Limits()):
        assert call(WRITE, Pauses(), answers(throttled(retry_after), "answer")) == "answer"
    assert clock.waits == slept


def test_a_retry_after_of_zero_still_backs_off(clock: FakeClock) -> None:
    """The usual backoff applies."""
    with message_budget(Limits()):
        assert call(WRITE, Pauses(), answers(Unavailable("klaviyo_error", retry_after=0.0), "answer")) == "answer"
    assert clock.waits[0] > 0


@pytest.mark.parametrize("retry_after", [5.1, 600.0])
def test_a_long_retry_after_ends_the_message(clock: FakeClock, retry_after: float) -> None:
    """The message goes back to Pub/Sub without waiting."""
    with message_budget(Limits()), pytest.raises(Unavailable):
        call(WRITE, Pauses(), answers(throttled(retry_after), "never asked"))
    assert clock.waits == []


def test_no_wait_and_no_call_beyond_the_deadline(clock: FakeClock) -> None:
    """A wait that would outlast the message's time is not begun. After that time no call is made."""
    with message_budget(Limits(message_seconds=3.0, retry_after_max=5.0)):
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), answers(throttled(4.0), "never asked"))
        assert clock.waits == []
    with message_budget(Limits(message_seconds=3.0)):
        clock.now += 3.0
        with pytest.raises(TryAgain, match="out_of_time"):
            call(WRITE, Pauses(), answers("never asked"))


def test_timeouts_shrink_with_the_message(clock: FakeClock) -> None:
    """The connect and read timeouts are at most the time left."""
    with message_budget(Limits(connect_timeout=3.0, read_timeout=10.0, message_seconds=25.0)) as budget:
        assert budget.admit(READ) == (3.0, 10.0)
        clock.now += 20.0
        assert list(budget.admit(READ)) == pytest.approx([3.0, 5.0])
        clock.now += 4.0
        assert list(budget.admit(READ)) == pytest.approx([1.0, 1.0])


def test_a_budget_belongs_to_one_message() -> None:
    """A backend call outside of a message is a bug, so it raises LookupError."""
    with message_budget(Limits(message_seconds=5)) as budget:
        assert current_budget() is budget
        assert 0 < budget.seconds_left <= 5
    with pytest.raises(LookupError):
        current_budget()


def test_a_repeat_with_a_fresh_token_counts_as_a_call() -> None:
    """It uses none of the retries."""
    budget = Budget(Limits(), 0.0, float("inf"), 4)
    budget.count_repeat("commercetools")
    assert (budget.calls["commercetools"], budget.retries_left) == (1, 4)


def test_a_job_waits_for_its_quota_from_the_start() -> None:
    """A message waits that long only after its first write."""
    with message_budget(Limits(message_seconds=25), waits=True) as budget:
        assert budget.patience > 20
    with message_budget(Limits(message_seconds=25)) as budget:
        assert budget.patience <= 2
