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
from commands.page.subscription import ATTEMPTS, Delivery, Subscription
from commands.page.views import view
from commands.running import Function, Sandbox
from sandbox.samples import DOCUMENTS, samples
from sandbox.samples import SAMPLES as SAMPLES_FOLDER

Found = TypeVar("Found")


@dataclass(slots=True)
class Told:
    """In place of the function: answers 503 as often as it is told to."""

    refusals: int = 0
    starts: int = 0
    pushed: list[str] = field(default_factory=list)
    _line: dict[str, Any] = field(default_factory=dict)

    def push(self, _data: bytes, message_id: str) -> int:
        """Acknowledge, or refuse."""
        self.pushed.append(message_id)
        is_refused = self.refusals > 0
        self.refusals -= is_refused
        outcome = {"outcome": "retried", "reason": "klaviyo_error", "status": 503} if is_refused else {}
        self._line = {"outcome": "synced", "resource": "customer/c1", "type": "CustomerCreated", **outcome}
        return 503 if is_refused else 204

    def outcome(self, _message_id: str) -> dict[str, Any]:
        """The log line of what was pushed last."""
        return self._line


SAMPLES = {sample.file.split("-", 1)[0]: sample for sample in samples()}


@pytest.fixture
def told() -> Told:
    """What the function answers."""
    return Told()


@pytest.fixture
def subscription(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subscription]:
    """A running one, that delivers again without waiting long."""
    monkeypatch.setattr(module, "_PAUSE_BEFORE_REDELIVERY", 0.01)

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
    assert delivery.attempts[0].reason == "klaviyo_error 503"
    assert [step.number for step in view(delivery).attempts] == [1, 2]


def test_a_message_is_given_up_after_five_attempts(subscription: Subscription, told: Told) -> None:
    """As a subscription with a dead-letter policy does."""
    told.refusals = 99
    subscription.send(SAMPLES["13"])
    (delivery,) = _settled(subscription, 1)
    assert delivery.given_up
    assert len(delivery.attempts) == ATTEMPTS


def test_a_function_that_is_gone_counts_as_a_refusal(
    subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page goes on."""

    def unreachable(*_: object) -> int:
        raise requests.ConnectionError

    monkeypatch.setattr(Told, "push", unreachable)
    subscription.send(SAMPLES["01"])
    (delivery,) = _settled(subscription, 1)
    assert delivery.given_up
    assert delivery.attempts[0].reason == "no answer from the function"


def test_a_change_that_was_made_before_is_no_trouble(subscription: Subscription) -> None:
    """A sample whose document is deleted first can be sent a second time."""
    subscription.send(SAMPLES["12"])
    subscription.send(SAMPLES["12"])
    assert [delivery.attempts[0].outcome for delivery in _settled(subscription, 2)] == ["synced", "synced"]


def test_the_failure_can_be_taken_back(subscription: Subscription) -> None:
    """The button is a switch, until the failure has hit."""
    subscription.toggle_failure()
    assert subscription.is_failing
    subscription.toggle_failure()
    assert not subscription.is_failing


def test_starting_over_forgets_everything(subscription: Subscription, told: Told) -> None:
    """Deliveries, changed documents, armed failures; and the function starts anew, as it remembers what it wrote."""
    shop = subscription.sandbox.commercetools
    before = shop.state()["documents"]
    subscription.toggle_failure()
    subscription.send(SAMPLES["12"])
    _settled(subscription, 1)
    era = subscription.era
    assert shop.state()["documents"] != before
    subscription.start_over()
    _await(lambda: subscription.era, lambda now: now != era)
    assert subscription.deliveries == []
    assert shop.state()["documents"] == before
    assert not subscription.is_failing
    assert told.starts == 2


def test_every_change_can_be_waited_for(subscription: Subscription) -> None:
    """Whoever shows the page is told at once, and not told when there is nothing."""
    version = subscription.version
    assert subscription.wait_for_change(version, 0.01) == version
    subscription.send(SAMPLES["01"])
    assert subscription.wait_for_change(version, 10) > version


def test_the_history_has_an_end(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is left open does not grow for ever."""
    monkeypatch.setattr(module, "LONGEST_HISTORY", 3)
    for _ in range(5):
        subscription.send(SAMPLES["01"])
    assert [delivery.number for delivery in subscription.deliveries] == [5, 4, 3]
