"""Connections that keep to the message's deadline.

A read timeout bounds the wait for the next byte, not the answer: a server that sends one byte a second would hold a
message for ever. These connections shorten every read to what is left of the message's time. Both SDKs use urllib3.
"""

import http.client
import io
import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from clients.retrying import deadline


class _BoundedReader(io.RawIOBase):
    """A socket's bytes, until the deadline."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until
        self._patience = sock.gettimeout()
        # Unbuffered, so the socket stays open as long as this file does, whatever the connection does with it.
        self._raw: Any = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._patience is None or left < self._patience:
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedSocket:
    """What http.client needs of a socket to read an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock, deadline()), 16_384)


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_BoundedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _OneSend:
    """Sends head and body of a request together: one system call and one packet less."""

    _held: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._held = []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc] # urllib3's connection, which this is mixed into
            whole = b"".join(self._held)
        finally:
            self._held = None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class _Connection(_OneSend, HTTPConnection):
    response_class = _BoundedResponse


class _SecureConnection(_OneSend, HTTPSConnection):
    response_class = _BoundedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def bound(pool_manager: urllib3.PoolManager) -> None:
    """Make a pool manager open connections that keep to the deadline. Before its first request."""
    pool_manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
