"""Samples delivered as a Pub/Sub push subscription would: in order, and again when they are refused."""

import contextlib
import heapq
import itertools
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import click
import requests

from commands.page.reads import Read, answers
from commands.running import Function, Sandbox
from sandbox import ControlError
from sandbox.documents import Documents
from sandbox.samples import DOCUMENTS, Sample

ATTEMPTS = 5
"""Deliveries of one message, before a subscription's dead-letter policy takes it."""
LONGEST_HISTORY = 200
_FIRST_NOT_OK = 300
_PAUSE_BEFORE_REDELIVERY = 1.0
_AN_OUTAGE = {"status": 503, "headers": {"Retry-After": "600"}, "count": 1}
"""Longer than the function waits within a message, which would hide the failure."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One push of a message: what the function said of it, what it read and what it asked of Klaviyo."""

    at: datetime
    acknowledged: bool
    line: Mapping[str, Any]
    reads: Sequence[Read]
    requests: Sequence[Mapping[str, Any]]

    @property
    def outcome(self) -> str:
        """synced, ignored, dead-lettered or retried."""
        return str(self.line["outcome"])

    @property
    def reason(self) -> str:
        """Why, and the status that a backend answered."""
        return " ".join(str(self.line[name]) for name in ("reason", "status") if name in self.line)


@dataclass(slots=True)
class Delivery:
    """One message and its attempts. `repeated`: the same message was delivered before."""

    number: int
    sample: Sample
    at: datetime
    repeated: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    given_up: bool = False

    @property
    def resource(self) -> str:
        """The resource as the function names it; empty before the first attempt."""
        return str(self.attempts[-1].line.get("resource", "")) if self.attempts else ""

    @property
    def type(self) -> str:
        """The message's type; empty before the first attempt."""
        return str(self.attempts[-1].line.get("type", "")) if self.attempts else ""

    @property
    def is_waiting(self) -> bool:
        """Whether another attempt will follow."""
        return not self.given_up and not (self.attempts and self.attempts[-1].acknowledged)


class Subscription:
    """Delivers samples from a thread of its own and keeps the history. A context manager.

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
        self._due: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self._starts_over = False
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
    def deliveries(self) -> list[Delivery]:
        """All that was sent since the start, the latest first."""
        with self._changed:
            return self._deliveries[::-1]

    @property
    def is_failing(self) -> bool:
        """Whether the next call to Klaviyo will fail."""
        return any(rule["count"] is None or rule["hits"] < rule["count"] for rule in self.sandbox.klaviyo.failures())

    def send(self, sample: Sample, times: int = 1) -> None:
        """Queue a message, and the same one again as Pub/Sub may."""
        with self._changed:
            for time_ in range(times):
                delivery = Delivery(next(self._numbers), sample, datetime.now().astimezone(), repeated=time_ > 0)
                self._deliveries.append(delivery)
                self._queue(delivery)
            del self._deliveries[:-LONGEST_HISTORY]
            self._note_change()

    def toggle_failure(self) -> None:
        """Make the next call to Klaviyo fail; or not, if it was about to."""
        if self.is_failing:
            self.sandbox.klaviyo.clear_failures()
        else:
            self.sandbox.klaviyo.fail(**_AN_OUTAGE)  # type: ignore[arg-type] # its fields have several types
        with self._changed:
            self._note_change()

    def start_over(self) -> None:
        """Forget everything: deliveries, what Klaviyo holds, what changed in commercetools."""
        with self._changed:
            self._starts_over = True
            self._changed.notify_all()

    def wait_for_change(self, version: int, seconds: float) -> int:
        """The version, once it is another one or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.version != version, seconds)
            return self.version

    def _note_change(self) -> None:
        self.version += 1
        self._changed.notify_all()

    def _queue(self, delivery: Delivery, pause: float = 0) -> None:
        heapq.heappush(self._due, (time.monotonic() + pause, next(self._order), delivery))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._ended or self._starts_over or (self._due and self._due[0][0] <= time.monotonic())):
                    self._changed.wait(max(0.0, self._due[0][0] - time.monotonic()) if self._due else None)
                if self._ended:
                    return
                delivery = None if self._starts_over else heapq.heappop(self._due)[2]
            if delivery is None:
                self._clear()
            else:
                self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        if not delivery.attempts and not delivery.repeated:
            # What is to be deleted may be gone, when a sample is sent a second time.
            with contextlib.suppress(ControlError):
                delivery.sample.prepare(self.sandbox.commercetools)
        attempt = self._attempt(delivery)
        with self._changed:
            delivery.attempts.append(attempt)
            if not attempt.acknowledged:
                delivery.given_up = len(delivery.attempts) >= ATTEMPTS
                if not delivery.given_up:
                    self._queue(delivery, _PAUSE_BEFORE_REDELIVERY * 2 ** (len(delivery.attempts) - 1))
            self._note_change()

    def _attempt(self, delivery: Delivery) -> Attempt:
        shop, klaviyo = self.sandbox.commercetools, self.sandbox.klaviyo
        shop.forget_requests()
        klaviyo.forget_requests()
        at, acknowledged = datetime.now().astimezone(), False
        line: Mapping[str, Any] = {"outcome": "retried", "reason": "no answer from the function"}
        message_id = f"{delivery.sample.file} {delivery.number - delivery.repeated}"
        if self._function:
            with contextlib.suppress(requests.RequestException, queue.Empty):
                acknowledged = self._function.push(delivery.sample.data, message_id) < _FIRST_NOT_OK
                line = self._function.outcome(message_id)
        read = shop.requests(kind="api")
        return Attempt(at, acknowledged, line, answers(shop.url, read), klaviyo.requests(kind="api"))

    def _clear(self) -> None:
        """Start the sandbox anew, and the function too: it remembers what it wrote."""
        self._running.close()
        self._function, trouble = None, ""
        documents = Documents()
        documents.load(DOCUMENTS)
        self.sandbox.commercetools.reset()
        self.sandbox.klaviyo.reset()
        self.sandbox.commercetools.put_all(
            {name: list(collection.values()) for name, collection in documents.collections.items()}
        )
        try:
            self._function = self._running.enter_context(self._start_function())
        except click.ClickException as error:
            trouble = error.message
        with self._changed:
            self._deliveries.clear()
            self._due.clear()
            self._numbers = itertools.count(1)
            self.era = secrets.token_hex(4)
            self.trouble = trouble
            self._starts_over = False
            self._note_change()
