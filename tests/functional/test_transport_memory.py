"""Idle connections keep no bodies in memory."""

import tracemalloc
from collections.abc import Iterator

import pytest

from tests.functional.scripted_server import LONG, Ending, Received, http_response, scripted

SIZE = 4_000_000


@pytest.fixture
def _allocations_are_counted() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("_allocations_are_counted")
@pytest.mark.parametrize(("sent", "answered"), [(SIZE, 0), (0, SIZE)], ids=["a body", "an answer"])
def test_idle_connections_hold_nothing(sent: int, answered: int) -> None:
    """A large body or answer is freed once the caller drops it, although the libcurl handle is kept."""

    def script(_: Received) -> Iterator[bytes | Ending]:
        yield http_response(bytes(answered))
        yield Ending.CLOSED  # so that the server's thread frees its copy too

    with scripted(script) as backend:
        assert len(backend.exchange("POST", body=bytes(sent)).data) == answered
        backend.server.ended.get(timeout=LONG)
        assert len(backend.received.pop().body) == sent
        current, peak = tracemalloc.get_traced_memory()
    assert peak > SIZE
    assert current < SIZE / 4
