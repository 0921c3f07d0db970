"""The function behind the Pub/Sub emulator: messages reach Klaviyo, or the dead-letter topic."""

import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands.emulator import Emulator
from commands.processes import Function, Sandbox, running_function
from sandbox.samples import ENVIRONMENT
from tests.functional.conftest import ACKNOWLEDGED, REFUSED
from tests.functional.documents import Json, customer, line_item, message, order

pytestmark = pytest.mark.xdist_group("emulator")

_numbers = itertools.count(1)
MESSAGES = 200
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Topics:
    """A topic, and a dead-letter topic with a subscription to pull from."""

    emulator: Emulator
    topic: str
    dead_letter_topic: str

    def environment(self, sandbox: Sandbox, **more: str) -> dict[str, str]:
        """The environment of a function that publishes its dead letters to the dead-letter topic."""
        topic = {"DEAD_LETTER_TOPIC": self.emulator.topic(self.dead_letter_topic)}
        return {**sandbox.environment, **ENVIRONMENT, **self.emulator.environment, **topic, **more}

    def publish(self, *deliveries: Json) -> None:
        """Publish deliveries to the topic, as commercetools does."""
        self.emulator.publish(self.topic, [json.dumps(delivery).encode() for delivery in deliveries])

    def subscribe(self, function: Function, *, dead_letters: bool = False) -> str:
        """Push the topic's messages to a function; return the subscription's name."""
        name = f"{self.topic}-push"
        url = f"{function.url}/{self.emulator.topic(self.topic)}"
        self.emulator.create_subscription(
            name, self.topic, push_to=url, dead_letters_to=self.dead_letter_topic if dead_letters else None
        )
        return name

    def new_dead_letters(self) -> list[dict[str, Any]]:
        """Dead letters published since the last call."""
        return self.emulator.pull(f"{self.dead_letter_topic}-pull")

    def await_dead_letters(self) -> list[dict[str, Any]]:
        """Wait for dead letters, and return the first ones."""
        end = time.monotonic() + _TIMEOUT
        while not (dead_letters := self.new_dead_letters()):
            assert time.monotonic() < end, "no dead letter arrived"
            time.sleep(0.05)
        return dead_letters


@pytest.fixture
def topics(emulator: Emulator) -> Iterator[Topics]:
    """New topics. Afterwards they are deleted with their subscriptions, so that nothing is pushed any more."""
    number = next(_numbers)
    created = Topics(emulator, f"shop-{number}", f"shop-dead-{number}")
    for topic in (created.topic, created.dead_letter_topic):
        emulator.create_topic(topic)
    emulator.create_subscription(f"{created.dead_letter_topic}-pull", created.dead_letter_topic)
    yield created
    emulator.remove(f"{created.topic}-push", f"{created.dead_letter_topic}-pull")


def _wait_until(condition: Callable[[], object], seconds: float = _TIMEOUT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not true within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("target", ["sync_push", "sync_event"])
def test_a_push_by_the_emulator_is_synced_once(sandbox: Sandbox, topics: Topics, target: str) -> None:
    """Both entry points accept the emulator's push and acknowledge it, so it is not redelivered."""
    sandbox.commercetools.put("customers", customer("customer-1"))
    with running_function(topics.environment(sandbox), target) as function:
        topics.subscribe(function)
        topics.publish(message("CustomerCreated", "customer", "customer-1"))
        _wait_until(lambda: sandbox.klaviyo.state()["profiles"])
        time.sleep(1.5)  # a refused push would be redelivered after a second
        assert [line["outcome"] for line in function.lines if "outcome" in line] == ["synced"]
    assert [profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]] == ["customer-1"]


@pytest.mark.parametrize("target", ["sync_push", "sync_event"])
def test_poison_is_dead_lettered_with_its_data(sandbox: Sandbox, topics: Topics, target: str) -> None:
    """The dead letter has the original bytes and the reason, and the message is not redelivered."""
    poison = b'\xff\x00 {"resource": no JSON'
    with running_function(topics.environment(sandbox), target) as function:
        topics.subscribe(function)
        (message_id,) = topics.emulator.publish(topics.topic, [poison])
        dead_letters = topics.await_dead_letters()
        assert function.outcome(message_id)["outcome"] == "dead-lettered"
        time.sleep(1.5)
        assert topics.new_dead_letters() == []
    assert [dead_letter["data"] for dead_letter in dead_letters] == [poison]
    error = "not_json UnicodeDecodeError"
    assert dead_letters[0]["attributes"] == {"reason": "not_json", "error": error, "message_id": message_id}


