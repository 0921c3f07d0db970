"""The page's subscription: order, redelivery, dead letters and restarts. A fake function answers the messages."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest
import requests

import sandbox
from commands.page import subscription as module
from commands.page.delivery import Delivery, Message
from commands.page.subscription import MAX_DELIVERY_ATTEMPTS, Subscription
from commands.processes import Function, Sandbox
from sandbox.calls import klaviyo
from sandbox.samples import DOCUMENTS, samples
from sandbox.samples import SAMPLES as SAMPLES_FOLDER

Found = TypeVar("Found")


@dataclass(slots=True)
class FakeFunction:
    """Answers 503 as many times as `refusals` says, then 204."""

    refusals: int = 0
    starts: int = 0
    pushed: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    _line: dict[str, Any] = field(default_factory=dict)

    def push(self, _data: bytes, message_id: str, attempt: int) -> int:
        """Acknowledge or refuse a message."""
        self.pushed.append(message_id)
        self.attempts.append(attempt)
        is_refused = self.refusals > 0
        self.refusals -= is_refused
        outcome = {"outcome": "retried", "reason": "klaviyo_error", "status": 503} if is_refused else {}
        self._line = {"outcome": "synced", "resource": "customer/c1", "type": "CustomerCreated", **outcome}
        return 503 if is_refused else 204

    def outcome(self, _message_id: str) -> dict[str, Any]:
        """The log line of the last message."""
        return self._line


SAMPLES = {sample.file.split("-", 1)[0]: Message.from_sample(sample) for sample in samples()}


@pytest.fixture
def function() -> FakeFunction:
    """The function that the subscription pushes to."""
    return FakeFunction()


@pytest.fixture
def subscription(function: FakeFunction, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subscription]:
    """A running subscription with a short backoff."""
    monkeypatch.setattr(module, "_MIN_BACKOFF", 0.01)
    monkeypatch.setattr(module, "_POLL_INTERVAL", 0.005)

    @contextmanager
    def start() -> Iterator[Function]:
        function.starts += 1
        yield cast("Function", function)

    with sandbox.start(documents=DOCUMENTS) as running:
        both = Sandbox(sandbox.Control(running.commercetools.url), sandbox.Control(running.klaviyo.url))
        with Subscription(both, start) as it:
            yield it


def _finished(subscription: Subscription, count: int) -> list[Delivery]:
    """All deliveries, oldest first, once none is pending."""
    return _await(
        lambda: [*reversed(subscription.deliveries)],
        lambda found: len(found) == count and not any(delivery.is_waiting for delivery in found),
    )


def _await(read: Callable[[], Found], is_expected: Callable[[Found], bool]) -> Found:
    end = time.monotonic() + 60
    while not is_expected(found := read()):
        assert time.monotonic() < end, f"still {found}"
        time.sleep(0.005)
    return found


def test_samples_are_delivered_in_order(subscription: Subscription, function: FakeFunction) -> None:
    """Each has its own message id. A change that belongs to a sample is made in commercetools."""
    for number in ("13", "15"):
        subscription.send(SAMPLES[number])
    first, second = _finished(subscription, 2)
    assert (first.number, second.number) == (1, 2)
    assert len(set(function.pushed)) == 2
    changed = subscription.sandbox.commercetools.document("customers", "c1000000-0000-4000-8000-000000000001")
    assert (
        changed["version"] == json.loads((SAMPLES_FOLDER / "changes/customer-mira-moved.json").read_bytes())["version"]
    )
    assert (first.resource, first.type, first.attempts[0].reason) == ("customer/c1", "CustomerCreated", "")


def test_a_duplicate_has_the_same_message_id(subscription: Subscription, function: FakeFunction) -> None:
    """Pub/Sub delivers at least once, so the same message may arrive twice."""
    subscription.send(SAMPLES["13"], times=2)
    first, second = _finished(subscription, 2)
    assert (first.repeated, second.repeated) == (False, True)
    assert len(function.pushed) == 2
    assert len(set(function.pushed)) == 1


def test_a_refused_message_is_redelivered(subscription: Subscription, function: FakeFunction) -> None:
    """It is redelivered until it is acknowledged. The history keeps both attempts."""
    function.refusals = 1
    subscription.send(SAMPLES["13"])
    (delivery,) = _finished(subscription, 1)
    assert [attempt.outcome for attempt in delivery.attempts] == ["retried", "synced"]
    assert delivery.attempts[0].reason == "klaviyo_error"
    assert function.attempts == [1, 2]


def test_the_backoff_is_that_of_pubsub_and_can_be_skipped(
    subscription: Subscription, function: FakeFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ten seconds, then twenty. A message without a pending attempt has nothing to skip."""
    monkeypatch.setattr(module, "_MIN_BACKOFF", 10.0)
    function.refusals = 2
    began = time.time()
    subscription.send(SAMPLES["13"])
    for backoff in (10, 20):
        due = _await(lambda: subscription.deliveries[0].due or 0, lambda found: found > time.time() + 1)
        assert due >= began + backoff
        assert subscription.deliver_now(1)
    (delivery,) = _finished(subscription, 1)
    assert delivery.outcome == "synced"
    assert not subscription.deliver_now(delivery.number)
    assert not subscription.deliver_now(99)


