"""How often a call is tried, how long is waited, and when a backend is left alone."""

import gc
import random
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from clients.pauses import Operation, Pauses
from clients.retrying import Budget, Timeouts, call, current_budget, message_budget
from core.errors import Refused, TryAgain, Unavailable
from core.rules import Limits

READ = Operation("commercetools", "orders.get")
WRITE = Operation("klaviyo", "create_event")
BROKEN = Unavailable("klaviyo_error", status=500)


class Clock:
    """Time that passes when told, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in place of the real one; jitter is 1."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 1.0)
    return clock


def _answers(*answers: Any) -> Callable[[Timeouts], Any]:
    """One answer an attempt; errors are raised."""
    left = list(answers)

    def send(_timeouts: Timeouts) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return send


def _throttled(retry_after: float | None = None) -> Unavailable:
    return Unavailable("throttled", status=429, retry_after=retry_after)


def _broken() -> Unavailable:
    return Unavailable("klaviyo_error", status=500)


def test_a_call_is_tried_three_times(clock: Clock) -> None:
    """The pauses double; the third failure is final, and no other call is started then."""
    with message_budget(Limits(backoff=0.2)) as budget:
        assert call(WRITE, Pauses(), _answers(_broken(), _broken(), "answer")) == "answer"
        assert clock.slept == pytest.approx([0.2, 0.4])
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), _answers(_broken(), _broken(), _broken(), "never asked"))
        with pytest.raises(TryAgain, match="message_failed"):
            call(READ, Pauses(), _answers("never asked"))
    assert budget.calls == {"klaviyo": 6}


def test_a_message_has_four_retries(clock: Clock) -> None:
    """They are shared by all of its calls."""
    assert clock
    with message_budget(Limits(call_attempts=3, message_retries=4)) as budget:
        for _ in range(2):
            call(WRITE, Pauses(), _answers(_broken(), _broken(), "answer"))
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), _answers(_broken(), "never asked"))
    assert (budget.calls["klaviyo"], budget.retries_left) == (7, 0)


@pytest.mark.parametrize(
    "final", [TryAgain("klaviyo_denied", status=401), Refused("klaviyo", "create_event", status=400), KeyError("bug")]
)
def test_what_is_final_is_not_tried_again(clock: Clock, final: Exception) -> None:
    """Only what is Unavailable is worth another attempt; the message may still make other calls."""
    with message_budget(Limits()) as budget:
        with pytest.raises(type(final)):
            call(WRITE, Pauses(), _answers(final, "never asked"))
        assert call(READ, Pauses(), _answers("answer")) == "answer"
    assert (budget.calls, clock.slept) == ({"klaviyo": 1, "commercetools": 1}, [])


def _refused() -> Refused:
    return Refused("klaviyo", "create_event", status=400)


@pytest.mark.parametrize("error", [_broken, _refused], ids=["retried", "final"])
def test_a_failed_call_leaves_nothing_behind(clock: Clock, error: Callable[[], Exception]) -> None:
    """What it was to send is freed at once, without the collector: in an outage every message fails."""
    assert clock

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
def test_retry_after_is_honoured(clock: Clock, retry_after: float, slept: list[float]) -> None:
    """Up to five seconds are waited for."""
    with message_budget(Limits()):
        assert call(WRITE, Pauses(), _answers(_throttled(retry_after), "answer")) == "answer"
    assert clock.slept == slept


def test_at_once_is_not_without_a_pause(clock: Clock) -> None:
    """`Retry-After: 0` leaves the pause to us."""
    with message_budget(Limits()):
        assert call(WRITE, Pauses(), _answers(Unavailable("klaviyo_error", retry_after=0.0), "answer")) == "answer"
    assert clock.slept[0] > 0


@pytest.mark.parametrize("retry_after", [5.1, 600.0])
def test_a_long_retry_after_gives_the_message_back(clock: Clock, retry_after: float) -> None:
    """Nobody sleeps for it."""
    with message_budget(Limits()), pytest.raises(Unavailable):
        call(WRITE, Pauses(), _answers(_throttled(retry_after), "never asked"))
    assert clock.slept == []


def test_no_wait_beyond_the_message(clock: Clock) -> None:
    """A wait that would outlast the message is not begun, nor a call after its end."""
    with message_budget(Limits(message_seconds=3.0, retry_after_max=5.0)):
        with pytest.raises(Unavailable):
            call(WRITE, Pauses(), _answers(_throttled(4.0), "never asked"))
        assert clock.slept == []
    with message_budget(Limits(message_seconds=3.0)):
        clock.now += 3.0
        with pytest.raises(TryAgain, match="out_of_time"):
            call(WRITE, Pauses(), _answers("never asked"))


def test_timeouts_shrink_with_the_message(clock: Clock) -> None:
    """Connect and read wait no longer than what is left."""
    with message_budget(Limits(connect_timeout=3.0, read_timeout=10.0, message_seconds=25.0)) as budget:
        assert budget.admit(READ) == (3.0, 10.0)
        clock.now += 20.0
        assert list(budget.admit(READ)) == pytest.approx([3.0, 5.0])
        clock.now += 4.0
        assert list(budget.admit(READ)) == pytest.approx([1.0, 1.0])


def test_a_budget_is_of_one_message() -> None:
    """It is there inside; what calls a backend outside of a message is a mistake."""
    with message_budget(Limits(message_seconds=5)) as budget:
        assert current_budget() is budget
        assert 0 < budget.seconds_left <= 5
    with pytest.raises(LookupError):
        current_budget()


def test_a_repeat_with_a_fresh_token_is_a_call() -> None:
    """It is counted, and takes no retry."""
    budget = Budget(Limits(), 0.0, float("inf"), 4)
    budget.count_repeat("commercetools")
    assert (budget.calls["commercetools"], budget.retries_left) == (1, 4)


def test_a_throttled_operation_is_paused(clock: Clock) -> None:
    """Until its Retry-After is over nobody asks for it; other operations go on."""
    pauses = Pauses()
    assert pauses.pause(WRITE, 10.0) == 10.0
    for _ in range(2):
        with pytest.raises(TryAgain, match="throttled") as raised:
            pauses.admit(WRITE)
        assert raised.value.status == 429
        clock.now += 4.9
    pauses.admit(READ)
    clock.now += 0.3
    pauses.admit(WRITE)


def test_one_call_finds_out_whether_the_pause_is_over(clock: Clock) -> None:
    """The others wait for what it finds: an answer ends the pause, silence lets the next one try."""
    pauses = Pauses()
    pauses.pause(WRITE, 1.0)
    clock.now += 1.0
    pauses.admit(WRITE)
    with pytest.raises(TryAgain):
        pauses.admit(WRITE)
    pauses.end_probe(WRITE)
    pauses.admit(WRITE)
    pauses.lift(WRITE)
    for _ in range(2):
        pauses.admit(WRITE)


def test_without_retry_after_the_pause_doubles(clock: Clock) -> None:
    """Each time the one that tries is throttled again, up to ten minutes; an answer starts it anew."""
    pauses, lengths = Pauses(), []
    lengths.append(pauses.pause(WRITE, None))
    for _ in range(11):
        clock.now += lengths[-1]
        pauses.admit(WRITE)
        lengths.append(pauses.pause(WRITE, None))
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    clock.now += 600
    pauses.admit(WRITE)
    pauses.lift(WRITE)
    assert pauses.pause(WRITE, None) == 1


def test_calls_that_were_under_way_do_not_double_the_pause(clock: Clock) -> None:
    """Eight threads that are throttled at once are one throttling, and never shorten a pause."""
    pauses = Pauses()
    assert [pauses.pause(WRITE, None) for _ in range(8)] == [1.0] * 8
    assert pauses.pause(WRITE, 5.0) == 5.0
    assert pauses.pause(WRITE, 1.0) == 5.0
    clock.now += 4.0
    with pytest.raises(TryAgain):
        pauses.admit(WRITE)


def test_an_answer_from_before_does_not_end_a_pause(clock: Clock) -> None:
    """Only the call that tries it knows: one that was under way when another was throttled does not."""
    pauses = Pauses()

    def send(_timeouts: object) -> str:
        pauses.pause(WRITE, 5.0)
        return "answer"

    with message_budget(Limits()):
        assert call(WRITE, pauses, send) == "answer"
    with pytest.raises(TryAgain):
        pauses.admit(WRITE)
    assert clock.slept == []


def test_a_paused_operation_costs_no_call(clock: Clock) -> None:
    """Another message that needs it is given back without asking, and the operation is free afterwards."""
    pauses = Pauses()
    with message_budget(Limits()), pytest.raises(Unavailable):
        call(WRITE, pauses, _answers(_throttled(8.0)))
    with message_budget(Limits()) as budget, pytest.raises(TryAgain, match="throttled"):
        call(WRITE, pauses, _answers("never asked"))
    assert budget.calls == {}
    clock.now += 8.0
    with message_budget(Limits()):
        assert call(WRITE, pauses, _answers("answer")) == "answer"
        assert call(WRITE, pauses, _answers("answer")) == "answer"


@pytest.mark.parametrize("error", [BROKEN, Refused("klaviyo", "create_event", status=400), KeyError("bug")])
def test_a_try_that_fails_otherwise_blocks_nobody(clock: Clock, error: Exception) -> None:
    """The operation can be tried by the next message."""
    pauses = Pauses()
    pauses.pause(WRITE, 1.0)
    clock.now += 1.0
    with message_budget(Limits(call_attempts=1)), pytest.raises(type(error)):
        call(WRITE, pauses, _answers(error))
    with message_budget(Limits()):
        assert call(WRITE, pauses, _answers("answer")) == "answer"


def test_a_message_without_time_does_not_keep_the_try(clock: Clock) -> None:
    """A call that is never started finds nothing out."""
    pauses = Pauses()
    pauses.pause(WRITE, 1.0)
    clock.now += 1.0
    with message_budget(Limits()) as budget:
        budget.end()
        with pytest.raises(TryAgain, match="message_failed"):
            call(WRITE, pauses, _answers("never asked"))
    pauses.admit(WRITE)


def test_a_job_sits_a_pause_out(clock: Clock) -> None:
    """It holds no message, so it waits where a message is given back; a 429 costs none of its retries."""
    pauses = Pauses()
    send = _answers(*[_throttled(40.0)] * 6, "answer")
    with message_budget(Limits(message_seconds=50).model_copy(update={"message_seconds": 600}), waits=True) as budget:
        assert call(WRITE, pauses, send) == "answer"
    assert clock.now == 1000 + 6 * 40
    assert budget.retries_left == Limits().message_retries
    assert pauses.throttled_calls == 6


def test_a_job_waits_for_a_pause_that_another_call_began(clock: Clock) -> None:
    """Nothing is asked for until it is over; a pause beyond the job's own time is not waited for."""
    pauses = Pauses()
    pauses.pause(WRITE, 30.0)
    with message_budget(Limits(message_seconds=25), waits=True), pytest.raises(TryAgain, match="throttled"):
        call(WRITE, pauses, _answers())
    assert clock.now == 1000
    with message_budget(Limits(message_seconds=40), waits=True):
        assert call(WRITE, pauses, _answers("answer")) == "answer"
    assert clock.now == 1030


def test_a_job_is_patient_from_the_start() -> None:
    """With its quota too, whether it has written or not."""
    with message_budget(Limits(message_seconds=25), waits=True) as budget:
        assert budget.patience > 20
    with message_budget(Limits(message_seconds=25)) as budget:
        assert budget.patience <= 2
