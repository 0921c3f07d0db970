"""What connections that are idle cost: no memory for what went over them."""

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
@pytest.mark.parametrize(("sent", "got"), [(SIZE, 0), (0, SIZE)], ids=["a body", "an answer"])
def test_idle_connections_hold_nothing(sent: int, got: int) -> None:
    """A large body, or answer, is free again when the caller has let go of it, though the handle is kept."""

    def script(_: Received) -> Iterator[bytes | Ending]:
        yield http_response(bytes(got))
        yield Ending.CLOSED  # so that the server's thread holds nothing of it either

    with scripted(script) as backend:
        assert len(backend.exchange("POST", body=bytes(sent)).data) == got
        backend.server.ended.get(timeout=LONG)
        assert len(backend.received.pop().body) == sent
        held, peak = tracemalloc.get_traced_memory()
    assert peak > SIZE
    assert held < SIZE / 4
