"""Lean stand-ins for both backends: `python -m bench.backends` prints their URLs and runs until it is terminated.

They answer the requests of the mix from prepared bytes, count calls and connections, and keep no state. They don't
validate requests; `python -m bench calls` checks them against the sandbox, which does. Other calls count as `unknown`.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from bench.answers import commercetools_answer, klaviyo_answer

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CONTROL = b"/_control/"

AnswerOf = Callable[[bytes, bytes], tuple[str, bytes]]
"""Maps method and decoded target to the operation's name and the complete HTTP answer."""


class Backend:
    """A backend: its answers, their latency in seconds, and counts of calls and connections."""

    def __init__(self, answer_to: AnswerOf, delay: float) -> None:
        self.answer_to = answer_to
        self.delay = delay
        self.calls: Counter[str] = Counter()
        self.connections = 0

    def control(self, method: bytes) -> bytes:
        """GET returns the counts. DELETE returns them and resets all but the number of connections."""
        body = json.dumps({"calls": self.calls, "connections": self.connections}).encode()
        if method == b"DELETE":
            self.calls.clear()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Connection(asyncio.Protocol):
    """A client connection that answers requests in order."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._buffer = b""
        self._transport: Any = None
        self._call_later = asyncio.get_running_loop().call_later
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of a new connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            method, target, _ = buffer[: buffer.find(b"\r\n")].split(b" ")
            found = None if method == b"GET" else _LENGTH.search(buffer, 0, end)
            total = end + 4 + (int(found[1]) if found else 0)
            if len(buffer) < total:
                break
            buffer = buffer[total:]
            self._answer(method, target)
        self._buffer = buffer

    def _answer(self, method: bytes, target: bytes) -> None:
        backend = self._backend
        if target.startswith(_CONTROL):
            self._transport.write(backend.control(method))
            return
        if not self._counted:
            self._counted = True
            backend.connections += 1
        operation, answer = backend.answer_to(method, unquote_to_bytes(target))
        backend.calls[operation] += 1
        if backend.delay:
            self._call_later(backend.delay, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def _serve(commercetools: Backend, klaviyo: Backend) -> None:
    loop = asyncio.get_running_loop()
    urls = {}
    for name, backend in (("commercetools", commercetools), ("klaviyo", klaviyo)):
        server = await loop.create_server(lambda backend=backend: Connection(backend), "127.0.0.1", 0, backlog=512)  # type: ignore[misc]
        urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Run until terminated."""
    parser = argparse.ArgumentParser(prog="python -m bench.backends", description="Lean stand-ins for the benchmark.")
    parser.add_argument("--commercetools-ms", type=float, default=0, help="latency of answers, in milliseconds")
    parser.add_argument("--klaviyo-ms", type=float, default=0, help="latency of answers, in milliseconds")
    options = parser.parse_args()
    commercetools = Backend(commercetools_answer, options.commercetools_ms / 1000)
    klaviyo = Backend(klaviyo_answer, options.klaviyo_ms / 1000)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(commercetools, klaviyo))


if __name__ == "__main__":
    main()
