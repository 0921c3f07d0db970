"""How many writes of a message run at the same time."""

import threading
import time

import pytest

from clients.retrying import message_budget
from core.settings import Limits
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
            services.together([("part", write)] * 30)
    finally:
        services.close()
    assert most == at_once
