"""An HTTP/1.1 server for one backend: a thread per connection, one send per answer, and failures on the wire."""

import contextlib
import socket
import struct
import threading
from typing import Self

from sandbox.backend import CONTROL, Backend
from sandbox.faults import Failure
from sandbox.messages import Answer, Request

BACKLOG = 512
CHUNK = 65536
LARGEST_HEAD = 1 << 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _ConnectionClosed(Exception):  # noqa: N818 - not an error: clients disconnect
    """The client closed the connection, or sent something that can't be parsed."""


class Server:
    """Serves a backend on 127.0.0.1, at `url`. A context manager."""

    def __init__(self, backend: Backend, port: int = 0) -> None:
        self.backend = backend
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        # On some platforms shutting down a listening socket does not wake accept; the timeout does.
        self._listener.settimeout(0.5)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, name=f"sandbox {self.url}", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and all connections, also those that wait for an answer."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = _Reader(connection)
        try:
            while not self._stopping.is_set() and self._serve_request(connection, reader):
                pass
        except (_ConnectionClosed, OSError):
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    def _serve_request(self, connection: socket.socket, reader: "_Reader") -> bool:
        """Read a request and answer it. False if the connection must close."""
        request = reader.head()
        closing = request.headers.get("connection", "").lower() == "close"
        if request.segments[0] == CONTROL:
            reader.body(request)
            connection.sendall(self.backend.control(request).encode(closing=closing))
            return not closing
        entry, failure = self.backend.begin(request)
        if failure is None:
            reader.body(request)
            connection.sendall(self.backend.finish(request, entry, None).encode(closing=closing))
            return not closing
        if failure.reset != "sending" or failure.apply:
            reader.body(request)
            if failure.late and self._stopping.wait(failure.delay):
                return False
            answer = self.backend.finish(request, entry, failure)
        else:
            answer = Answer(0)
        return self._send_failure(connection, answer, failure) and not closing

    def _send_failure(self, connection: socket.socket, answer: Answer, failure: Failure) -> bool:
        if failure.delay and not failure.late and self._stopping.wait(failure.delay):
            return False
        if failure.reset == "sending":
            return _reset(connection)
        if failure.reset == "answering":
            head, body = answer.parts(extra_length=CHUNK)
            connection.sendall(head + body[: max(1, len(body) // 2)])
            # Give the client time to read this: a reset discards what it has not read.
            self._stopping.wait(0.05)
            return _reset(connection)
        if failure.trickle:
            for byte in answer.encode():
                connection.sendall(bytes((byte,)))
                if self._stopping.wait(failure.trickle):
                    return False
            return True
        connection.sendall(answer.encode())
        return True


def _reset(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()
    return False


class _Reader:
    """Reads requests from a connection; buffers what a client sends ahead."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def head(self) -> Request:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise _ConnectionClosed
            self._receive()
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + 4 :]
        try:
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        except ValueError as error:
            raise _ConnectionClosed from error
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(method, target, headers)

    def body(self, request: Request) -> None:
        try:
            length = int(request.headers.get("content-length", 0))
        except ValueError as error:
            raise _ConnectionClosed from error
        if "transfer-encoding" in request.headers:
            self._connection.sendall(Answer(411).encode(closing=True))
            raise _ConnectionClosed
        if length > len(self._buffer):
            parts, missing = [self._buffer], length - len(self._buffer)
            while missing > 0:
                self._buffer = b""
                self._receive()
                parts.append(self._buffer)
                missing -= len(self._buffer)
            self._buffer = b"".join(parts)
        request.body, self._buffer = self._buffer[:length], self._buffer[length:]

    def _receive(self) -> None:
        received = self._connection.recv(CHUNK)
        if not received:
            raise _ConnectionClosed
        self._buffer += received
