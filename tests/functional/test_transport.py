"""HTTP over libcurl against a real server: which connections it opens, what it sends, and what it reads."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from clients.failures import retry_after
from clients.transport import Connections, NoAnswerError
from tests.functional.scripted_server import (
    LONG,
    LONG_TIMEOUTS,
    Backend,
    Ending,
    Received,
    always,
    http_response,
    scripted,
)

CONCURRENT_CALLS = 6


def call_concurrently(backend: Backend, times: int = 1) -> None:
    """Make CONCURRENT_CALLS calls at once, `times` times. The server answers when all of them have arrived."""
    with ThreadPoolExecutor(CONCURRENT_CALLS) as pool:
        for _ in range(times):
            answers = list(pool.map(lambda _: backend.exchange(target="/together"), range(CONCURRENT_CALLS)))
            assert [answer.data for answer in answers] == [b"together"] * CONCURRENT_CALLS


@pytest.fixture
def barrier_backend() -> Iterator[Backend]:
    """A server that answers `/together` once CONCURRENT_CALLS such requests have arrived, and others immediately."""
    all_arrived = threading.Barrier(CONCURRENT_CALLS)

    def script(received: Received) -> Iterator[bytes]:
        if received.target == "/together":
            all_arrived.wait(LONG)
            yield http_response(b"together")
        else:
            yield http_response(b"alone")

    with scripted(script) as backend:
        yield backend


def test_sequential_calls_share_one_connection() -> None:
    """A connection is kept and reused."""
    with scripted(always(http_response(b"ok"))) as backend:
        assert [backend.exchange().data for _ in range(20)] == [b"ok"] * 20
        assert {(received.connection, received.version) for received in backend.received} == {(0, "HTTP/1.1")}


def test_concurrent_calls_have_a_connection_each(barrier_backend: Backend) -> None:
    """Concurrent calls don't wait for each other: each opens a connection, which later calls reuse."""
    call_concurrently(barrier_backend, times=4)
    assert {received.connection for received in barrier_backend.received} == set(range(CONCURRENT_CALLS))


def test_sequential_calls_keep_to_one_idle_connection(barrier_backend: Backend) -> None:
    """Sequential calls reuse the same one of several idle connections."""
    call_concurrently(barrier_backend)
    assert [barrier_backend.exchange().data for _ in range(CONCURRENT_CALLS)] == [b"alone"] * CONCURRENT_CALLS
    assert len({received.connection for received in barrier_backend.received[CONCURRENT_CALLS:]}) == 1


def test_close(barrier_backend: Backend) -> None:
    """`close` closes all idle connections. The next call opens a new one."""
    call_concurrently(barrier_backend)
    barrier_backend.connections.close()
    assert {barrier_backend.server.ended.get(timeout=LONG) for _ in range(CONCURRENT_CALLS)} == set(
        range(CONCURRENT_CALLS)
    )
    assert barrier_backend.exchange().data == b"alone"
    assert barrier_backend.received[-1].connection == CONCURRENT_CALLS


def test_a_closed_idle_connection_is_replaced() -> None:
    """An idle connection that the server closed is replaced without an error, and the new one is kept."""

    def script(received: Received) -> Iterator[bytes | Ending]:
        yield http_response(b"ok")
        if received.target == "/last":
            yield Ending.CLOSED

    with scripted(script) as backend:
        assert backend.exchange(target="/last").data == b"ok"
        assert backend.server.ended.get(timeout=LONG) == 0
        assert [backend.exchange("POST", body=b"body").data for _ in range(2)] == [b"ok", b"ok"]
        assert [received.connection for received in backend.received] == [0, 1, 1]


@pytest.mark.parametrize(
    "end", [[Ending.CLOSED], [Ending.RESET], [b"HTTP/1.", Ending.CLOSED]], ids=["closed", "reset", "a few bytes"]
)
def test_a_reused_connection_that_ends_during_a_request(end: list[bytes | Ending]) -> None:
    """If a reused connection ends during a request, libcurl repeats it, even a POST: calls must be idempotent."""

    def script(received: Received) -> list[bytes | Ending]:
        return end if received.connection == 0 and received.method == "POST" else [http_response(b"ok")]

    with scripted(script) as backend:
        backend.exchange()
        assert backend.exchange("POST", body=b"body").data == b"ok"
        assert [(received.connection, received.body) for received in backend.received] == [
            (0, b""),
            (0, b"body"),
            (1, b"body"),
        ]