def test_a_message_becomes_a_dead_letter_after_five_attempts(
    subscription: Subscription, function: FakeFunction
) -> None:
    """A subscription with a dead-letter policy does the same."""
    function.refusals = 99
    subscription.send(SAMPLES["13"])
    (delivery,) = _finished(subscription, 1)
    assert delivery.dead_letter is not None
    assert delivery.dead_letter.forwarded
    assert delivery.outcome == "dead-lettered"
    assert len(delivery.attempts) == MAX_DELIVERY_ATTEMPTS
    assert subscription.dead_letters == [delivery]


def test_a_dead_letter_is_replayed_once(subscription: Subscription, function: FakeFunction) -> None:
    """It is sent as a new message, and leaves the list of dead letters."""
    function.refusals = MAX_DELIVERY_ATTEMPTS
    subscription.send(SAMPLES["13"])
    (dead,) = _finished(subscription, 1)
    assert subscription.replay(dead.number) == 2
    assert subscription.replay(dead.number) == 0
    assert subscription.replay(99) == 0
    _, replayed = _finished(subscription, 2)
    assert replayed.outcome == "synced"
    assert replayed.message == dead.message
    assert subscription.dead_letters == []
    assert function.pushed[0] != function.pushed[-1]


def test_a_dead_letter_of_the_function_has_its_reason(
    subscription: Subscription, function: FakeFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is what the function published to the dead-letter topic."""

    def push(self: FakeFunction, _data: bytes, message_id: str, _attempt: int) -> int:
        subscription.record_dead_letter(message_id, {"reason": "klaviyo_refused", "error": "Refused invalid /data"})
        self._line = {"outcome": "dead-lettered", "reason": "klaviyo_refused"}
        return 204

    monkeypatch.setattr(FakeFunction, "push", push)
    subscription.send(SAMPLES["13"])
    (delivery,) = _finished(subscription, 1)
    assert delivery.dead_letter is not None
    assert (delivery.dead_letter.reason, delivery.dead_letter.error) == ("klaviyo_refused", "Refused invalid /data")
    assert not delivery.dead_letter.forwarded
    assert function.starts == 1


def test_an_unreachable_function_counts_as_a_refusal(
    subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages are retried with the reason `no_answer`, and become dead letters."""

    def unreachable(*_: object) -> int:
        raise requests.ConnectionError

    monkeypatch.setattr(FakeFunction, "push", unreachable)
    subscription.send(SAMPLES["01"])
    (delivery,) = _finished(subscription, 1)
    assert delivery.dead_letter is not None
    assert delivery.attempts[0].reason == "no_answer"


def test_a_sample_that_deletes_its_document_can_be_sent_twice(subscription: Subscription) -> None:
    """The second time the document is already deleted, which is no error."""
    subscription.send(SAMPLES["12"])
    subscription.send(SAMPLES["12"])
    assert [delivery.attempts[0].outcome for delivery in _finished(subscription, 2)] == ["synced", "synced"]


def test_a_task_runs_between_two_messages(subscription: Subscription, function: FakeFunction) -> None:
    """Its future has the result or the error, and open pages are notified. Tasks clear the history and restart."""
    version = subscription.version
    assert subscription.submit(lambda: 7).result(60) == 7
    assert subscription.wait_for_change(version, 60) > version
    assert isinstance(subscription.submit(lambda: int("")).exception(60), ValueError)
    generation = subscription.generation
    subscription.send(SAMPLES["13"])
    _finished(subscription, 1)
    subscription.submit(subscription.clear_history).result(60)
    subscription.submit(subscription.restart).result(60)
    assert subscription.deliveries == []
    assert subscription.generation != generation
    assert function.starts == 2


def test_a_delivery_keeps_what_its_message_changed(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is new in the first message. In the next one only the changed field is listed."""
    control = subscription.sandbox.klaviyo

    def push(self: FakeFunction, data: bytes, _message_id: str, _attempt: int) -> int:
        self._line = {"outcome": "synced"}
        with klaviyo(control.url) as call:
            attributes = {"external_id": "c1", "first_name": data.decode()}
            call("POST", "/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})
        return 204

    monkeypatch.setattr(FakeFunction, "push", push)
    for name in (b"Mira", b"Nora"):
        subscription.send(Message("a customer", "", name))
    first, second = _finished(subscription, 2)
    (own_id,) = (profile["id"] for profile in control.state()["profiles"])
    assert first.changes == {("profile", own_id, ""): ""}
    assert second.changes == {("profile", own_id, "first_name"): "Mira"}


def test_every_change_can_be_waited_for(subscription: Subscription) -> None:
    """A waiting page is woken immediately. Without a change it waits until the timeout."""
    version = subscription.version
    assert subscription.wait_for_change(version, 0.01) == version
    subscription.send(SAMPLES["01"])
    assert subscription.wait_for_change(version, 60) > version


def test_the_history_is_bounded(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is left open does not grow without limit."""
    monkeypatch.setattr(module, "MAX_HISTORY", 3)
    for _ in range(5):
        subscription.send(SAMPLES["01"])
    assert [delivery.number for delivery in subscription.deliveries] == [5, 4, 3]
