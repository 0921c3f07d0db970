"""What the page knows of a message: what was said, each attempt at it, and what it changed in Klaviyo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from commands.page.reads import Read
from commands.page.state_diff import Changes
from sandbox.samples import Sample

Backend = Literal["commercetools", "Klaviyo"]


@dataclass(frozen=True, slots=True)
class Message:
    """What commercetools says: a sample, or a text that somebody wrote. `data` is what Pub/Sub carries."""

    name: str
    shows: str
    data: bytes = field(repr=False)
    sample: Sample | None = None

    @classmethod
    def of(cls, sample: Sample) -> "Message":
        """The message of a sample."""
        return cls(sample.name.replace("-", " ").capitalize(), sample.shows, sample.data, sample)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the function made, with the sandbox's record of it."""

    backend: Backend
    record: Mapping[str, Any]

    @property
    def status(self) -> int:
        """The HTTP status; 0: no answer."""
        return int(self.record["status"])

    @property
    def operation(self) -> str:
        """The SDK's name of the call."""
        return str(self.record["operation"])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One push of a message: what the function said of it, and its calls in the order of their start."""

    at: datetime
    acknowledged: bool
    line: Mapping[str, Any]
    reads: Sequence[Read]
    calls: Sequence[Call]

    @property
    def outcome(self) -> str:
        """synced, ignored, dead-lettered or retried."""
        return str(self.line["outcome"])

    @property
    def reason(self) -> str:
        """The fixed word that says why; empty for what was synced."""
        return str(self.line.get("reason", ""))

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        """The record of the calls to Klaviyo."""
        return [call.record for call in self.calls if call.backend == "Klaviyo"]


@dataclass(frozen=True, slots=True)
class Letter:
    """Why a message lies in the dead-letter topic. `forwarded`: the subscription gave up on it."""

    at: datetime
    reason: str
    error: str = ""
    forwarded: bool = False


@dataclass(slots=True)
class Delivery:
    """One message and its attempts.

    `repeated`: the same message was delivered before. `due` is when the next attempt is, in seconds since the epoch.
    `replayed_as` is the number of the delivery that its letter became.
    """

    number: int
    message: Message
    at: datetime
    repeated: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    due: float | None = None
    letter: Letter | None = None
    replayed_as: int = 0
    changes: Changes = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """The resource as the function names it; empty before the first attempt."""
        return str(self.attempts[-1].line.get("resource", "")) if self.attempts else ""

    @property
    def type(self) -> str:
        """The message's type; its name before the first attempt."""
        return str(self.attempts[-1].line.get("type") or self.message.name) if self.attempts else self.message.name

    @property
    def is_waiting(self) -> bool:
        """Whether another attempt will follow."""
        return not self.letter and not (self.attempts and self.attempts[-1].acknowledged)

    @property
    def outcome(self) -> str:
        """synced, ignored, dead-lettered; retried or queued as long as it waits."""
        if self.letter:
            return "dead-lettered"
        return self.attempts[-1].outcome if self.attempts else "queued"

    @property
    def version(self) -> tuple[object, ...]:
        """Another one whenever there is something else to show."""
        return self.number, len(self.attempts), self.due, self.letter, self.replayed_as