CALLS = (
    ("POST", b"first"),
    ("GET", None),
    ("PATCH", b"a longer body"),
    ("DELETE", None),
    ("POST", b""),
    ("POST", b"\x00\xff\r\n\r\n"),
    ("DELETE", b"{}"),
    ("PATCH", None),
    ("GET", None),
    ("PATCH", b"last"),
)


def test_requests_do_not_leak_into_the_next() -> None:
    """Calls on one connection share nothing: each sends its own method, target, body, length and headers."""
    with scripted(always(http_response())) as backend:
        for number, (method, body) in enumerate(CALLS):
            own = [] if body is None else [f"X-Call: {number}", "Content-Type: text/plain"]
            backend.exchange(method, f"/{number}?q={number}", own, body)
        assert [(received.method, received.target, received.body) for received in backend.received] == [
            (method, f"/{number}?q={number}", body or b"") for number, (method, body) in enumerate(CALLS)
        ]
        assert [
            (received.headers["content-length"], received.headers["x-call"], received.headers["content-type"])
            for received in backend.received
        ] == [
            (None, None, None) if body is None else (str(len(body)), str(number), "text/plain")
            for number, (_, body) in enumerate(CALLS)
        ]
        assert {received.connection for received in backend.received} == {0}


def test_answers_do_not_leak_into_the_next() -> None:
    """Status, headers and body are the last answer's, even if all headers of the one before were requested."""
    throttled = http_response(
        b"busy", "Retry-After: 7", "Content-Type: text/plain", "X-Told: yes", status="429 Slow Down"
    )
    with scripted(lambda received: [throttled if received.target == "/busy" else http_response(b"ok")]) as backend:
        busy = backend.exchange(target="/busy", all_headers=True)
        assert (busy.status, busy.data, busy.headers["x-told"]) == (429, b"busy", "yes")
        for all_headers in (True, False):
            answer = backend.exchange(all_headers=all_headers)
            length = {"content-length": "2"} if all_headers else {}
            assert (answer.status, answer.data) == (200, b"ok")
            assert answer.headers == {"content-type": "", "retry-after": "0", **length}


def test_a_large_body() -> None:
    """A large body is sent immediately and whole, without `Expect: 100-continue`."""
    body = bytes(range(256)) * 12_000
    with scripted(always(http_response())) as backend:
        backend.exchange("POST", body=body)
        (received,) = backend.received
        assert received.body == body
        assert received.headers["expect"] is None


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status: str) -> None:
    """The redirect itself is the answer. Following it would send the API key to another address."""
    with scripted(always(http_response(b"there", "Location: /elsewhere", status=status))) as backend:
        answer = backend.exchange(all_headers=True)
        assert (answer.status, answer.data) == (int(status[:3]), b"there")
        assert answer.headers["location"] == "/elsewhere"
        assert [received.target for received in backend.received] == ["/"]


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go straight to the server, whatever `http_proxy` and its relatives say."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted(always(http_response(b"of a proxy"))) as proxy, scripted(always(http_response(b"ok"))) as backend:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.server.url)
        assert backend.exchange().data == b"ok"
        assert proxy.received == []


