"""Messages delivered as a Pub/Sub push subscription would: in order, and again when they are refused."""

import contextlib
import itertools
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Any, Self, TypeVar

import click
import requests

from commands.page.delivery import Attempt, Call, Delivery, Letter, Message
from commands.page.reads import answers
from commands.page.state_diff import changed, later
from commands.processes import Function, Sandbox
from sandbox import ControlError

ATTEMPTS = 5
"""Deliveries of one message, before the dead-letter policy takes it; a deployed subscription has 100."""
LONGEST_HISTORY = 200
_FIRST_NOT_OK = 300
_FIRST_PAUSE = 10.0
_LONGEST_PAUSE = 600.0
"""Seconds: the retry policy of the deployed subscription."""
_TICK = 0.5

Result = TypeVar("Result")


class Subscription:
    """Delivers messages from a thread of its own and keeps the history. A context manager.

    `version` counts what there is to see, `wait_for_change` waits for more; `era` is another one after each start.
    """

    def __init__(self, sandbox: Sandbox, start_function: Callable[[], AbstractContextManager[Function]]) -> None:
        self.sandbox = sandbox
        self.era = secrets.token_hex(4)
        self.version = 1
        self.trouble = ""
        self._start_function = start_function
        self._running = ExitStack()
        self._function: Function | None = None
        self._deliveries: list[Delivery] = []
        self._letters: dict[str, Mapping[str, str]] = {}
        self._held: dict[str, Any] | None = None
        self._tasks: deque[Callable[[], None]] = deque()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._ended = False
        self._worker = threading.Thread(target=self._work, name="subscription")

    def __enter__(self) -> Self:
        self._function = self._running.enter_context(self._start_function())
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._worker.join()
        self._running.close()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    @property
    def url(self) -> str:
        """Where the function takes pushes; empty when it does not run."""
        return self._function.url if self._function else ""

    @property
    def deliveries(self) -> list[Delivery]:
        """All that was sent since the start, the latest first."""
        with self._changed:
            return self._deliveries[::-1]

    @property
    def letters(self) -> list[Delivery]:
        """The deliveries that lie in the dead-letter topic, the latest first."""
        return [delivery for delivery in self.deliveries if delivery.letter and not delivery.replayed_as]

    def delivery(self, number: int | None) -> Delivery | None:
        """The delivery of this number; None when there is none."""
        return next((delivery for delivery in self.deliveries if delivery.number == number), None)

    def send(self, message: Message, times: int = 1) -> int:
        """Queue a message, and the same one again as Pub/Sub may; the number of the first delivery."""
        with self._changed:
            first = 0
            for turn in range(times):
                now = datetime.now().astimezone()
                delivery = Delivery(next(self._numbers), message, now, repeated=turn > 0, due=time.time())
                first = first or delivery.number
                self._deliveries.append(delivery)
            del self._deliveries[:-LONGEST_HISTORY]
            self.note_change()
        return first

    def deliver_now(self, number: int) -> bool:
        """Skip the pause before the next attempt; False when the message waits for none."""
        with self._changed:
            delivery = self.delivery(number)
            if not delivery or delivery.due is None:
                return False
            delivery.due = time.time()
            self.note_change()
        return True

    def replay(self, number: int) -> int:
        """Publish the original message of a letter again; the number of its delivery, 0 when there is no letter."""
        with self._changed:
            delivery = self.delivery(number)
            if not delivery or not delivery.letter or delivery.replayed_as:
                return 0
            delivery.replayed_as = self.send(delivery.message)
            return delivery.replayed_as

    def take_letter(self, message_id: str, attributes: Mapping[str, str]) -> None:
        """What the dead-letter topic was given."""
        self._letters[message_id] = attributes

    def do(self, task: Callable[[], Result]) -> "Future[Result]":
        """Have something done between two deliveries, before those that wait."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(task())
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                future.set_exception(error)
            self._held = None
            self.note_change()

        with self._changed:
            self._tasks.append(run)
            self._changed.notify_all()
        return future

    def restart(self) -> None:
        """Start the function anew; a task. It remembers what it wrote, and reads its settings once."""
        self._running.close()
        self._function, self.trouble = None, ""
        try:
            self._function = self._running.enter_context(self._start_function())
        except click.ClickException as error:
            self.trouble = error.message

    def forget(self) -> None:
        """Forget all deliveries; a task."""
        with self._changed:
            self._deliveries.clear()
            self._letters.clear()
            self._numbers = itertools.count(1)
            self.era = secrets.token_hex(4)

    def wait_for_change(self, version: int, seconds: float) -> int:
        """The version, once it is another one or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.version != version, seconds)
            return self.version

    def note_change(self) -> None:
        """There is something else to see."""
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._ended or self._tasks or self._due()):
                    self._changed.wait(_TICK if self._is_waiting() else None)
                if self._ended:
                    return
                task = self._tasks.popleft() if self._tasks else None
                delivery = None if task else self._due()
                if delivery:
                    delivery.due = None
            if task:
                task()
            elif delivery:
                self._deliver(delivery)

    def _is_waiting(self) -> bool:
        return any(delivery.due is not None for delivery in self._deliveries)

    def _due(self) -> Delivery | None:
        """The next delivery whose time has come."""
        waiting = [(one.due, one.number, one) for one in self._deliveries if one.due is not None]
        first = min(waiting, default=None)
        return first[2] if first and first[0] <= time.time() else None

    def _deliver(self, delivery: Delivery) -> None:
        sample = delivery.message.sample
        if sample and not delivery.attempts and not delivery.repeated:
            # What is to be deleted may be gone, when a sample is sent a second time.
            with contextlib.suppress(ControlError):
                sample.prepare(self.sandbox.commercetools)
        before = self._held or self.sandbox.klaviyo.state()
        message_id = f"{delivery.message.name} {delivery.number - delivery.repeated}"
        attempt = self._attempt(delivery, message_id)
        self._held = self.sandbox.klaviyo.state()
        with self._changed:
            delivery.attempts.append(attempt)
            delivery.changes = later(delivery.changes, changed(before, self._held))
            delivery.letter = self._letter(delivery, attempt, message_id)
            if not attempt.acknowledged and not delivery.letter:
                pause = min(_FIRST_PAUSE * 2 ** (len(delivery.attempts) - 1), _LONGEST_PAUSE)
                delivery.due = time.time() + pause
            self.note_change()

    def _letter(self, delivery: Delivery, attempt: Attempt, message_id: str) -> Letter | None:
        now = datetime.now().astimezone()
        if told := self._letters.pop(message_id, None):
            return Letter(now, told.get("reason", ""), told.get("error", ""))
        if not attempt.acknowledged and len(delivery.attempts) >= ATTEMPTS:
            return Letter(now, attempt.reason, forwarded=True)
        return None

    def _attempt(self, delivery: Delivery, message_id: str) -> Attempt:
        shop, klaviyo = self.sandbox.commercetools, self.sandbox.klaviyo
        shop.forget_requests()
        klaviyo.forget_requests()
        at, acknowledged = datetime.now().astimezone(), False
        line: Mapping[str, Any] = {"outcome": "retried", "reason": "no_answer"}
        if self._function:
            with contextlib.suppress(requests.RequestException, queue.Empty):
                status = self._function.push(delivery.message.data, message_id, len(delivery.attempts) + 1)
                acknowledged = status < _FIRST_NOT_OK
                line = self._function.outcome(message_id)
        read = shop.requests(kind="api")
        calls = [Call("commercetools", one) for one in read] + [
            Call("Klaviyo", one) for one in klaviyo.requests(kind="api")
        ]
        calls.sort(key=lambda call: call.record["at"])
        return Attempt(at, acknowledged, line, answers(shop.url, read), calls)
