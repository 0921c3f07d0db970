"""Deliver messages as a Pub/Sub push subscription would, with redelivery and a dead-letter policy, but one by one."""

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

from commands.page.delivery import Attempt, Call, DeadLetter, Delivery, Message
from commands.page.reads import repeat_reads
from commands.page.state_diff import diff, merged
from commands.processes import Function, Sandbox
from sandbox import ControlError

MAX_DELIVERY_ATTEMPTS = 5
"""Delivery attempts before the dead-letter policy applies. A deployed subscription has 100."""
MAX_HISTORY = 200
"""Deliveries kept; older ones are dropped."""
_SUCCESS_BELOW = 300
_MIN_BACKOFF = 10.0
_MAX_BACKOFF = 600.0
"""Seconds. Both as in the retry policy of the deployed subscription."""
_POLL_INTERVAL = 0.5

Result = TypeVar("Result")


class Subscription:
    """Delivers messages from its own thread and keeps their history. A context manager.

    `version` goes up with every change that the page can show; `wait_for_change` waits for the next one. `generation`
    is a random value, new for each process and each cleared history, so that browsers reuse nothing cached before.
    `start_error` says why the function did not restart, or is empty.

    `_last_state` is Klaviyo's state after the last delivery, or None if a task may have changed it since.
    """

    def __init__(self, sandbox: Sandbox, start_function: Callable[[], AbstractContextManager[Function]]) -> None:
        self.sandbox = sandbox
        self.generation = secrets.token_hex(4)
        self.version = 1
        self.start_error = ""
        self._start_function = start_function
        self._exit_stack = ExitStack()
        self._function: Function | None = None
        self._deliveries: list[Delivery] = []
        self._published_dead_letters: dict[str, Mapping[str, str]] = {}
        self._last_state: dict[str, Any] | None = None
        self._tasks: deque[Callable[[], None]] = deque()
        self._numbers = itertools.count(1)
        self._condition = threading.Condition()
        self._is_stopped = False
        self._worker = threading.Thread(target=self._work, name="subscription")

    def __enter__(self) -> Self:
        self._function = self._exit_stack.enter_context(self._start_function())
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()
        self._worker.join()
        self._exit_stack.close()

    @property
    def is_stopped(self) -> bool:
        """True once the subscription delivers nothing more."""
        return self._is_stopped

    @property
    def url(self) -> str:
        """The function's push endpoint; empty if the function is not running."""
        return self._function.url if self._function else ""

    @property
    def deliveries(self) -> list[Delivery]:
        """The history, latest first."""
        with self._condition:
            return self._deliveries[::-1]

    @property
    def dead_letters(self) -> list[Delivery]:
        """The deliveries that became dead letters and were not replayed yet, latest first."""
        return [delivery for delivery in self.deliveries if delivery.dead_letter and not delivery.replayed_as]

    def delivery(self, number: int | None) -> Delivery | None:
        """The delivery with this number, or None."""
        return next((delivery for delivery in self.deliveries if delivery.number == number), None)

    def send(self, message: Message, times: int = 1) -> int:
        """Queue a message and return its delivery number.

        With `times` above 1, queue duplicates with the same message id too, as Pub/Sub may deliver them; the number is
        that of the first.
        """
        with self._condition:
            first = 0
            for turn in range(times):
                now = datetime.now().astimezone()
                delivery = Delivery(next(self._numbers), message, now, repeated=turn > 0, due=time.time())
                first = first or delivery.number
                self._deliveries.append(delivery)
            del self._deliveries[:-MAX_HISTORY]
            self.notify_change()
        return first

    def deliver_now(self, number: int) -> bool:
        """Skip the backoff before the next attempt; False if the delivery has no attempt pending."""
        with self._condition:
            delivery = self.delivery(number)
            if not delivery or delivery.due is None:
                return False
            delivery.due = time.time()
            self.notify_change()
        return True

    def replay(self, number: int) -> int:
        """Send the original message of a dead letter again; the new delivery's number, or 0 if it is not one."""
        with self._condition:
            delivery = self.delivery(number)
            if not delivery or not delivery.dead_letter or delivery.replayed_as:
                return 0
            delivery.replayed_as = self.send(delivery.message)
            return delivery.replayed_as

    def record_dead_letter(self, message_id: str, attributes: Mapping[str, str]) -> None:
        """Note what the function published to the dead-letter topic while it had this message."""
        self._published_dead_letters[message_id] = attributes

    def submit(self, task: Callable[[], Result]) -> "Future[Result]":
        """Run a task between two deliveries, before any delivery that is due."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(task())
            except Exception as error:  # noqa: BLE001 - the future raises it in the caller
                future.set_exception(error)
            self._last_state = None
            self.notify_change()

        with self._condition:
            self._tasks.append(run)
            self._condition.notify_all()
        return future

    def restart(self) -> None:
        """Restart the function, so that it forgets its own writes and reads its settings. Only within a task."""
        self._exit_stack.close()
        self._function, self.start_error = None, ""
        try:
            self._function = self._exit_stack.enter_context(self._start_function())
        except click.ClickException as error:
            self.start_error = error.message

    def clear_history(self) -> None:
        """Drop all deliveries. Only within a task."""
        with self._condition:
            self._deliveries.clear()
            self._published_dead_letters.clear()
            self._numbers = itertools.count(1)
            self.generation = secrets.token_hex(4)

    def wait_for_change(self, version: int, seconds: float) -> int:
        """Wait until the version differs from this one, or the timeout; return the current version."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_stopped or self.version != version, seconds)
            return self.version

    def notify_change(self) -> None:
        """Raise the version, and wake all threads that wait for a change."""
        with self._condition:
            self.version += 1
            self._condition.notify_all()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not (self._is_stopped or self._tasks or self._next_due()):
                    self._condition.wait(_POLL_INTERVAL if self._has_pending() else None)
                if self._is_stopped:
                    return
                task = self._tasks.popleft() if self._tasks else None
                delivery = None if task else self._next_due()
                if delivery:
                    delivery.due = None
            if task:
                task()
            elif delivery:
                self._deliver(delivery)

    def _has_pending(self) -> bool:
        return any(delivery.due is not None for delivery in self._deliveries)

    def _next_due(self) -> Delivery | None:
        """The delivery whose next attempt is due first; None if none is due yet."""
        pending = [(one.due, one.number, one) for one in self._deliveries if one.due is not None]
        first = min(pending, default=None)
        return first[2] if first and first[0] <= time.time() else None

    def _deliver(self, delivery: Delivery) -> None:
        sample = delivery.message.sample
        if sample and not delivery.attempts and not delivery.repeated:
            # A sample sent for the second time may find the document it deletes already deleted.
            with contextlib.suppress(ControlError):
                sample.prepare(self.sandbox.commercetools)
        before = self._last_state or self.sandbox.klaviyo.state()
        message_id = f"{delivery.message.name} {delivery.number - delivery.repeated}"
        attempt = self._attempt(delivery, message_id)
        self._last_state = self.sandbox.klaviyo.state()
        with self._condition:
            delivery.attempts.append(attempt)
            delivery.changes = merged(delivery.changes, diff(before, self._last_state))
            delivery.dead_letter = self._dead_letter(delivery, attempt, message_id)
            if not attempt.acknowledged and not delivery.dead_letter:
                backoff = min(_MIN_BACKOFF * 2 ** (len(delivery.attempts) - 1), _MAX_BACKOFF)
                delivery.due = time.time() + backoff
            self.notify_change()

    def _dead_letter(self, delivery: Delivery, attempt: Attempt, message_id: str) -> DeadLetter | None:
        now = datetime.now().astimezone()
        if attributes := self._published_dead_letters.pop(message_id, None):
            return DeadLetter(now, attributes.get("reason", ""), attributes.get("error", ""))
        if not attempt.acknowledged and len(delivery.attempts) >= MAX_DELIVERY_ATTEMPTS:
            return DeadLetter(now, attempt.reason, forwarded=True)
        return None

    def _attempt(self, delivery: Delivery, message_id: str) -> Attempt:
        shop, klaviyo = self.sandbox.commercetools, self.sandbox.klaviyo
        shop.forget_requests()
        klaviyo.forget_requests()
        at, acknowledged = datetime.now().astimezone(), False
        log_line: Mapping[str, Any] = {"outcome": "retried", "reason": "no_answer"}
        if self._function:
            with contextlib.suppress(requests.RequestException, queue.Empty):
                status = self._function.push(delivery.message.data, message_id, len(delivery.attempts) + 1)
                acknowledged = status < _SUCCESS_BELOW
                log_line = self._function.outcome(message_id)
        read = shop.requests(kind="api")
        calls = [Call("commercetools", one) for one in read] + [
            Call("Klaviyo", one) for one in klaviyo.requests(kind="api")
        ]
        calls.sort(key=lambda call: call.record["at"])
        return Attempt(at, acknowledged, log_line, repeat_reads(shop.url, read), calls)
