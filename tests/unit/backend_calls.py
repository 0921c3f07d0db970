"""Backend calls for the tests of retries and pauses: operations, errors and scripted answers."""

from collections.abc import Callable
from typing import Any

from clients.pauses import Operation
from clients.retrying import Timeouts
from core.errors import Unavailable

READ = Operation("commercetools", "orders.get")
WRITE = Operation("klaviyo", "create_event")


def answers(*outcomes: Any) -> Callable[[Timeouts], Any]:
    """A `send` function with one answer per attempt. Errors are raised."""
    left = list(outcomes)

    def send(_timeouts: Timeouts) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return send


def throttled(retry_after: float | None = None) -> Unavailable:
    """The error of a 429 answer."""
    return Unavailable("throttled", status=429, retry_after=retry_after)


def broken() -> Unavailable:
    """The error of a 500 answer."""
    return Unavailable("klaviyo_error", status=500)
