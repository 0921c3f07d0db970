"""A server that answers each request with the exact bytes a test gives, and a client for it."""

import itertools
import queue
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPMessage, parse_headers
from typing import BinaryIO

from clients.retrying import Timeouts
from clients.transport import Answer, Connections

LONG = 10.0
"""Seconds: longer than any successful exchange takes."""
LONG_TIMEOUTS: Timeouts = (LONG, LONG)


class Ending(Enum):
    """How the server ends a connection."""

    CLOSED = "an orderly close"
    RESET = "a TCP reset"


@dataclass(frozen=True, slots=True)
class Received:
    """A request, and the number of the connection it arrived on."""

    connection: int
    method: str
    target: str
    version: str
    headers: HTTPMessage
    body: bytes


Script = Callable[[Received], Iterable[bytes | Ending]]
"""Returns the parts of the answer to a request. The connection stays open, unless the last part is an ending."""


def http_response(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """A complete HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def always(*parts: bytes | Ending) -> Script:
    """A script that answers every request with the same parts."""
    return lambda _: parts


class ScriptedServer(socketserver.ThreadingTCPServer):
    """The server, on a free port, with one thread per connection."""

    request_queue_size = 64

    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.script = script
        self.tls = tls
        self.received: list[Received] = []
        self.connection_numbers = itertools.count()
        self.ended: queue.Queue[int] = queue.Queue()
        """Numbers of the closed connections, in the order they ended."""
        self.open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        """Close the connections that clients left open, and wait for the threads."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: ScriptedServer
    request: socket.socket

    def handle(self) -> None:
        number = next(self.server.connection_numbers)
        # If a client wrongly waits forever, its test must fail instead of hanging.
        self.request.settimeout(LONG)
        # Many tests are about clients that give up.
        with suppress(OSError):
            tls = self.server.tls
            connection = tls.wrap_socket(self.request, server_side=True) if tls else self.request
            self.server.open.add(connection)
            with connection, connection.makefile("rb") as stream:
                self._answer(number, connection, stream)
        self.server.ended.put(number)

    def _answer(self, number: int, connection: socket.socket, stream: BinaryIO) -> None:
        while line := stream.readline():
            method, target, version = line.decode().split()
            headers = parse_headers(stream)
            body = stream.read(int(headers.get("content-length", 0)))
            received = Received(number, method, target, version, headers, body)
            self.server.received.append(received)
            for part in self.server.script(received):
                if part is Ending.RESET:  # linger for 0 s: close sends a reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if isinstance(part, Ending):
                    return
                connection.sendall(part)


@dataclass(frozen=True, slots=True)
class Backend:
    """A running server, and connections to it."""

    server: ScriptedServer
    connections: Connections

    @property
    def received(self) -> list[Received]:
        """All requests so far."""
        return self.server.received

    def exchange(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Sequence[str] = (),
        body: bytes | None = None,
        timeouts: Timeouts = LONG_TIMEOUTS,
        *,
        all_headers: bool = False,
    ) -> Answer:
        """Send a request to the server."""
        url = self.server.url + target
        return self.connections.exchange(method, url, headers, body, timeouts, all_headers=all_headers)


@contextmanager
def scripted(script: Script, *, compressed: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    """Run a server with this script. Connections are opened by the first exchange."""
    with ScriptedServer(script, tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connections = Connections(compressed=compressed)
        try:
            yield Backend(server, connections)
        finally:
            connections.close()
            server.shutdown()
            thread.join()
