"""A clock for tests: waiting takes no time."""

import threading


class FakeClock(threading.Event):
    """A clock and a stop signal. Each wait or sleep returns immediately and moves the clock forward.

    The signal is only set if the test sets it. Also replaces the module `time`.
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

    def sleep(self, seconds: float) -> None:
        """Move the clock forward."""
        self.waits.append(seconds)
        self.now += seconds

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock forward and return False, as after a timeout."""
        self.sleep(timeout or 0.0)
        return False
