"""Klaviyo's bulk jobs: taken at once, done row by row later, each row with its own failure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.klaviyo_errors import Refused

Write = Callable[[Any], None]
"""Does what a row asks for; raises Refused."""

_KEPT = timedelta(days=7)
_QUEUED = 0.5
"""Part of a job's time that it waits before its first row."""


@dataclass(slots=True)
class Job:
    """One job. Moments are `time.monotonic`; its rows are spread over what is left of its time after the queue."""

    id: str
    kind: str
    rows: Sequence[Any]
    write: Write
    posted_at: float
    seconds: float
    created: datetime
    done: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    """What was wrong with rows, as JSON:API writes it, with `row`: the index."""

    def due(self, index: int) -> float:
        """When a row is done."""
        queued = self.seconds * _QUEUED
        return self.posted_at + queued + (self.seconds - queued) * (index + 1) / len(self.rows)

    @property
    def status_now(self) -> str:
        """`queued`, `processing`, `complete`."""
        if self.done == len(self.rows):
            return "complete"
        return "queued" if time.monotonic() < self.posted_at + self.seconds * _QUEUED else "processing"

    def resource(self, origin: str) -> dict[str, Any]:
        """The job as JSON:API shows it."""
        status = self.status_now
        ended = self.created + timedelta(seconds=self.seconds)
        attributes: dict[str, Any] = {
            "status": status,
            "created_at": self.created.isoformat(),
            "total_count": len(self.rows),
            "completed_count": self.done - self.failed,
            "failed_count": self.failed,
            "completed_at": ended.isoformat() if status == "complete" else None,
            "expires_at": (self.created + _KEPT).isoformat(),
        }
        return {
            "type": self.kind,
            "id": self.id,
            "attributes": attributes,
            "links": {"self": f"{origin}/api/{self.kind}s/{self.id}"},
        }


class BulkJobs:
    """All jobs of an account. `seconds` is how long each takes from now on; with 0 it is done when it is taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.by_id: dict[str, Job] = {}

    def take(self, kind: str, rows: Sequence[Any], write: Write) -> Job:
        """A new job; raises Refused for one without rows."""
        if not rows:
            raise Refused(400, "A job needs at least one record.", pointer="/data/attributes")
        number = len(self.by_id) + 1
        job = Job(f"01SANDBOXJOB{number:014d}", kind, rows, write, time.monotonic(), self.seconds, datetime.now(UTC))
        self.by_id[job.id] = job
        self.work()
        return job

    def work(self) -> None:
        """Do the rows that are due by now, in the order of their times: whoever looks sees them done."""
        now = time.monotonic()
        while due := [job for job in self.by_id.values() if job.done < len(job.rows) and job.due(job.done) <= now]:
            job = min(due, key=lambda one: one.due(one.done))
            index, job.done = job.done, job.done + 1
            try:
                job.write(job.rows[index])
            except Refused as refused:
                job.failed += 1
                job.errors += [{**error, "row": index} for error in refused.errors]

    def find(self, kind: str, identity: str) -> Job:
        """A job; raises Refused (404)."""
        job = self.by_id.get(identity)
        if job is None or job.kind != kind:
            raise Refused(404, f"A {kind} with id {identity} does not exist.")
        return job

    def of(self, kind: str) -> list[Job]:
        """All jobs of a kind, the newest first."""
        return [job for job in reversed(self.by_id.values()) if job.kind == kind]
