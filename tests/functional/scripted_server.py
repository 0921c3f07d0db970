"""A server that answers each request with just the bytes a test gives, right or wrong, and what calls it."""

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
"""Seconds: more than anything takes that goes well."""
LONG_TIMEOUTS: Timeouts = (LONG, LONG)


class Ending(Enum):
    """How the server lets go of a connection."""

    CLOSED = "as it should"
    RESET = "with a packet that says so"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came, and the number of the connection that it came on."""

    connection: int
    method: str
    target: str
    version: str
    headers: HTTPMessage
    body: bytes


Script = Callable[[Received], Iterable[bytes | Ending]]
"""What a request is answered with, part by part. The connection stays open after it, unless an ending comes last."""


def http_response(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def always(*parts: bytes | Ending) -> Script:
    """The same parts for every request."""
    return lambda _: parts


class ScriptedServer(socketserver.ThreadingTCPServer):
    """The server, on a free port, with a thread for each connection."""

    request_queue_size = 64

    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.script = script
        self.tls = tls
        self.received: list[Received] = []
        self.numbers = itertools.count()
        self.ended: queue.Queue[int] = queue.Queue()
        """Numbers of the connections that are over, in the order of their ends."""
        self.open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        """End what callers have left open, and wait for its threads."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: ScriptedServer
    request: socket.socket

    def handle(self) -> None:
        number = next(self.server.numbers)
        # For a caller that waits without end, and was not to: its test is to fail, not to hang.
        self.request.settimeout(LONG)
        # Callers that give up are what many a test is about.
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
                if part is Ending.RESET:  # a close that waits for nothing
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if isinstance(part, Ending):
                    return
                connection.sendall(part)


@dataclass(frozen=True, slots=True)
class Backend:
    """A server, and the connections to it."""

    server: ScriptedServer
    connections: Connections

    @property
    def received(self) -> list[Received]:
        """Every request so far."""
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
        """Call the server."""
        url = self.server.url + target
        return self.connections.exchange(method, url, headers, body, timeouts, all_headers=all_headers)


@contextmanager
def scripted(script: Script, *, compressed: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    """Run a server with this script, and connect to nothing yet."""
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
