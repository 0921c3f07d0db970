"""Reads that lag behind writes: how far back a read looks, and the recent states it can return."""

import random
import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

State = TypeVar("State")


@dataclass(slots=True)
class Lag:
    """The lag of a kind of read. Each read draws its own, between `minimum` and `maximum` seconds."""

    minimum: float = 0.0
    maximum: float = 0.0
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def set(self, minimum: float, maximum: float) -> None:
        """Change the bounds, in seconds; raises ValueError."""
        if not 0 <= minimum <= maximum:
            raise ValueError("`seconds` must not be negative, nor greater than `up_to`")
        self.minimum, self.maximum = minimum, maximum

    def seed(self, number: int) -> None:
        """Seed the random numbers."""
        self._random.seed(number)

    def draw(self) -> float:
        """Draw the lag of one read, in seconds."""
        return self._random.uniform(self.minimum, self.maximum) if self.maximum else 0.0


class History(Generic[State]):
    """Recently replaced states. A stored state must not be modified."""

    def __init__(self) -> None:
        self._replaced: list[tuple[float, State]] = []

    def keep(self, state: State, seconds: float) -> None:
        """Store a state that is being replaced now, and drop those older than `seconds`."""
        now = time.monotonic()
        self._replaced = [(at, replaced) for at, replaced in self._replaced if at > now - seconds]
        self._replaced.append((now, state))

    def as_of(self, seconds: float, current: State) -> State:
        """The state of `seconds` ago; `current` if it has not been replaced since."""
        if seconds:
            horizon = time.monotonic() - seconds
            for replaced_at, state in self._replaced:
                if replaced_at > horizon:
                    return state
        return current
