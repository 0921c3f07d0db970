"""Parallel writes of a message: how many run at once, and what happens if one fails."""

import gc
import threading
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from clients.retrying import message_budget
from core.errors import DeadLetter, Refused, TryAgain
from core.rules import Limits
from handlers.services import Services
from tests.unit.strategies import settings_with


@pytest.mark.parametrize(("setting", "parallel"), [(0, 1 + 3), (1, 1 + 1)], ids=["as many as threads", "as configured"])
def test_number_of_parallel_writes(setting: int, parallel: int) -> None:
    """A message uses its own thread and this many threads of the pool."""
    services = Services(settings_with({"limits": {"parallel_writes": setting}}, threads=3))
    guard, all_inside = threading.Lock(), threading.Barrier(parallel, timeout=60)
    inside = most = 0

    def write() -> None:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        all_inside.wait()
        with guard:
            inside -= 1

    try:
        with message_budget(Limits()):
            services.in_parallel([("part", write)] * (8 * parallel))
    finally:
        services.close()
    assert most == parallel


def _refusal() -> Refused:
    return Refused("klaviyo", "create_event", status=400)


def _failure() -> TryAgain:
    return TryAgain("klaviyo_denied", status=401)


def test_a_refused_part_does_not_stop_the_others() -> None:
    """All other parts are written. The error raised names the refused part."""
    services = Services(settings_with({}, threads=1))
    written: list[int] = []

    def write(number: int) -> None:
        if number == 3:
            raise _refusal()
        written.append(number)

    try:
        with message_budget(Limits()), pytest.raises(DeadLetter) as raised:
            services.in_parallel((f"part {number}", partial(write, number)) for number in range(10))
    finally:
        services.close()
    assert raised.value.part == "part 3"
    assert sorted(written) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_retryable_error_outweighs_a_refusal() -> None:
    """A message that can succeed later does not become a dead letter because one of its parts was refused."""
    services = Services(settings_with({}, threads=1))

    def write(error: Callable[[], Exception]) -> None:
        raise error()

    try:
        with message_budget(Limits()), pytest.raises(TryAgain, match="klaviyo_denied"):
            services.in_parallel([("refused", partial(write, _refusal)), ("failed", partial(write, _failure))])
    finally:
        services.close()


@pytest.mark.parametrize("error", [_refusal, _failure])
def test_a_failed_write_frees_its_documents_immediately(error: Callable[[], Exception]) -> None:
    """Garbage collection is not needed for it. In an outage every message fails, so they would pile up."""
    services = Services(settings_with({}, threads=1))

    class Document:
        pass

    def failing() -> weakref.ref[Document]:
        document = Document()

        def write() -> None:
            if document:
                raise error()

        with message_budget(Limits()), pytest.raises((DeadLetter, TryAgain)):
            services.in_parallel([("part", write)])
        return weakref.ref(document)

    gc.disable()
    try:
        assert failing()() is None
    finally:
        gc.enable()
        services.close()
