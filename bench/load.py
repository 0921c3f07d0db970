"""The load generator: `python -m bench.load` reads a plan from stdin and pushes its messages.

Connections are kept alive. It prints `ready` once the requests are prepared, starts when it reads another line, reports
its progress, and finally prints the latencies by kind, the statuses and the elapsed seconds. All output is lines of
JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from bench.mix import Message, from_json, push_body

_REPORT_SECONDS = 0.2


class Load:
    """The requests to send, and the results so far. `latencies` are in milliseconds, by kind."""

    def __init__(self, host: str, requests: list[tuple[str, bytes]]) -> None:
        self.host = host
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()
        self.done = 0
        self.finished = asyncio.Event()
        self._total = len(requests)
        self._requests: Iterator[tuple[str, bytes]] = iter(requests)

    def next_request(self) -> tuple[str, bytes] | None:
        """The next request; None if all have been sent."""
        return next(self._requests, None)

    def record(self, kind: str, status: str, seconds: float) -> None:
        """Record an answer, or a lost connection."""
        self.latencies[kind].append(seconds * 1000)
        self.statuses[status] += 1
        self.done += 1
        if self.done == self._total:
            self.finished.set()


class Connection(asyncio.Protocol):
    """A connection that sends the next request once the previous one is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._kind = ""
        self._sent_at = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Record a complete answer and send the next request. Answers have no body."""
        self._buffer += data
        if b"\r\n\r\n" not in self._buffer:
            return
        status, self._buffer = self._buffer[9:12].decode(), b""
        self._load.record(self._kind, status, time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        """Record a lost request, if one is in flight."""
        if self._kind:
            self._load.record(self._kind, "lost", time.perf_counter() - self._sent_at)

    def _send(self) -> None:
        next_request = self._load.next_request()
        if next_request is None:
            self._kind = ""
            self._transport.close()
            return
        self._kind, request = next_request
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def request(message: Message, host: str) -> bytes:
    """The complete HTTP push request of a message."""
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
    while not load.finished.is_set():
        _report({"done": load.done})
        try:
            await asyncio.wait_for(load.finished.wait(), _REPORT_SECONDS)
        except TimeoutError:
            continue
    return time.perf_counter() - started


def _report(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    plan = json.loads(sys.stdin.readline())
    requests = [(message.kind, request(message, plan["host"])) for message in from_json(plan["messages"])]
    load = Load(plan["host"], requests)
    _report({"ready": True})
    sys.stdin.readline()
    seconds = await _run(load, min(plan["concurrency"], len(requests)))
    _report({"seconds": seconds, "latencies": load.latencies, "statuses": load.statuses})


if __name__ == "__main__":
    asyncio.run(_main())
