"""HTTP over libcurl, against a real server: which connections are made, what is sent on them, what is read."""

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

AT_ONCE = 6


def together(backend: Backend, times: int = 1) -> None:
    """Make calls at the same time, which the server answers when all of them are there; so many times."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(times):
            answers = list(pool.map(lambda _: backend.exchange(target="/together"), range(AT_ONCE)))
            assert [answer.data for answer in answers] == [b"together"] * AT_ONCE


@pytest.fixture
def meeting() -> Iterator[Backend]:
    """A server that answers `/together` when so many of them are there, and all else at once."""
    all_there = threading.Barrier(AT_ONCE)

    def script(received: Received) -> Iterator[bytes]:
        if received.target == "/together":
            all_there.wait(LONG)
            yield http_response(b"together")
        else:
            yield http_response(b"alone")

    with scripted(script) as backend:
        yield backend


def test_one_connection_for_calls_after_one_another() -> None:
    """A connection is kept, and taken again."""
    with scripted(always(http_response(b"ok"))) as backend:
        assert [backend.exchange().data for _ in range(20)] == [b"ok"] * 20
        assert {(received.connection, received.version) for received in backend.received} == {(0, "HTTP/1.1")}


def test_as_many_connections_as_calls_at_the_same_time(meeting: Backend) -> None:
    """Calls wait for none other, open a connection each, and leave it to those that come next."""
    together(meeting, times=4)
    assert {received.connection for received in meeting.received} == set(range(AT_ONCE))


def test_the_connection_that_was_used_last(meeting: Backend) -> None:
    """Of several idle connections, calls one after the other keep to one, and let the rest grow old."""
    together(meeting)
    assert [meeting.exchange().data for _ in range(AT_ONCE)] == [b"alone"] * AT_ONCE
    assert len({received.connection for received in meeting.received[AT_ONCE:]}) == 1


def test_closing(meeting: Backend) -> None:
    """All idle connections are closed; a call after that opens one."""
    together(meeting)
    meeting.connections.close()
    assert {meeting.server.ended.get(timeout=LONG) for _ in range(AT_ONCE)} == set(range(AT_ONCE))
    assert meeting.exchange().data == b"alone"
    assert meeting.received[-1].connection == AT_ONCE


def test_an_idle_connection_that_was_closed_meanwhile() -> None:
    """It is replaced without the caller noticing, and its successor is kept."""

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
def test_a_kept_connection_that_ends_under_a_request(end: list[bytes | Ending]) -> None:
    """The request is sent once more, whole, by libcurl and whatever its method: what it does must bear repeating."""

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


def test_nothing_of_a_call_is_left_for_the_next() -> None:
    """Method, target, body, its length and the headers are those of the call, on one connection."""
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


def test_nothing_of_an_answer_is_left_for_the_next() -> None:
    """Status, headers and body are those of the last answer, though all of the first one's were wanted."""
    told = http_response(b"busy", "Retry-After: 7", "Content-Type: text/plain", "X-Told: yes", status="429 Slow Down")
    with scripted(lambda received: [told if received.target == "/busy" else http_response(b"ok")]) as backend:
        busy = backend.exchange(target="/busy", all_headers=True)
        assert (busy.status, busy.data, busy.headers["x-told"]) == (429, b"busy", "yes")
        for all_headers in (True, False):
            answer = backend.exchange(all_headers=all_headers)
            length = {"content-length": "2"} if all_headers else {}
            assert (answer.status, answer.data) == (200, b"ok")
            assert answer.headers == {"content-type": "", "retry-after": "0", **length}


def test_a_large_body() -> None:
    """It is sent whole and at once, without asking whether it is welcome."""
    body = bytes(range(256)) * 12_000
    with scripted(always(http_response())) as backend:
        backend.exchange("POST", body=body)
        (received,) = backend.received
        assert received.body == body
        assert received.headers["expect"] is None


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status: str) -> None:
    """They would carry the key along: the answer is the redirect itself."""
    with scripted(always(http_response(b"there", "Location: /elsewhere", status=status))) as backend:
        answer = backend.exchange(all_headers=True)
        assert (answer.status, answer.data) == (int(status[:3]), b"there")
        assert answer.headers["location"] == "/elsewhere"
        assert [received.target for received in backend.received] == ["/"]


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not asked, whichever variable names them."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted(always(http_response(b"of a proxy"))) as proxy, scripted(always(http_response(b"ok"))) as backend:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.server.url)
        assert backend.exchange().data == b"ok"
        assert proxy.received == []


