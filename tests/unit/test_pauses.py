"""Pauses of throttled operations: how long they last, which call probes them, and how jobs wait for them."""

import pytest

from clients.pauses import Pauses
from clients.retrying import call, message_budget
from core.errors import Refused, TryAgain, Unavailable
from core.rules import Limits
from tests.fake_clock import FakeClock
from tests.unit.backend_calls import READ, WRITE, answers, broken, throttled


def test_a_throttled_operation_is_paused(clock: FakeClock) -> None:
    """No call is admitted until its Retry-After is over. Other operations are not affected."""
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


def test_one_call_probes_the_pause(clock: FakeClock) -> None:
    """The others are turned away in the meantime. An answer lifts the pause. Without one, the next call may probe."""
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


def test_without_retry_after_the_pause_doubles(clock: FakeClock) -> None:
    """It doubles each time the probe is throttled, up to ten minutes. An answer resets it to one second."""
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


def test_calls_in_flight_do_not_double_the_pause(clock: FakeClock) -> None:
    """Eight threads throttled at the same time count once. A later 429 never shortens the pause."""
    pauses = Pauses()
    assert [pauses.pause(WRITE, None) for _ in range(8)] == [1.0] * 8
    assert pauses.pause(WRITE, 5.0) == 5.0
    assert pauses.pause(WRITE, 1.0) == 5.0
    clock.now += 4.0
    with pytest.raises(TryAgain):
        pauses.admit(WRITE)


def test_an_answer_to_a_call_in_flight_does_not_lift_a_pause(clock: FakeClock) -> None:
    """Only the probe's answer does. A call that began before the pause is no probe."""
    pauses = Pauses()

    def send(_timeouts: object) -> str:
        pauses.pause(WRITE, 5.0)
        return "answer"

    with message_budget(Limits()):
        assert call(WRITE, pauses, send) == "answer"
    with pytest.raises(TryAgain):
        pauses.admit(WRITE)
    assert clock.waits == []


def test_a_paused_operation_costs_no_call(clock: FakeClock) -> None:
    """A message that needs it goes back to Pub/Sub without a call. After the pause the operation is free again."""
    pauses = Pauses()
    with message_budget(Limits()), pytest.raises(Unavailable):
        call(WRITE, pauses, answers(throttled(8.0)))
    with message_budget(Limits()) as budget, pytest.raises(TryAgain, match="throttled"):
        call(WRITE, pauses, answers("never asked"))
    assert budget.calls == {}
    clock.now += 8.0
    with message_budget(Limits()):
        assert call(WRITE, pauses, answers("answer")) == "answer"
        assert call(WRITE, pauses, answers("answer")) == "answer"


@pytest.mark.parametrize("error", [broken(), Refused("klaviyo", "create_event", status=400), KeyError("bug")])
def test_a_failed_probe_blocks_nobody(clock: FakeClock, error: Exception) -> None:
    """If the probe fails for another reason, the next message can call the operation."""
    pauses = Pauses()
    pauses.pause(WRITE, 1.0)
    clock.now += 1.0
    with message_budget(Limits(call_attempts=1)), pytest.raises(type(error)):
        call(WRITE, pauses, answers(error))
    with message_budget(Limits()):
        assert call(WRITE, pauses, answers("answer")) == "answer"


def test_a_probe_that_is_never_sent_blocks_nobody(clock: FakeClock) -> None:
    """If the message has already ended, another call may probe."""
    pauses = Pauses()
    pauses.pause(WRITE, 1.0)
    clock.now += 1.0
    with message_budget(Limits()) as budget:
        budget.end()
        with pytest.raises(TryAgain, match="message_failed"):
            call(WRITE, pauses, answers("never asked"))
    pauses.admit(WRITE)


def test_a_job_waits_out_a_pause(clock: FakeClock) -> None:
    """A message would go back to Pub/Sub, but a job waits. A 429 costs it no retry."""
    pauses = Pauses()
    send = answers(*[throttled(40.0)] * 6, "answer")
    with message_budget(Limits(message_seconds=50).model_copy(update={"message_seconds": 600}), waits=True) as budget:
        assert call(WRITE, pauses, send) == "answer"
    assert clock.now == 1000 + 6 * 40
    assert budget.retries_left == Limits().message_retries
    assert pauses.throttled_calls == 6


def test_a_job_waits_for_a_pause_of_another_call(clock: FakeClock) -> None:
    """It calls nothing until the pause is over. A pause longer than its own time is not waited for."""
    pauses = Pauses()
    pauses.pause(WRITE, 30.0)
    with message_budget(Limits(message_seconds=25), waits=True), pytest.raises(TryAgain, match="throttled"):
        call(WRITE, pauses, answers())
    assert clock.now == 1000
    with message_budget(Limits(message_seconds=40), waits=True):
        assert call(WRITE, pauses, answers("answer")) == "answer"
    assert clock.now == 1030