def test_netrc_and_cookies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither credentials from the user's .netrc nor a cookie from an earlier answer are sent."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    with scripted(always(http_response(b"", "Set-Cookie: session=1"))) as backend:
        backend.exchange()
        backend.exchange()
        assert [(got.headers["cookie"], got.headers["authorization"]) for got in backend.received] == [(None, None)] * 2


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_answers(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """Compressed answers are requested, and decompressed."""
    with scripted(always(http_response(compress(b"text" * 99), f"Content-Encoding: {encoding}"))) as backend:
        assert backend.exchange().data == b"text" * 99
        assert [received.headers["accept-encoding"] for received in backend.received] == ["gzip, deflate"]


def test_uncompressed_answers() -> None:
    """Without compression, the request accepts only `identity`."""
    with scripted(always(http_response(b"text")), compressed=False) as backend:
        assert backend.exchange().data == b"text"
        assert [received.headers["accept-encoding"] for received in backend.received] == ["identity"]


def test_all_headers() -> None:
    """`all_headers` gives every header: name in lower case, value as Latin-1, the last one of duplicates."""
    lines = ("X-Street: Straße", "RateLimit-Limit: 75, 75;w=1", "X-Twice: a", "x-twice: b", "X-Empty:", "X-Colon: a:b")
    with scripted(always(http_response(b"ok", *lines, "Content-Type: text/plain; charset=x"))) as backend:
        assert backend.exchange(all_headers=True).headers == {
            "content-length": "2",
            "content-type": "text/plain; charset=x",
            "ratelimit-limit": "75, 75;w=1",
            "retry-after": "0",
            "x-colon": "a:b",
            "x-empty": "",
            "x-street": "Straße",
            "x-twice": "b",
        }


def test_the_two_headers_that_are_always_read() -> None:
    """Without `all_headers`, only content-type and retry-after are read."""
    lines = ("X-Other: 1", "CONTENT-TYPE: application/vnd.api+json", "RETRY-AFTER: 5")
    with scripted(always(http_response(b"ok", *lines))) as backend:
        assert backend.exchange().headers == {"content-type": "application/vnd.api+json", "retry-after": "5"}


@pytest.mark.parametrize("all_headers", [True, False])
def test_non_ascii_content_type(*, all_headers: bool) -> None:
    """Content-Type is decoded as Latin-1, like any header."""
    with scripted(always(http_response(b"ok", "Content-Type: text/ü"))) as backend:
        assert backend.exchange(all_headers=all_headers).headers["content-type"] == "text/ü"


@pytest.mark.parametrize("all_headers", [True, False])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("Retry-After: 7", 7.0),
        ("Retry-After: 600", 600.0),
        ("Retry-After: 0", None),
        ("Retry-After: -5", None),
        ("Retry-After: soon", None),
        ("Retry-After:", None),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None, *, all_headers: bool) -> None:
    """Seconds are used as they are. A header that is missing, zero, unreadable or in the past asks for no wait."""
    with scripted(always(http_response(b"", *([header] if header else []), status="429 Slow Down"))) as backend:
        assert retry_after(backend.exchange(all_headers=all_headers).headers) == seconds


def test_retry_after_a_date() -> None:
    """A date is converted to the seconds until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with scripted(always(http_response(b"", f"Retry-After: {date}", status="429 Slow Down"))) as backend:
        seconds = retry_after(backend.exchange().headers)
    assert seconds is not None
    assert 3600 - LONG < seconds <= 3600


@pytest.mark.parametrize("all_headers", [True, False])
def test_interim_answers(*, all_headers: bool) -> None:
    """Interim answers are skipped: status, headers and body are the final answer's."""
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\nRetry-After: 9\r\nX-Told: early\r\n\r\n"
    last = http_response(b"ok", "Content-Type: text/late", "Retry-After: 3", "X-Told: late", status="429 Slow Down")
    with scripted(always(b"HTTP/1.1 100 Continue\r\n\r\n" + early, early, last)) as backend:
        for _ in range(2):
            answer = backend.exchange("POST", body=b"body", all_headers=all_headers)
            assert (answer.status, answer.data) == (429, b"ok")
            others = {"content-length": "2", "x-told": "late"} if all_headers else {}
            assert answer.headers == {"content-type": "text/late", "retry-after": "3", **others}


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "dict", "telnet"])
def test_other_protocols_are_refused(scheme: str, tmp_path: Path) -> None:
    """Only http and https URLs are allowed. libcurl could also read files, for example."""
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t", encoding="utf-8")
    url = secret.as_uri() if scheme == "file" else f"{scheme}://127.0.0.1:9/"
    with pytest.raises(NoAnswerError) as raised:
        Connections(compressed=True).exchange("GET", url, [], None, LONG_TIMEOUTS)
    assert raised.value.code == "UNSUPPORTED_PROTOCOL"
