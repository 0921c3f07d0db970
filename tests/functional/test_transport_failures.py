"""Calls without a complete answer: each ends within its timeout, with an error code that names the cause."""

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import pycurl
import pytest

from clients.retrying import Timeouts
from clients.transport import Connections, NoAnswerError
from tests.functional.failure_cases import Stopwatch
from tests.functional.scripted_server import (
    LONG,
    LONG_TIMEOUTS,
    Ending,
    Received,
    Script,
    always,
    http_response,
    scripted,
)

SOON = 0.3
SLACK = 1.0
TARGET = "/customers/customer-4711"
BODY = b'{"email": "jane.roe@shop.example"}'
RESPONSE_START = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


def error_code(url: str, timeouts: Timeouts, body: bytes | None = None) -> str:
    """The error code of a call that fails."""
    connections = Connections(compressed=True)
    try:
        with pytest.raises(NoAnswerError) as caught:
            connections.exchange("POST", url, [], body, timeouts)
    finally:
        connections.close()
    return caught.value.code


@contextmanager
def assert_takes(seconds: float) -> Iterator[None]:
    """Assert that the block takes this many seconds, with some slack for a busy machine."""
    watch = Stopwatch()
    yield
    # libcurl's timers have whole milliseconds.
    assert seconds - 0.01 < watch.seconds < seconds + SLACK


def repeating(start: bytes, part: bytes) -> Script:
    """Send `start`, then `part` every 20 ms, for longer than a call may take."""

    def script(_: Received) -> Iterator[bytes]:
        yield start
        watch = Stopwatch()
        while watch.seconds < LONG:
            time.sleep(0.02)
            yield part

    return script


@contextmanager
def silent_port(backlog: int = 8) -> Iterator[int]:
    """A port that accepts connections and never answers. It closes after LONG seconds: a test fails, not hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listening:
        timer = threading.Timer(LONG, listening.shutdown, [socket.SHUT_RDWR])
        timer.start()
        try:
            yield listening.getsockname()[1]
        finally:
            timer.cancel()
            timer.join()


@contextmanager
def full_port() -> Iterator[int]:
    """A port with a full backlog: new connections are neither accepted nor refused."""
    with silent_port(backlog=0) as port, ExitStack() as waiting:
        for _ in range(4):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(("127.0.0.1", port))
        yield port


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is bound, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(always(), id="no answer"),
        pytest.param(always(b"HTTP/1.1 200 OK\r\nContent-Le"), id="stops in the headers"),
        pytest.param(always(RESPONSE_START, b"the beginning"), id="stops in the body"),
        pytest.param(
            always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"), id="no last chunk"
        ),
        pytest.param(repeating(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), id="a byte of a header at a time"),
        pytest.param(repeating(RESPONSE_START, b"x"), id="a byte of the body at a time"),
        pytest.param(repeating(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), id="interim answers without end"),
    ],
)
@pytest.mark.parametrize("all_headers", [True, False])
def test_the_whole_call_has_a_timeout(script: Script, *, all_headers: bool) -> None:
    """However slowly a server answers, the call ends at its timeout, on a new connection and on a reused one."""
    with scripted(lambda received: [http_response()] if received.target == "/first" else script(received)) as backend:
        for _ in range(2):
            with assert_takes(SOON), pytest.raises(NoAnswerError) as caught:
                backend.exchange("POST", body=BODY, timeouts=(LONG, SOON), all_headers=all_headers)
            assert caught.value.code == "OPERATION_TIMEDOUT"
            backend.exchange(target="/first")


def test_a_server_that_does_not_read() -> None:
    """The timeout covers sending the body too."""
    with silent_port() as port, assert_takes(SOON):
        assert error_code(f"http://127.0.0.1:{port}", (LONG, SOON), bytes(32_000_000)) == "OPERATION_TIMEDOUT"


@pytest.mark.parametrize(
    ("place", "scheme"), [(full_port, "http"), (silent_port, "https")], ids=["no connection", "no TLS handshake"]
)
@pytest.mark.parametrize("timeouts", [(SOON, LONG), (LONG, SOON)], ids=["to connect", "for all"])
def test_connecting_has_a_timeout(
    place: Callable[[], AbstractContextManager[int]], scheme: str, timeouts: Timeouts
) -> None:
    """Connecting, TLS included, ends at the connect timeout or at the timeout of the whole call."""
    with place() as port, assert_takes(SOON):
        assert error_code(f"{scheme}://127.0.0.1:{port}", timeouts) == "OPERATION_TIMEDOUT"


@pytest.mark.parametrize("timeouts", [(LONG, 0.0), (LONG, -3.0), (0.0, LONG), (-3.0, LONG)])
def test_no_time_left(timeouts: Timeouts) -> None:
    """A timeout of zero or less ends the call at once. To libcurl, 0 would mean no timeout."""
    with silent_port() as port, assert_takes(0):
        assert error_code(f"https://127.0.0.1:{port}", timeouts) == "OPERATION_TIMEDOUT"


def test_names_are_resolved_asynchronously() -> None:
    """Names are resolved in a thread of libcurl's own. Otherwise no timeout would apply to a name server that hangs."""
    assert pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS


