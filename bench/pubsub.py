"""A push subscription in small: many messages at a time, each again after a pause until it is acknowledged."""

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
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Retries:
    """Pauses between the deliveries of one message, in seconds: they double, with jitter, up to the longest."""

    first: float = 10.0
    longest: float = 600.0

    def pause(self, attempt: int, jitter: float) -> float:
        """After this many deliveries; `jitter` from 0 to 1."""
        return min(self.longest, self.first * 2.0 ** (attempt - 1)) * (0.8 + 0.4 * jitter)


@dataclass(slots=True)
class Delivered:
    """What became of the messages. `seconds` from publishing to acknowledging, one for each acknowledged message."""

    published: int
    unacknowledged: int
    pushes: int = 0
    refusals: int = 0
    seconds: list[float] = field(default_factory=list)


class Subscription:
    """Pushes the messages evenly over some seconds, then goes on until all are acknowledged or patience ends."""

    def __init__(self, host: str, at_a_time: int, retries: Retries) -> None:
        self._host, self._port = host.split(":")
        self._at_a_time = at_a_time
        self._retries = retries
        self._random = random.Random(0)  # noqa: S311 - jitter

    async def deliver(
        self, messages: Sequence[Message], seconds: float, patience: float, progress: Callable[[int], None]
    ) -> Delivered:
        """Push `messages` within `seconds`, and again what is refused, for `patience` seconds in all."""
        result = Delivered(len(messages), unacknowledged=len(messages))
        started = time.monotonic()
        published = [started + seconds * index / len(messages) for index in range(len(messages))]
        due = [(at, index, 1) for index, at in enumerate(published)]

        async def push_what_is_due() -> None:
            while result.unacknowledged and time.monotonic() < started + patience:
                wait = due[0][0] - time.monotonic() if due else _LOOK_EVERY
                if wait > 0:
                    await asyncio.sleep(min(wait, _LOOK_EVERY))
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

        await asyncio.gather(*(push_what_is_due() for _ in range(self._at_a_time)))
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
