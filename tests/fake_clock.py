"""A clock for tests: waiting takes no time."""

import threading


class FakeClock(threading.Event):
    """A clock and a stop signal. Each wait or sleep returns immediately and moves the clock forward.

    The signal is set only if the test sets it. The clock can also replace the module `time`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        """The time in seconds. Like a machine's clock, it does not start at zero. A test may set it."""
        self.waits: list[float] = []
        """Seconds of each wait and sleep so far."""

    def monotonic(self) -> float:
        """The time in seconds."""
        return self.now

    def time(self) -> float:
        """The same time, for code that reads `time.time`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move the clock forward."""
        self.waits.append(seconds)
        self.now += seconds

    def wait(self, timeout: float | None = None) -> bool:
        """Return True if the signal is set. Otherwise move the clock forward and return False, as after a timeout."""
        if self.is_set():
            return True
        self.sleep(timeout or 0.0)
        return False
