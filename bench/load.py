"""The load generator: `python -m bench.load` takes a plan on stdin and pushes its messages over keep-alive connections.

It says `ready` when everything is prepared, starts when a line comes in, tells how far it is, and ends with the
latencies by kind, the statuses, and the seconds that it took.
"""

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from bench.mix import Message, from_json, push_body

_TELL_EVERY = 0.2


class Load:
    """Messages on their way; `latencies` in milliseconds by kind."""

    def __init__(self, host: str, requests: list[tuple[str, bytes]]) -> None:
        self.host = host
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()
        self.done = 0
        self.over = asyncio.Event()
        self._total = len(requests)
        self._requests: Iterator[tuple[str, bytes]] = iter(requests)

    def next(self) -> tuple[str, bytes] | None:
        """The next request, None when all are under way."""
        return next(self._requests, None)

    def answered(self, kind: str, status: str, seconds: float) -> None:
        """Note an answer, or that there was none."""
        self.latencies[kind].append(seconds * 1000)
        self.statuses[status] += 1
        self.done += 1
        if self.done == self._total:
            self.over.set()


class Connection(asyncio.Protocol):
    """One connection: the next request is sent when the last one was answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._kind = ""
        self._sent_at = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first one."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """An answer: its head is all that it has."""
        self._buffer += data
        if b"\r\n\r\n" not in self._buffer:
            return
        status, self._buffer = self._buffer[9:12].decode(), b""
        self._load.answered(self._kind, status, time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        """Not meant to happen while a request is under way."""
        if self._kind:
            self._load.answered(self._kind, "lost", time.perf_counter() - self._sent_at)

    def _send(self) -> None:
        following = self._load.next()
        if following is None:
            self._kind = ""
            self._transport.close()
            return
        self._kind, request = following
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def request(message: Message, host: str) -> bytes:
    """The whole push request of a message."""
    body = push_body(message, f"{message.kind}-{message.number}")
    return (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def _run(load: Load, concurrency: int) -> float:
    loop = asyncio.get_running_loop()
    host, port = load.host.split(":")
    started = time.perf_counter()
    for _ in range(concurrency):
        await loop.create_connection(lambda: Connection(load), host, int(port))
    while not load.over.is_set():
        _tell({"done": load.done})
        try:
            await asyncio.wait_for(load.over.wait(), _TELL_EVERY)
        except TimeoutError:
            continue
    return time.perf_counter() - started


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    plan = json.loads(sys.stdin.readline())
    requests = [(message.kind, request(message, plan["host"])) for message in from_json(plan["messages"])]
    load = Load(plan["host"], requests)
    _tell({"ready": True})
    sys.stdin.readline()
    seconds = await _run(load, min(plan["concurrency"], len(requests)))
    _tell({"seconds": seconds, "latencies": load.latencies, "statuses": load.statuses})


if __name__ == "__main__":
    asyncio.run(_main())
