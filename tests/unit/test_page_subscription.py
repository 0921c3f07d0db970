"""The page's subscription: order, redelivery, giving up, starting over. The function here only says what it is told."""

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
class Told:
    """In place of the function: answers 503 as often as it is told to."""

    refusals: int = 0
    starts: int = 0
    pushed: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    _line: dict[str, Any] = field(default_factory=dict)

    def push(self, _data: bytes, message_id: str, attempt: int) -> int:
        """Acknowledge, or refuse."""
        self.pushed.append(message_id)
        self.attempts.append(attempt)
        is_refused = self.refusals > 0
        self.refusals -= is_refused
        outcome = {"outcome": "retried", "reason": "klaviyo_error", "status": 503} if is_refused else {}
        self._line = {"outcome": "synced", "resource": "customer/c1", "type": "CustomerCreated", **outcome}
        return 503 if is_refused else 204

    def outcome(self, _message_id: str) -> dict[str, Any]:
        """The log line of what was pushed last."""
        return self._line


SAMPLES = {sample.file.split("-", 1)[0]: Message.from_sample(sample) for sample in samples()}


@pytest.fixture
def told() -> Told:
    """What the function answers."""
    return Told()


@pytest.fixture
def subscription(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subscription]:
    """A running one, that delivers again without waiting long."""
    monkeypatch.setattr(module, "_MIN_BACKOFF", 0.01)
    monkeypatch.setattr(module, "_POLL_INTERVAL", 0.005)

    @contextmanager
    def start() -> Iterator[Function]:
        told.starts += 1
        yield cast("Function", told)

    with sandbox.start(documents=DOCUMENTS) as running:
        both = Sandbox(sandbox.Control(running.commercetools.url), sandbox.Control(running.klaviyo.url))
        with Subscription(both, start) as it:
            yield it


def _settled(subscription: Subscription, count: int) -> list[Delivery]:
    """All deliveries, in order, once none is waiting."""
    return _await(
        lambda: [*reversed(subscription.deliveries)],
        lambda found: len(found) == count and not any(delivery.is_waiting for delivery in found),
    )


def _await(look: Callable[[], Found], is_there: Callable[[Found], bool]) -> Found:
    end = time.monotonic() + 10
    while not is_there(found := look()):
        assert time.monotonic() < end, f"still {found}"
        time.sleep(0.005)
    return found


def test_samples_are_delivered_in_order(subscription: Subscription, told: Told) -> None:
    """One after the other, each with a message id of its own; the change that belongs to one is made before."""
    for number in ("13", "15"):
        subscription.send(SAMPLES[number])
    first, second = _settled(subscription, 2)
    assert (first.number, second.number) == (1, 2)
    assert len(set(told.pushed)) == 2
    changed = subscription.sandbox.commercetools.document("customers", "c1000000-0000-4000-8000-000000000001")
    assert (
        changed["version"] == json.loads((SAMPLES_FOLDER / "changes/customer-mira-moved.json").read_bytes())["version"]
    )
    assert (first.resource, first.type, first.attempts[0].reason) == ("customer/c1", "CustomerCreated", "")


def test_twice_is_one_message_delivered_twice(subscription: Subscription, told: Told) -> None:
    """Pub/Sub delivers at least once: the same message id."""
    subscription.send(SAMPLES["13"], times=2)
    first, second = _settled(subscription, 2)
    assert (first.repeated, second.repeated) == (False, True)
    assert len(told.pushed) == 2
    assert len(set(told.pushed)) == 1


def test_a_refused_message_is_delivered_again(subscription: Subscription, told: Told) -> None:
    """Until it is acknowledged; both attempts are kept."""
    told.refusals = 1
    subscription.send(SAMPLES["13"])
    (delivery,) = _settled(subscription, 1)
    assert [attempt.outcome for attempt in delivery.attempts] == ["retried", "synced"]
    assert delivery.attempts[0].reason == "klaviyo_error"
    assert told.attempts == [1, 2]