def test_the_rest_of_a_late_answer_is_dropped() -> None:
    """After a timeout the rest of the answer is never read as the next call's answer."""

    def script(received: Received) -> Iterator[bytes]:
        if received.target == "/late":
            yield RESPONSE_START + b"the beginning"
            time.sleep(SOON)
            yield b"x" * 987 + http_response(b"late")
        else:
            time.sleep(SOON)
            yield http_response(b"own")

    with scripted(script) as backend:
        with pytest.raises(NoAnswerError, match="OPERATION_TIMEDOUT"):
            backend.exchange(target="/late", timeouts=(LONG, 0.1))
        assert backend.exchange().data == b"own"
        assert [received.connection for received in backend.received] == [0, 1]


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        pytest.param([Ending.CLOSED], "GOT_NOTHING", id="closed without an answer"),
        pytest.param([Ending.RESET], "RECV_ERROR", id="reset without an answer"),
        pytest.param([b"HTTP/1.1 204 No Conte", Ending.CLOSED], "GOT_NOTHING", id="cut off in the first line"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", Ending.CLOSED], "GOT_NOTHING", id="only an interim answer"),
        pytest.param([RESPONSE_START, b"the beginning", Ending.CLOSED], "PARTIAL_FILE", id="cut off in the body"),
        pytest.param([RESPONSE_START, b"the beginning", Ending.RESET], "RECV_ERROR", id="reset in the body"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", Ending.CLOSED],
            "PARTIAL_FILE",
            id="cut off before the last chunk",
        ),
        pytest.param(
            [http_response(b"no gzip", "Content-Encoding: gzip")], "BAD_CONTENT_ENCODING", id="not what it says"
        ),
        pytest.param([http_response(b"", "Content-Length: -7")], "WEIRD_SERVER_REPLY", id="no length"),
        pytest.param([http_response(b"", "no header")], "WEIRD_SERVER_REPLY", id="no header"),
        pytest.param(
            [b"\x00\x01\x02\r\n\r\n", Ending.CLOSED],
            "UNSUPPORTED_PROTOCOL",
            id="no HTTP",
        ),
        pytest.param(
            [b"SSH-2.0-OpenSSH_9.9\r\n"],
            "UNSUPPORTED_PROTOCOL",
            id="another protocol",
        ),
    ],
)
@pytest.mark.parametrize("all_headers", [True, False])
def test_incomplete_answers(parts: list[bytes | Ending], name: str, *, all_headers: bool) -> None:
    """An incomplete answer raises an error that names the cause. The request is sent once, and the next call works."""
    with scripted(lambda received: [http_response(b"ok")] if received.target == "/next" else parts) as backend:
        with pytest.raises(NoAnswerError) as caught:
            backend.exchange("POST", body=BODY, all_headers=all_headers)
        assert caught.value.code == name
        assert len(backend.received) == 1
        assert backend.exchange(target="/next").data == b"ok"


def test_cut_off_in_the_headers() -> None:
    """If the connection ends in the headers, libcurl reports the status with an empty body: the server has decided."""
    with scripted(always(b"HTTP/1.1 204 No Content\r\nX-Te", Ending.CLOSED)) as backend:
        answer = backend.exchange("POST", body=BODY)
        assert (answer.status, answer.data) == (204, b"")


@pytest.mark.parametrize("broken", ["key: a\nb", "key: a\rb", "key: a\0b", "key: a\r\nContent-Length: 0\r\n"])
def test_a_header_that_would_break_the_request(broken: str) -> None:
    """A key with a line break is not sent, as it would inject headers. The error does not show the key."""
    with pytest.raises(NoAnswerError) as caught:
        Connections(compressed=False).exchange("POST", "http://127.0.0.1:1", [broken], BODY, (LONG, LONG))
    assert str(caught.value) == "BAD_HEADER"


def test_refused_connection() -> None:
    """A refused connection is `COULDNT_CONNECT`."""
    with closed_port() as port:
        assert error_code(f"http://127.0.0.1:{port}", LONG_TIMEOUTS) == "COULDNT_CONNECT"


def test_invalid_url() -> None:
    """An invalid URL is `URL_MALFORMAT`."""
    assert error_code("http://127.0.0.1:port", LONG_TIMEOUTS) == "URL_MALFORMAT"


def test_an_error_shows_its_code_only() -> None:
    """Neither its text nor its traceback contains the URL or the body, which identify people."""
    connections = Connections(compressed=True)
    with closed_port() as port, pytest.raises(NoAnswerError) as caught:
        connections.exchange("POST", f"http://127.0.0.1:{port}{TARGET}", [], BODY, LONG_TIMEOUTS)
    connections.close()
    assert str(caught.value) == caught.value.code
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert not [secret for secret in ("customer-4711", "jane.roe", str(port)) if secret in shown]
