"""What the page knows of a message: its data, each delivery attempt, and what it changed in Klaviyo."""

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
    """A message from commercetools: a sample, or text typed into the page. `data` is the Pub/Sub message's data."""

    name: str
    description: str
    data: bytes = field(repr=False)
    sample: Sample | None = None

    @classmethod
    def from_sample(cls, sample: Sample) -> "Message":
        """The message of a sample."""
        return cls(sample.name.replace("-", " ").capitalize(), sample.shows, sample.data, sample)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the function made to a backend, as the sandbox recorded it."""

    backend: Backend
    record: Mapping[str, Any]

    @property
    def status(self) -> int:
        """The HTTP status; 0 if there was no response."""
        return int(self.record["status"])

    @property
    def operation(self) -> str:
        """The name of the call in the SDK."""
        return str(self.record["operation"])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One push of a message: the function's log line, and its calls in the order in which they started."""

    at: datetime
    acknowledged: bool
    log_line: Mapping[str, Any]
    reads: Sequence[Read]
    calls: Sequence[Call]

    @property
    def outcome(self) -> str:
        """synced, ignored, dead-lettered or retried."""
        return str(self.log_line["outcome"])

    @property
    def reason(self) -> str:
        """The reason code; empty if the message was synced."""
        return str(self.log_line.get("reason", ""))

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        """The records of the calls to Klaviyo."""
        return [call.record for call in self.calls if call.backend == "Klaviyo"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a message is in the dead-letter topic. `forwarded` is True if the subscription gave up on it."""

    at: datetime
    reason: str
    error: str = ""
    forwarded: bool = False


@dataclass(slots=True)
class Delivery:
    """One message and its delivery attempts.

    `repeated` is True for a duplicate: the second of two deliveries with one message id. `due` is the time of the next
    attempt, in seconds since the epoch, or None. `replayed_as` is the number of the delivery that replayed the dead
    letter, or 0.
    """

    number: int
    message: Message
    at: datetime
    repeated: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    due: float | None = None
    dead_letter: DeadLetter | None = None
    replayed_as: int = 0
    changes: Changes = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """The resource as the function's log names it; empty before the first attempt."""
        return str(self.attempts[-1].log_line.get("resource", "")) if self.attempts else ""

    @property
    def type(self) -> str:
        """The message type; before the first attempt the message's name."""
        return str(self.attempts[-1].log_line.get("type") or self.message.name) if self.attempts else self.message.name

    @property
    def is_waiting(self) -> bool:
        """True if there will be another attempt."""
        return not self.dead_letter and not (self.attempts and self.attempts[-1].acknowledged)

    @property
    def outcome(self) -> str:
        """synced, ignored or dead-lettered; while it waits, queued before the first attempt and retried after it."""
        if self.dead_letter:
            return "dead-lettered"
        return self.attempts[-1].outcome if self.attempts else "queued"
