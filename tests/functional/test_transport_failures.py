"""What becomes of a call that gets no whole answer: it ends in time, and with a name that says why."""

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
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


def code(url: str, timeouts: Timeouts, body: bytes | None = None) -> str:
    """The name of the failure that a call ends with."""
    connections = Connections(compressed=True)
    try:
        with pytest.raises(NoAnswerError) as caught:
            connections.exchange("POST", url, [], body, timeouts)
    finally:
        connections.close()
    return caught.value.code


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """Hold that what is inside takes so long, and no longer than a busy machine makes it."""
    watch = Stopwatch()
    yield
    # Timers are told in whole milliseconds.
    assert seconds - 0.01 < watch.seconds < seconds + SLACK


def again_and_again(begun: bytes, part: bytes) -> Script:
    """A beginning, and then a part of an answer every few milliseconds, for longer than a call may take."""

    def script(_: Received) -> Iterator[bytes]:
        yield begun
        watch = Stopwatch()
        while watch.seconds < LONG:
            time.sleep(0.02)
            yield part

    return script


@contextmanager
def silent(backlog: int = 8) -> Iterator[int]:
    """A port where connections are made and nobody answers; after long enough to fail a test, they are reset."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listening:
        patience = threading.Timer(LONG, listening.shutdown, [socket.SHUT_RDWR])
        patience.start()
        try:
            yield listening.getsockname()[1]
        finally:
            patience.cancel()
            patience.join()


@contextmanager
def full() -> Iterator[int]:
    """A port where no further connection is made, and none refused."""
    with silent(backlog=0) as port, ExitStack() as waiting:
        for _ in range(4):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(("127.0.0.1", port))
        yield port


@contextmanager
def nobody() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(always(), id="no answer"),
        pytest.param(always(b"HTTP/1.1 200 OK\r\nContent-Le"), id="stops in the headers"),
        pytest.param(always(BEGUN, b"the beginning"), id="stops in the body"),
        pytest.param(
            always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"), id="no last chunk"
        ),
        pytest.param(again_and_again(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), id="a byte of a header at a time"),
        pytest.param(again_and_again(BEGUN, b"x"), id="a byte of the body at a time"),
        pytest.param(again_and_again(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), id="interim answers without end"),
    ],
)
@pytest.mark.parametrize("all_headers", [True, False])
def test_the_whole_call_is_bounded(script: Script, *, all_headers: bool) -> None:
    """However a server takes its time, the call ends with it, on a new connection and on a kept one."""
    with scripted(lambda received: [http_response()] if received.target == "/first" else script(received)) as backend:
        for _ in range(2):
            with taking(SOON), pytest.raises(NoAnswerError) as caught:
                backend.exchange("POST", body=BODY, timeouts=(LONG, SOON), all_headers=all_headers)
            assert caught.value.code == "OPERATION_TIMEDOUT"
            backend.exchange(target="/first")


def test_a_server_that_does_not_read() -> None:
    """Sending is bounded too."""
    with silent() as port, taking(SOON):
        assert code(f"http://127.0.0.1:{port}", (LONG, SOON), bytes(32_000_000)) == "OPERATION_TIMEDOUT"


@pytest.mark.parametrize(
    ("place", "scheme"), [(full, "http"), (silent, "https")], ids=["no connection", "no TLS handshake"]
)
@pytest.mark.parametrize("timeouts", [(SOON, LONG), (LONG, SOON)], ids=["to connect", "for all"])
def test_connecting_is_bounded(
    place: Callable[[], AbstractContextManager[int]], scheme: str, timeouts: Timeouts
) -> None:
    """By its own time, TLS included, and by that of the whole call."""
    with place() as port, taking(SOON):
        assert code(f"{scheme}://127.0.0.1:{port}", timeouts) == "OPERATION_TIMEDOUT"


@pytest.mark.parametrize("timeouts", [(LONG, 0.0), (LONG, -3.0), (0.0, LONG), (-3.0, LONG)])
def test_no_time_left(timeouts: Timeouts) -> None:
    """Nothing, or less, is no time at all: libcurl's 0 would be time without end."""
    with silent() as port, taking(0):
        assert code(f"https://127.0.0.1:{port}", timeouts) == "OPERATION_TIMEDOUT"


def test_names_are_looked_up_beside_the_call() -> None:
    """That takes a thread of libcurl's own: without it a name server that is silent would not be bounded."""
    assert pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS


def test_the_rest_of_an_answer_that_came_too_late() -> None:
    """It is not taken for the answer to the next call, nor is what was there of it."""

    def script(received: Received) -> Iterator[bytes]:
        if received.target == "/late":
            yield BEGUN + b"the beginning"
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
        pytest.param([BEGUN, b"the beginning", Ending.CLOSED], "PARTIAL_FILE", id="cut off in the body"),
        pytest.param([BEGUN, b"the beginning", Ending.RESET], "RECV_ERROR", id="reset in the body"),
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
def test_no_whole_answer(parts: list[bytes | Ending], name: str, *, all_headers: bool) -> None:
    """It is named, not taken for an answer; the request was sent once, and the next call is not hurt by it."""
    with scripted(lambda received: [http_response(b"ok")] if received.target == "/next" else parts) as backend:
        with pytest.raises(NoAnswerError) as caught:
            backend.exchange("POST", body=BODY, all_headers=all_headers)
        assert caught.value.code == name
        assert len(backend.received) == 1
        assert backend.exchange(target="/next").data == b"ok"


def test_cut_off_in_the_headers() -> None:
    """The status is there, so the server has decided: libcurl takes it for an answer without a body."""
    with scripted(always(b"HTTP/1.1 204 No Content\r\nX-Te", Ending.CLOSED)) as backend:
        answer = backend.exchange("POST", body=BODY)
        assert (answer.status, answer.data) == (204, b"")


@pytest.mark.parametrize("broken", ["key: a\nb", "key: a\rb", "key: a\0b", "key: a\r\nContent-Length: 0\r\n"])
def test_a_header_that_would_break_the_request(broken: str) -> None:
    """A key with a line break is not sent: it would end the head early. The error does not show it."""
    with pytest.raises(NoAnswerError) as caught:
        Connections(compressed=False).exchange("POST", "http://127.0.0.1:1", [broken], BODY, (LONG, LONG))
    assert str(caught.value) == "BAD_HEADER"


def test_nobody_listens() -> None:
    """A connection that is refused is named so."""
    with nobody() as port:
        assert code(f"http://127.0.0.1:{port}", LONG_TIMEOUTS) == "COULDNT_CONNECT"


def test_no_address() -> None:
    """An address that is none is named so."""
    assert code("http://127.0.0.1:port", LONG_TIMEOUTS) == "URL_MALFORMAT"


def test_an_error_says_its_name_alone() -> None:
    """Neither its text nor its traceback has the address or the body, which name people."""
    connections = Connections(compressed=True)
    with nobody() as port, pytest.raises(NoAnswerError) as caught:
        connections.exchange("POST", f"http://127.0.0.1:{port}{TARGET}", [], BODY, LONG_TIMEOUTS)
    connections.close()
    assert str(caught.value) == caught.value.code
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert not [secret for secret in ("customer-4711", "jane.roe", str(port)) if secret in told]
