"""From Pub/Sub's emulator through the function to Klaviyo, and to the dead-letter topic where that can't be."""

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
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Post:
    """A topic, and a dead-letter topic with a subscription to pull from."""

    emulator: Emulator
    topic: str
    dead: str

    def environment(self, sandbox: Sandbox, **more: str) -> dict[str, str]:
        """The environment of a function whose dead letters go here."""
        topic = {"DEAD_LETTER_TOPIC": self.emulator.topic(self.dead)}
        return {**sandbox.environment, **ENVIRONMENT, **self.emulator.environment, **topic, **more}

    def publish(self, *deliveries: Json) -> None:
        """Publish deliveries to the topic, as commercetools does."""
        self.emulator.publish(self.topic, [json.dumps(delivery).encode() for delivery in deliveries])

    def subscribe(self, function: Function, *, dead_letters: bool = False) -> str:
        """Push the topic's messages to a function; the subscription's name."""
        name = f"{self.topic}-push"
        url = f"{function.url}/{self.emulator.topic(self.topic)}"
        self.emulator.create_subscription(
            name, self.topic, push_to=url, dead_letters_to=self.dead if dead_letters else None
        )
        return name

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters that came since the last look."""
        return self.emulator.pull(f"{self.dead}-pull")

    def await_letters(self) -> list[dict[str, Any]]:
        """The first dead letters that come."""
        end = time.monotonic() + _PATIENCE
        while not (letters := self.letters()):
            assert time.monotonic() < end, "no letter came"
            time.sleep(0.05)
        return letters


@pytest.fixture
def post(emulator: Emulator) -> Iterator[Post]:
    """Fresh topics; afterwards they are deleted with their subscriptions, so that nothing is pushed any more."""
    number = next(_numbers)
    made = Post(emulator, f"shop-{number}", f"shop-dead-{number}")
    for topic in (made.topic, made.dead):
        emulator.create_topic(topic)
    emulator.create_subscription(f"{made.dead}-pull", made.dead)
    yield made
    emulator.remove(f"{made.topic}-push", f"{made.dead}-pull")


def _eventually(holds: Callable[[], object], seconds: float = _PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("target", ["sync_push", "sync_event"])
def test_a_message_comes_through_as_pubsub_sends_it(sandbox: Sandbox, post: Post, target: str) -> None:
    """Both entry points take the emulator's push, and acknowledge it: it comes once."""
    sandbox.commercetools.put("customers", customer("customer-1"))
    with running_function(post.environment(sandbox), target) as function:
        post.subscribe(function)
        post.publish(message("CustomerCreated", "customer", "customer-1"))
        _eventually(lambda: sandbox.klaviyo.state()["profiles"])
        time.sleep(1.5)  # a refused push comes again after a second
        assert [line["outcome"] for line in function.lines if "outcome" in line] == ["synced"]
    assert [profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]] == ["customer-1"]


@pytest.mark.parametrize("target", ["sync_push", "sync_event"])
def test_poison_is_dead_lettered_with_its_data(sandbox: Sandbox, post: Post, target: str) -> None:
    """The original bytes and what is known of the failure are in the topic; the message does not come again."""
    poison = b'\xff\x00 {"resource": no JSON'
    with running_function(post.environment(sandbox), target) as function:
        post.subscribe(function)
        (message_id,) = post.emulator.publish(post.topic, [poison])
        letters = post.await_letters()
        assert function.outcome(message_id)["outcome"] == "dead-lettered"
        time.sleep(1.5)
        assert post.letters() == []
    assert [letter["data"] for letter in letters] == [poison]
    error = "not_json UnicodeDecodeError"
    assert letters[0]["attributes"] == {"reason": "not_json", "error": error, "message_id": message_id}