def test_nothing_comes_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a user's .netrc nor a cookie of an earlier answer is sent."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    with scripted(always(http_response(b"", "Set-Cookie: session=1"))) as backend:
        backend.exchange()
        backend.exchange()
        assert [(got.headers["cookie"], got.headers["authorization"]) for got in backend.received] == [(None, None)] * 2


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_answers(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """They are asked for, and come out as they were before."""
    with scripted(always(http_response(compress(b"text" * 99), f"Content-Encoding: {encoding}"))) as backend:
        assert backend.exchange().data == b"text" * 99
        assert [received.headers["accept-encoding"] for received in backend.received] == ["gzip, deflate"]


def test_answers_that_are_not_to_be_compressed() -> None:
    """The server is told so."""
    with scripted(always(http_response(b"text")), compressed=False) as backend:
        assert backend.exchange().data == b"text"
        assert [received.headers["accept-encoding"] for received in backend.received] == ["identity"]


def test_all_headers() -> None:
    """Each is there by its name in lower case, with its value in Latin-1; of doubles the last one."""
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


def test_the_two_headers_that_are_always_there() -> None:
    """Where not all of them are wanted, none but these is read."""
    lines = ("X-Other: 1", "CONTENT-TYPE: application/vnd.api+json", "RETRY-AFTER: 5")
    with scripted(always(http_response(b"ok", *lines))) as backend:
        assert backend.exchange().headers == {"content-type": "application/vnd.api+json", "retry-after": "5"}


@pytest.mark.parametrize("all_headers", [True, False])
def test_a_content_type_that_is_not_ascii(*, all_headers: bool) -> None:
    """It is read in Latin-1, like any header."""
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
    """Seconds are what they are; nothing, what can't be read, and a time that is over ask for no wait."""
    with scripted(always(http_response(b"", *([header] if header else []), status="429 Slow Down"))) as backend:
        assert retry_after(backend.exchange(all_headers=all_headers).headers) == seconds


def test_retry_after_a_date() -> None:
    """A date becomes the seconds until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with scripted(always(http_response(b"", f"Retry-After: {date}", status="429 Slow Down"))) as backend:
        seconds = retry_after(backend.exchange().headers)
    assert seconds is not None
    assert 3600 - LONG < seconds <= 3600


@pytest.mark.parametrize("all_headers", [True, False])
def test_interim_answers(*, all_headers: bool) -> None:
    """They are passed over: status, headers and body are the last answer's."""
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\nRetry-After: 9\r\nX-Told: early\r\n\r\n"
    last = http_response(b"ok", "Content-Type: text/late", "Retry-After: 3", "X-Told: late", status="429 Slow Down")
    with scripted(always(b"HTTP/1.1 100 Continue\r\n\r\n" + early, early, last)) as backend:
        for _ in range(2):
            answer = backend.exchange("POST", body=b"body", all_headers=all_headers)
            assert (answer.status, answer.data) == (429, b"ok")
            others = {"content-length": "2", "x-told": "late"} if all_headers else {}
            assert answer.headers == {"content-type": "text/late", "retry-after": "3", **others}


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "dict", "telnet"])
def test_no_other_protocol(scheme: str, tmp_path: Path) -> None:
    """A URL that is neither http nor https is refused before anything is opened: libcurl reads files as well."""
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t", encoding="utf-8")
    url = secret.as_uri() if scheme == "file" else f"{scheme}://127.0.0.1:9/"
    with pytest.raises(NoAnswerError) as raised:
        Connections(compressed=True).exchange("GET", url, [], None, LONG_TIMEOUTS)
    assert raised.value.code == "UNSUPPORTED_PROTOCOL"
