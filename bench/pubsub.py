"""A small model of a push subscription: concurrent pushes, with redelivery after a pause until acknowledged."""

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.load import request
from bench.mix import Message

_ACKNOWLEDGED = b" 204 "
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Retries:
    """Redelivery backoff in seconds: pauses double up to `longest`, with jitter."""

    first: float = 10.0
    longest: float = 600.0

    def pause(self, attempt: int, jitter: float) -> float:
        """The pause after this many deliveries; `jitter` is from 0 to 1."""
        return min(self.longest, self.first * 2.0 ** (attempt - 1)) * (0.8 + 0.4 * jitter)


@dataclass(slots=True)
class DeliveryResult:
    """The result of a delivery. `seconds` holds, per acknowledged message, the time since it was published."""

    published: int
    unacknowledged: int
    pushes: int = 0
    refusals: int = 0
    seconds: list[float] = field(default_factory=list)


class Subscription:
    """Pushes messages to the function, `concurrency` at the same time."""

    def __init__(self, host: str, concurrency: int, retries: Retries) -> None:
        self._host, self._port = host.split(":")
        self._concurrency = concurrency
        self._retries = retries
        self._random = random.Random(0)  # noqa: S311 - jitter

    async def deliver(
        self, messages: Sequence[Message], seconds: float, patience: float, progress: Callable[[int], None]
    ) -> DeliveryResult:
        """Publish `messages` evenly over `seconds`; redeliver until all are acknowledged or `patience` seconds pass."""
        result = DeliveryResult(len(messages), unacknowledged=len(messages))
        started = time.monotonic()
        published = [started + seconds * index / len(messages) for index in range(len(messages))]
        due = [(at, index, 1) for index, at in enumerate(published)]

        async def push_due_messages() -> None:
            while result.unacknowledged and time.monotonic() < started + patience:
                wait = due[0][0] - time.monotonic() if due else _POLL_SECONDS
                if wait > 0:
                    await asyncio.sleep(min(wait, _POLL_SECONDS))
                    continue
                _, index, attempt = heapq.heappop(due)
                acknowledged = await self._push(messages[index])
                result.pushes += 1
                if acknowledged:
                    result.unacknowledged -= 1
                    result.seconds.append(time.monotonic() - published[index])
                    progress(len(messages) - result.unacknowledged)
                else:
                    result.refusals += 1
                    pause = self._retries.pause(attempt, self._random.random())
                    heapq.heappush(due, (time.monotonic() + pause, index, attempt + 1))

        await asyncio.gather(*(push_due_messages() for _ in range(self._concurrency)))
        return result

    async def _push(self, message: Message) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, int(self._port))
                try:
                    writer.write(request(message, f"{self._host}:{self._port}"))
                    return _ACKNOWLEDGED in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
