"""HTTP for both SDKs, over libcurl: connections that are kept, and calls that end in time whatever a server does.

Each SDK has a place where its transport is put in: `http_adapter` of commercetools' client, `rest_client` of Klaviyo's.
libcurl bounds the whole call by wall clock (names, connecting, TLS and a server that sends a byte a second included),
does its work without Python's global lock, and costs a fifth of the CPU that urllib3 does.
"""

import os
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import certifi
import pycurl

from clients.retrying import Timeouts

_DECODED = "gzip, deflate"
_PROTOCOLS = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
"""libcurl also reads files and speaks two dozen other protocols."""
NO_ANSWER_IN_TIME = "OPERATION_TIMEDOUT"
"""Code of a NoAnswerError: the time for the call is over."""
_ERRORS = {
    value: name.removeprefix("E_")
    for name, value in vars(pycurl).items()
    if name.startswith("E_") and not name.startswith("E_MULTI_")  # those are numbered anew
} | {8: "WEIRD_SERVER_REPLY", 28: NO_ANSWER_IN_TIME}
_BREAKS_LINES = re.compile(r"[\r\n\x00]")


class NoAnswerError(Exception):
    """No whole answer came: not connected, cut off, no HTTP, or too late. `code` is libcurl's name for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """A backend's answer; `headers` by their names in lower case, all of them only where they were wanted."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Connections:
    """Connections to one backend, shared by all threads: as many as calls are made at the same time."""

    def __init__(self, *, compressed: bool) -> None:
        self._encoding = _DECODED if compressed else "identity"
        self._idle: deque[pycurl.Curl] = deque()

    def exchange(
        self,
        method: str,
        url: str,
        headers: Sequence[str],
        body: bytes | None,
        timeouts: Timeouts,
        *,
        all_headers: bool = False,
    ) -> Answer:
        """Send a request and read the answer to its end. Raises NoAnswerError, at the latest when the time is over.

        A kept connection that ends under a request is replaced, and the request sent once more, whatever its method.
        `headers` are whole lines. Redirects are not followed, and no proxy, cookie or .netrc comes from elsewhere.
        Unless `all_headers` are wanted the answer has `content-type` and `retry-after` (in seconds, or 0) alone:
        libcurl hands over each other line by itself, and for each of them the thread has to wait for Python's lock.
        """
        if any(map(_BREAKS_LINES.search, headers)):
            raise NoAnswerError("BAD_HEADER")  # a key with a line break: it would end the head of the request early
        try:
            curl = self._idle.pop()  # the one that was used last: it is the least likely to have been closed
        except IndexError:
            curl = _new_handle()
        lines: list[bytes] = []
        chunks: list[bytes] = []
        try:
            curl.setopt(pycurl.URL, url)
            if body is None:
                curl.setopt(pycurl.HTTPGET, 1)
            else:
                curl.setopt(pycurl.POSTFIELDS, body)
            curl.setopt(pycurl.CUSTOMREQUEST, method)
            curl.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
            curl.setopt(pycurl.ACCEPT_ENCODING, self._encoding)
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(timeouts[0]))
            curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(timeouts[1]))
            if all_headers:
                curl.setopt(pycurl.HEADERFUNCTION, lines.append)
            else:
                curl.unsetopt(pycurl.HEADERFUNCTION)
            curl.setopt(pycurl.WRITEFUNCTION, chunks.append)
            curl.perform()
            told = _parsed(lines) | {
                "content-type": (curl.getinfo_raw(pycurl.CONTENT_TYPE) or b"").decode("latin-1"),
                # A date becomes seconds from now, and what can't be read 0.
                "retry-after": str(curl.getinfo(pycurl.RETRY_AFTER)),
            }
            return Answer(curl.getinfo(pycurl.RESPONSE_CODE), told, b"".join(chunks))
        except pycurl.error as error:
            # Not its text: that can hold the address, and so ids.
            raise NoAnswerError(_ERRORS.get(error.args[0], "UNKNOWN")) from None
        finally:
            # An idle handle is not to hold on to what it sent and got.
            lines.clear()
            chunks.clear()
            if body is not None:
                curl.setopt(pycurl.POSTFIELDS, b"")
            self._idle.append(curl)

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()


def _new_handle() -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)  # signals are not for threads
    curl.setopt(pycurl.PROTOCOLS, _PROTOCOLS)
    curl.setopt(pycurl.REDIR_PROTOCOLS, _PROTOCOLS)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.CAINFO, _authorities())
    return curl


@cache
def _authorities() -> str:
    """File of the certificate authorities: SSL_CERT_FILE, as OpenSSL reads it, else Mozilla's."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _parsed(lines: Sequence[bytes]) -> dict[str, str]:
    """Headers of an answer; those of an interim one before it are overwritten."""
    headers = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return headers