@pytest.mark.usefixtures("buyer")
def test_a_dead_letter_has_every_attribute(sandbox: Sandbox, topics: Topics) -> None:
    """A dead letter has every attribute, `error` cut to 512 bytes. It is published before the acknowledgement."""
    sandbox.klaviyo.fail("/api/events", status=400, body=_refusal("ü" * 600))
    data = json.dumps(message("OrderCreated", "order", "order-1", order=order()), ensure_ascii=False).encode()
    with running_function(topics.environment(sandbox)) as function:
        status = function.push(data, "7301", attempt=4)
        (dead_letter,) = topics.new_dead_letters()
    assert status == ACKNOWLEDGED
    assert dead_letter["data"] == data
    attributes = dict(dead_letter["attributes"])
    error = attributes.pop("error")
    assert error.startswith("Refused invalid Placed Order order-1 /data/üü")
    assert 510 < len(error.encode()) <= 512
    assert attributes == {
        "reason": "klaviyo_refused",
        "status": "400",
        "resource": "order/order-1",
        "type": "OrderCreated",
        "message_id": "7301",
        "attempt": "4",
    }


def _refusal(pointer: str) -> Json:
    error = {"id": "1", "status": 400, "code": "invalid", "title": "Invalid input.", "detail": "Not for a dead letter."}
    return {"errors": [{**error, "source": {"pointer": f"/data/{pointer}"}}]}


def test_a_message_stays_if_its_dead_letter_is_not_published(sandbox: Sandbox, topics: Topics) -> None:
    """If the dead-letter topic does not exist, the push is refused within seconds, and Pub/Sub redelivers it."""
    environment = topics.environment(sandbox, DEAD_LETTER_TOPIC=topics.emulator.topic("no-such-topic"))
    with running_function(environment) as function:
        started = time.monotonic()
        assert function.push(b"poison", "1") == REFUSED
        assert time.monotonic() - started < 8
        topics.subscribe(function)
        topics.emulator.publish(topics.topic, [b"poison"])
        _wait_until(lambda: _outcomes(function)["retried"] >= 3)
    assert set(_outcomes(function)) == {"retried"}
    assert {line["code"] for line in function.lines if "letter" in line} == {"NotFound"}


def test_the_dead_letter_policy_forwards_after_five_attempts(sandbox: Sandbox, topics: Topics) -> None:
    """After five pushes the subscription's own policy forwards the message to the dead-letter topic, unchanged."""
    sandbox.klaviyo.fail("/api/", status=500)
    sandbox.commercetools.put("customers", customer("customer-1"))
    created = message("CustomerCreated", "customer", "customer-1")
    with running_function(topics.environment(sandbox)) as function:
        topics.subscribe(function, dead_letters=True)
        topics.publish(created)
        dead_letters = topics.await_dead_letters()
        time.sleep(1.5)
        assert _outcomes(function) == {"retried": 5}
    assert [json.loads(dead_letter["data"]) for dead_letter in dead_letters] == [created]
    assert dead_letters[0]["attributes"]["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


@pytest.mark.timeout(150)
def test_nothing_is_lost_when_the_function_is_killed(sandbox: Sandbox, topics: Topics) -> None:
    """After a kill -9 in the middle of 200 orders and a restart, every event exists exactly once."""
    orders = [
        order(f"order-{number}", lines=[line_item(number)], customerId=None, customerEmail=f"guest-{number % 7}@e.com")
        for number in range(MESSAGES)
    ]
    with running_function(topics.environment(sandbox)) as function:
        subscription = topics.subscribe(function)
        topics.publish(*(message("OrderCreated", "order", one["id"], order=one) for one in orders))
        _wait_until(lambda: len(sandbox.klaviyo.state()["events"]) > MESSAGES // 2)
        _kill(function)
    before = len(sandbox.klaviyo.state()["events"])
    assert before < 2 * MESSAGES, "all orders were synced before the kill"
    with running_function(topics.environment(sandbox)) as function:
        topics.emulator.push_to(subscription, function.url)
        _wait_until(lambda: len(sandbox.klaviyo.state()["events"]) >= 2 * MESSAGES, 90)
        time.sleep(1.5)
    events = Counter((event["metric"], event["unique_id"]) for event in sandbox.klaviyo.state()["events"])
    assert set(events) == {("Placed Order", one["id"]) for one in orders} | {
        ("Ordered Product", one["lineItems"][0]["id"]) for one in orders
    }
    assert set(events.values()) == {1}
    assert topics.new_dead_letters() == []


def _outcomes(function: Function) -> Counter[str]:
    return Counter(line["outcome"] for line in function.lines if "outcome" in line)


def _kill(function: Function) -> None:
    """Kill the server and its workers with SIGKILL, so that nothing in flight is finished."""
    server = function.process.pid
    workers = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
    assert workers
    for process in (server, *map(int, workers)):
        os.kill(process, signal.SIGKILL)
    function.process.wait()
