"""HTTP for both SDKs over libcurl, with persistent connections and a hard timeout for each call.

Each SDK has a place to plug in a transport: `http_adapter` of commercetools' client, `rest_client` of Klaviyo's.
libcurl limits the wall-clock time of the whole call, including DNS, connecting, TLS and a server that sends one byte a
second. It runs without the GIL, and takes a fifth of urllib3's CPU.
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

_COMPRESSIONS = "gzip, deflate"
_PROTOCOLS = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
"""The allowed protocols. libcurl could also read files, and supports two dozen others."""
NO_ANSWER_IN_TIME = "OPERATION_TIMEDOUT"
"""Code of a NoAnswerError if the call took too long."""
_ERRORS = {
    value: name.removeprefix("E_")
    for name, value in vars(pycurl).items()
    if name.startswith("E_") and not name.startswith("E_MULTI_")  # these have numbers of their own
} | {8: "WEIRD_SERVER_REPLY", 28: NO_ANSWER_IN_TIME}
_BREAKS_LINES = re.compile(r"[\r\n\x00]")


class NoAnswerError(Exception):
    """There is no complete answer: no connection, cut off, not HTTP, or a timeout. `code` is libcurl's name for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """A backend's answer. `headers` has lower-case names; it is complete only if all headers were requested."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Connections:
    """Persistent connections to one backend, shared by all threads: one for each concurrent call."""

    def __init__(self, *, compressed: bool) -> None:
        self._encoding = _COMPRESSIONS if compressed else "identity"
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
        """Send a request and read the complete answer. Raises NoAnswerError, at the latest after the timeout.

        `headers` are complete lines. If an idle connection turns out to be closed, libcurl opens another and sends the
        request again, whatever its method. Redirects are not followed; proxies, cookies and .netrc are not used.

        The answer's headers are only `content-type` and `retry-after` (in seconds, 0 if there is none), unless
        `all_headers` is set: libcurl calls back for each header line, and the thread has to wait for the GIL each time.
        """
        if any(map(_BREAKS_LINES.search, headers)):
            raise NoAnswerError("BAD_HEADER")  # such as a key with a line break, which would inject headers
        try:
            curl = self._idle.pop()  # the most recently used one is the least likely to be closed
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
            answer_headers = _parsed(lines) | {
                "content-type": (curl.getinfo_raw(pycurl.CONTENT_TYPE) or b"").decode("latin-1"),
                # libcurl turns a date into seconds from now, and anything unreadable into 0.
                "retry-after": str(curl.getinfo(pycurl.RETRY_AFTER)),
            }
            return Answer(curl.getinfo(pycurl.RESPONSE_CODE), answer_headers, b"".join(chunks))
        except pycurl.error as error:
            # Not the error's text, which can contain the URL and so ids.
            raise NoAnswerError(_ERRORS.get(error.args[0], "UNKNOWN")) from None
        finally:
            # An idle handle must not keep bodies in memory.
            lines.clear()
            chunks.clear()
            if body is not None:
                curl.setopt(pycurl.POSTFIELDS, b"")
            self._idle.append(curl)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()


def _new_handle() -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl must not use signals in a program with threads
    curl.setopt(pycurl.PROTOCOLS, _PROTOCOLS)
    curl.setopt(pycurl.REDIR_PROTOCOLS, _PROTOCOLS)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.CAINFO, _authorities())
    return curl


@cache
def _authorities() -> str:
    """File of trusted certificate authorities: SSL_CERT_FILE, which OpenSSL reads as well, else Mozilla's list."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _parsed(lines: Sequence[bytes]) -> dict[str, str]:
    """Headers of an answer. If an interim answer (1xx) came before it, later values override earlier ones."""
    headers = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return headers
