"""Writes of a message that run at the same time: how many, and what becomes of them when one fails."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from clients.retrying import message_budget
from core.errors import DeadLetter, Refused, TryAgain
from core.rules import Limits
from handlers.services import Services
from tests.unit.strategies import settings_with


@pytest.mark.parametrize(("written", "at_once"), [(0, 1 + 3), (1, 1 + 1)], ids=["as many as threads", "as told"])
def test_writes_at_the_same_time(written: int, at_once: int) -> None:
    """The message's own thread, and so many helpers, no more."""
    services = Services(settings_with({"limits": {"parallel_writes": written}}, threads=3))
    guard = threading.Lock()
    inside = most = 0

    def write() -> None:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.03)
        with guard:
            inside -= 1

    try:
        with message_budget(Limits()):
            services.in_parallel([("part", write)] * 30)
    finally:
        services.close()
    assert most == at_once


def _refusal() -> Refused:
    return Refused("klaviyo", "create_event", status=400)


def _failure() -> TryAgain:
    return TryAgain("klaviyo_denied", status=401)


def test_a_refused_part_does_not_stop_the_others() -> None:
    """All are written, and the refusal that is raised names its part."""
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


def test_an_error_decides_before_a_refusal() -> None:
    """A message that can succeed later is not given up because a part of it was refused."""
    services = Services(settings_with({}, threads=1))

    def write(error: Callable[[], Exception]) -> None:
        raise error()

    try:
        with message_budget(Limits()), pytest.raises(TryAgain, match="klaviyo_denied"):
            services.in_parallel([("refused", partial(write, _refusal)), ("failed", partial(write, _failure))])
    finally:
        services.close()


@pytest.mark.parametrize("error", [_refusal, _failure])
def test_a_failed_write_leaves_nothing_behind(error: Callable[[], Exception]) -> None:
    """What it was to send is freed at once, without the collector: in an outage every message fails."""
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
