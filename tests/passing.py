"""Time that passes at once."""

import threading

_BEGAN = 1000.0


class Passing(threading.Event):
    """A signal that comes only when a test sets it, and a clock: both move on by what is waited, in no time.

    It stands in for the module `time` as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        """Seconds of each wait and sleep so far."""

    def monotonic(self) -> float:
        """Seconds; it has run for a while before, as a machine's clock has."""
        return _BEGAN + sum(self.waits)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waits.append(seconds)

    def wait(self, timeout: float | None = None) -> bool:
        """False, as after that time."""
        self.sleep(timeout or 0.0)
        return False
