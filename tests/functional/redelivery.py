"""A push subscription that behaves like Pub/Sub: concurrent, unordered, redelivering until acknowledged."""

import base64
import contextlib
import heapq
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 2.0
_ANSWER_SECONDS = 60


class Subscription:
    """Pushes each message to a random endpoint. Redelivers what is not acknowledged, after a pause."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self.pushed: list[dict[str, Any]] = []
        """All pushes: message, delivery, start and end time, endpoint, and whether it was acknowledged."""
        self._addresses = [urlsplit(url).netloc for url in urls]
        self._rng = rng
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, bytes, int]] = []
        """A heap of pushes to come: due time, message number, body and attempt."""
        self._deliveries: dict[int, Mapping[str, Any]] = {}
        self._pending: Counter[str] = Counter()
        self._published = 0
        self._pushing = 0
        self._ended = False

    def publish(self, delivery: Mapping[str, Any], delay: float = 0) -> None:
        """Push a delivery in `delay` seconds."""
        with self._changed:
            self._published += 1
            self._deliveries[self._published] = delivery
            self._pending[str(delivery["resource"])] += 1
            data = base64.b64encode(json.dumps(delivery).encode()).decode()
            message = {"data": data, "messageId": str(self._published), "attributes": {}}
            body = json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()
            heapq.heappush(self._waiting, (time.monotonic() + delay, self._published, body, 1))
            self._changed.notify()

    @property
    def published(self) -> int:
        """Number of messages published so far."""
        return self._published

    def is_pending(self, resource: Mapping[str, Any]) -> bool:
        """True if a message about a resource is not acknowledged yet."""
        with self._changed:
            return self._pending[str(resource)] > 0

    @property
    def refusals(self) -> int:
        """Number of pushes that were not acknowledged."""
        return sum(not push["acknowledged"] for push in self.pushed)

    def wait_for_room(self, most: int, soon: float) -> None:
        """Wait until fewer than `most` messages are in flight or due within `soon` seconds."""
        while True:
            with self._changed:
                end = time.monotonic() + soon
                if sum(due <= end for due, *_ in self._waiting) + self._pushing < most:
                    return
            time.sleep(0.005)

    @contextmanager
    def pushing(self, at_a_time: int) -> Iterator[None]:
        """Push up to `at_a_time` messages concurrently during the block."""
        workers = [threading.Thread(target=self._push_until_ended) for _ in range(at_a_time)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            for worker in workers:
                worker.join()

    def drained(self, seconds: float) -> bool:
        """Wait until every message is acknowledged; False if that takes longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._pushing, seconds)

    def _push_until_ended(self) -> None:
        while message := self._next():
            _, number, body, attempt = message
            address, began = random.choice(self._addresses), time.time()
            acknowledged = self._push(address, body)
            push = {"at": began, "until": time.time(), "to": address, "acknowledged": acknowledged, "message": number}
            with self._changed:
                self._pushing -= 1
                self.pushed.append({**push, "delivery": self._deliveries[number]})
                if acknowledged:
                    self._pending[str(self._deliveries[number]["resource"])] -= 1
                else:
                    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)) * self._rng.uniform(0.5, 1.5)
                    heapq.heappush(self._waiting, (time.monotonic() + pause, number, body, attempt + 1))
                self._changed.notify_all()

    def _next(self) -> tuple[float, int, bytes, int] | None:
        with self._changed:
            while not self._ended:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    self._pushing += 1
                    return heapq.heappop(self._waiting)
                self._changed.wait(wait)
        return None

    @staticmethod
    def _push(address: str, body: bytes) -> bool:
        connection = http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/", body, {"Content-Type": "application/json"})
                return connection.getresponse().status == http.client.NO_CONTENT
            except (OSError, http.client.HTTPException):
                return False
