"""How a run ends: its exit codes, and what stops it before it is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

DONE, WITH_ERRORS, BAD_ARGUMENTS, DRIFT, BRAKE, INTERRUPTED, DENIED, REFUSED = 0, 1, 2, 3, 4, 75, 77, 78
"""Exit codes. 75: the same command goes on; 77: a right is missing; 78: state file or configuration are refused."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its exit code, the report as JSON has it, and what to say to people where it was stopped.

    With `abandons` threads are still at work, which the process must not wait for.
    """

    code: int
    report: dict[str, Any]
    message: str = ""
    leaves_threads: bool = False


class StoppedError(Exception):
    """The run stops before its end; the text says why, and what to do. `code` is the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.leaves_threads = False
        """Whether work is left under way: the process must not wait for it."""


class InterruptedRunError(StoppedError):
    """Somebody asked the run to end. With `abandons` a page was not finished in time, and will be repeated."""

    def __init__(self, *, leaves_threads: bool) -> None:
        super().__init__(INTERRUPTED, "Interrupted. Go on with the same command.")
        self.leaves_threads = leaves_threads


class RefusedStateError(StoppedError):
    """The state file is another run's."""

    def __init__(self, text: str) -> None:
        super().__init__(REFUSED, text)


class LostStateError(RefusedStateError):
    """Another run has the state file now."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set inside."""
    stop = threading.Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, set_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
