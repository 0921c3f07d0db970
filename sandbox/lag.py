"""Reads that lag behind writes: the recent past of a state, and which moment of it a read shows."""

import random
import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

State = TypeVar("State")


@dataclass(slots=True)
class Lag:
    """How old what a read shows may be: each read draws its age, in seconds, between `least` and `most`."""

    least: float = 0.0
    most: float = 0.0
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def set(self, least: float, most: float) -> None:
        """Change the bounds; raises ValueError."""
        if not 0 <= least <= most:
            raise ValueError("a lag is a number of seconds, and not longer than `up_to`")
        self.least, self.most = least, most

    def seed(self, number: int) -> None:
        """Start the drawing anew."""
        self._random.seed(number)

    def seconds(self) -> float:
        """The age of what one read shows."""
        return self._random.uniform(self.least, self.most) if self.most else 0.0


class Past(Generic[State]):
    """The states that were replaced lately; they must not change any more."""

    def __init__(self) -> None:
        self._replaced: list[tuple[float, State]] = []

    def keep(self, state: State, seconds: float) -> None:
        """Remember a state that is replaced now, for so many seconds."""
        now = time.monotonic()
        self._replaced = [(at, kept) for at, kept in self._replaced if at > now - seconds]
        self._replaced.append((now, state))

    def ago(self, seconds: float, current: State) -> State:
        """The state of some seconds ago; `current` is the one that was not replaced yet."""
        if seconds:
            horizon = time.monotonic() - seconds
            for replaced_at, state in self._replaced:
                if replaced_at > horizon:
                    return state
        return current
