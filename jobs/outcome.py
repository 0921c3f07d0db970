"""How a run ends: exit codes, and the errors that stop it early."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

DONE, WITH_ERRORS, BAD_ARGUMENTS, DRIFT, BRAKE, INTERRUPTED, DENIED, REFUSED = 0, 1, 2, 3, 4, 75, 77, 78
"""Exit codes. 75: run the same command again to resume. 77: missing permission. 78: bad state file or settings."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the exit code, the JSON report, and a message for people if there is something to act on.

    `leaves_threads` is True if threads are still running; the process must exit without waiting for them.
    """

    code: int
    report: dict[str, Any]
    message: str = ""
    leaves_threads: bool = False


class StoppedError(Exception):
    """The run stops early. The text says why and what to do; `code` is the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.leaves_threads = False
        """True if threads are still running; the process must exit without waiting for them."""


class InterruptedRunError(StoppedError):
    """A signal stopped the run. With `leaves_threads` a page was not finished in time; the next run repeats it."""

    def __init__(self, *, leaves_threads: bool) -> None:
        super().__init__(INTERRUPTED, "Interrupted. Run the same command again to resume.")
        self.leaves_threads = leaves_threads


class RefusedStateError(StoppedError):
    """The state file can't be used: it belongs to another run, or can't be read or written."""

    def __init__(self, text: str) -> None:
        super().__init__(REFUSED, text)


class LostStateError(RefusedStateError):
    """Another run has taken over the state file."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set inside the `with` block."""
    stop = threading.Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, set_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