def test_the_pause_is_as_long_as_pubsubs_and_can_be_skipped(
    subscription: Subscription, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds, then twenty; a message that waits for nothing has nothing to skip."""
    monkeypatch.setattr(module, "_MIN_BACKOFF", 10.0)
    told.refusals = 2
    began = time.time()
    subscription.send(SAMPLES["13"])
    for pause in (10, 20):
        due = _await(lambda: subscription.deliveries[0].due or 0, lambda found: found > time.time() + 1)
        assert due >= began + pause
        assert subscription.deliver_now(1)
    (delivery,) = _settled(subscription, 1)
    assert delivery.outcome == "synced"
    assert not subscription.deliver_now(delivery.number)
    assert not subscription.deliver_now(99)


def test_a_message_is_given_up_after_five_attempts(subscription: Subscription, told: Told) -> None:
    """As a subscription with a dead-letter policy does."""
    told.refusals = 99
    subscription.send(SAMPLES["13"])
    (delivery,) = _settled(subscription, 1)
    assert delivery.dead_letter is not None
    assert delivery.dead_letter.forwarded
    assert delivery.outcome == "dead-lettered"
    assert len(delivery.attempts) == MAX_DELIVERY_ATTEMPTS
    assert subscription.dead_letters == [delivery]


def test_a_letter_is_replayed_once(subscription: Subscription, told: Told) -> None:
    """As a message of its own; the letter leaves the lane."""
    told.refusals = MAX_DELIVERY_ATTEMPTS
    subscription.send(SAMPLES["13"])
    (dead,) = _settled(subscription, 1)
    assert subscription.replay(dead.number) == 2
    assert subscription.replay(dead.number) == 0
    assert subscription.replay(99) == 0
    _, replayed = _settled(subscription, 2)
    assert replayed.outcome == "synced"
    assert replayed.message == dead.message
    assert subscription.dead_letters == []
    assert told.pushed[0] != told.pushed[-1]


def test_a_letter_of_the_function_has_its_reason(
    subscription: Subscription, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it published to the topic while it had the message."""

    def push(self: Told, _data: bytes, message_id: str, _attempt: int) -> int:
        subscription.record_dead_letter(message_id, {"reason": "klaviyo_refused", "error": "Refused invalid /data"})
        self._line = {"outcome": "dead-lettered", "reason": "klaviyo_refused"}
        return 204

    monkeypatch.setattr(Told, "push", push)
    subscription.send(SAMPLES["13"])
    (delivery,) = _settled(subscription, 1)
    assert delivery.dead_letter is not None
    assert (delivery.dead_letter.reason, delivery.dead_letter.error) == ("klaviyo_refused", "Refused invalid /data")
    assert not delivery.dead_letter.forwarded
    assert told.starts == 1


def test_a_function_that_is_gone_counts_as_a_refusal(
    subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page goes on."""

    def unreachable(*_: object) -> int:
        raise requests.ConnectionError

    monkeypatch.setattr(Told, "push", unreachable)
    subscription.send(SAMPLES["01"])
    (delivery,) = _settled(subscription, 1)
    assert delivery.dead_letter is not None
    assert delivery.attempts[0].reason == "no_answer"


def test_a_change_that_was_made_before_is_no_trouble(subscription: Subscription) -> None:
    """A sample whose document is deleted first can be sent a second time."""
    subscription.send(SAMPLES["12"])
    subscription.send(SAMPLES["12"])
    assert [delivery.attempts[0].outcome for delivery in _settled(subscription, 2)] == ["synced", "synced"]


def test_a_task_is_done_between_two_messages(subscription: Subscription, told: Told) -> None:
    """It says what came of it, or what went wrong; and whoever shows the page is told."""
    version = subscription.version
    assert subscription.submit(lambda: 7).result(10) == 7
    assert subscription.wait_for_change(version, 10) > version
    assert isinstance(subscription.submit(lambda: int("")).exception(10), ValueError)
    generation = subscription.generation
    subscription.send(SAMPLES["13"])
    _settled(subscription, 1)
    subscription.submit(subscription.clear_history).result(10)
    subscription.submit(subscription.restart).result(10)
    assert subscription.deliveries == []
    assert subscription.generation != generation
    assert told.starts == 2


def test_what_a_message_changed_is_kept(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that the function writes is new; of the same one later only what differs."""
    control = subscription.sandbox.klaviyo

    def push(self: Told, data: bytes, _message_id: str, _attempt: int) -> int:
        self._line = {"outcome": "synced"}
        with klaviyo(control.url) as call:
            attributes = {"external_id": "c1", "first_name": data.decode()}
            call("POST", "/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})
        return 204

    monkeypatch.setattr(Told, "push", push)
    for name in (b"Mira", b"Nora"):
        subscription.send(Message("a customer", "", name))
    first, second = _settled(subscription, 2)
    (own_id,) = (profile["id"] for profile in control.state()["profiles"])
    assert first.changes == {("profile", own_id, ""): ""}
    assert second.changes == {("profile", own_id, "first_name"): "Mira"}


def test_every_change_can_be_waited_for(subscription: Subscription) -> None:
    """Whoever shows the page is told at once, and not told when there is nothing."""
    version = subscription.version
    assert subscription.wait_for_change(version, 0.01) == version
    subscription.send(SAMPLES["01"])
    assert subscription.wait_for_change(version, 10) > version


def test_the_history_has_an_end(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is left open does not grow for ever."""
    monkeypatch.setattr(module, "MAX_HISTORY", 3)
    for _ in range(5):
        subscription.send(SAMPLES["01"])
    assert [delivery.number for delivery in subscription.deliveries] == [5, 4, 3]