@pytest.mark.usefixtures("buyer")
def test_a_letter_says_what_is_known_of_the_failure(sandbox: Sandbox, post: Post) -> None:
    """Every attribute of the design, the error cut to 512 bytes; published before the push is acknowledged."""
    sandbox.klaviyo.fail("/api/events", status=400, body=_refusal("ü" * 600))
    data = json.dumps(message("OrderCreated", "order", "order-1", order=order()), ensure_ascii=False).encode()
    with running_function(post.environment(sandbox)) as function:
        status = function.push(data, "7301", attempt=4)
        (letter,) = post.letters()
    assert status == ACKNOWLEDGED
    assert letter["data"] == data
    attributes = dict(letter["attributes"])
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
    error = {"id": "1", "status": 400, "code": "invalid", "title": "Invalid input.", "detail": "Not for a letter."}
    return {"errors": [{**error, "source": {"pointer": f"/data/{pointer}"}}]}


def test_a_letter_that_is_not_published_keeps_the_message(sandbox: Sandbox, post: Post) -> None:
    """A dead-letter topic that does not exist: the push is refused within seconds, and Pub/Sub brings it again."""
    environment = post.environment(sandbox, DEAD_LETTER_TOPIC=post.emulator.topic("no-such-topic"))
    with running_function(environment) as function:
        started = time.monotonic()
        assert function.push(b"poison", "1") == REFUSED
        assert time.monotonic() - started < 8
        post.subscribe(function)
        post.emulator.publish(post.topic, [b"poison"])
        _eventually(lambda: _outcomes(function)["retried"] >= 3)
    assert set(_outcomes(function)) == {"retried"}
    assert {line["code"] for line in function.lines if "letter" in line} == {"NotFound"}


def test_what_keeps_failing_is_forwarded_after_its_attempts(sandbox: Sandbox, post: Post) -> None:
    """The subscription's own policy: five pushes, then the dead-letter topic, with the data as it was."""
    sandbox.klaviyo.fail("/api/", status=500)
    sandbox.commercetools.put("customers", customer("customer-1"))
    created = message("CustomerCreated", "customer", "customer-1")
    with running_function(post.environment(sandbox)) as function:
        post.subscribe(function, dead_letters=True)
        post.publish(created)
        letters = post.await_letters()
        time.sleep(1.5)
        assert _outcomes(function) == {"retried": 5}
    assert [json.loads(letter["data"]) for letter in letters] == [created]
    assert letters[0]["attributes"]["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


@pytest.mark.timeout(150)
def test_nothing_is_lost_when_the_function_is_killed(sandbox: Sandbox, post: Post) -> None:
    """Kill -9 in the middle of 200 orders: after a restart every event is there, and none twice."""
    orders = [
        order(f"order-{number}", lines=[line_item(number)], customerId=None, customerEmail=f"guest-{number % 7}@e.com")
        for number in range(MESSAGES)
    ]
    with running_function(post.environment(sandbox)) as function:
        subscription = post.subscribe(function)
        post.publish(*(message("OrderCreated", "order", one["id"], order=one) for one in orders))
        _eventually(lambda: len(sandbox.klaviyo.state()["events"]) > MESSAGES // 2)
        _kill(function)
    before = len(sandbox.klaviyo.state()["events"])
    assert before < 2 * MESSAGES, "it was not in the middle"
    with running_function(post.environment(sandbox)) as function:
        post.emulator.push_to(subscription, function.url)
        _eventually(lambda: len(sandbox.klaviyo.state()["events"]) >= 2 * MESSAGES, 90)
        time.sleep(1.5)
    events = Counter((event["metric"], event["unique_id"]) for event in sandbox.klaviyo.state()["events"])
    assert set(events) == {("Placed Order", one["id"]) for one in orders} | {
        ("Ordered Product", one["lineItems"][0]["id"]) for one in orders
    }
    assert set(events.values()) == {1}
    assert post.letters() == []


def _outcomes(function: Function) -> Counter[str]:
    return Counter(line["outcome"] for line in function.lines if "outcome" in line)


def _kill(function: Function) -> None:
    """End the server and its workers at once: nobody finishes anything."""
    server = function.process.pid
    workers = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
    assert workers
    for process in (server, *map(int, workers)):
        os.kill(process, signal.SIGKILL)
    function.process.wait()
