"""Klaviyo's bulk jobs: accepted immediately, processed row by row later. A failed row leaves the others alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.klaviyo_errors import Refused

Write = Callable[[Any], None]
"""Carries out one row; raises Refused."""

_EXPIRES_AFTER = timedelta(days=7)
_QUEUED_SHARE = 0.5
"""Share of a job's duration that it spends in the queue."""


@dataclass(slots=True)
class Job:
    """A job. `posted_at` is on the `time.monotonic` clock; rows are spread evenly over the time after the queue."""

    id: str
    kind: str
    rows: Sequence[Any]
    write: Write
    posted_at: float
    seconds: float
    created: datetime
    processed: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    """JSON:API errors of the failed rows; `row` is the row's index."""

    def due(self, index: int) -> float:
        """When a row is processed, on the `time.monotonic` clock."""
        queued = self.seconds * _QUEUED_SHARE
        return self.posted_at + queued + (self.seconds - queued) * (index + 1) / len(self.rows)

    @property
    def status(self) -> str:
        """`queued`, `processing` or `complete`."""
        if self.processed == len(self.rows):
            return "complete"
        return "queued" if time.monotonic() < self.posted_at + self.seconds * _QUEUED_SHARE else "processing"

    def resource(self, origin: str) -> dict[str, Any]:
        """The job as a JSON:API resource."""
        status = self.status
        ended = self.created + timedelta(seconds=self.seconds)
        attributes: dict[str, Any] = {
            "status": status,
            "created_at": self.created.isoformat(),
            "total_count": len(self.rows),
            "completed_count": self.processed - self.failed,
            "failed_count": self.failed,
            "completed_at": ended.isoformat() if status == "complete" else None,
            "expires_at": (self.created + _EXPIRES_AFTER).isoformat(),
        }
        return {
            "type": self.kind,
            "id": self.id,
            "attributes": attributes,
            "links": {"self": f"{origin}/api/{self.kind}s/{self.id}"},
        }


class BulkJobs:
    """All jobs of an account. A new job takes `seconds`; with 0 it is processed immediately."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.by_id: dict[str, Job] = {}

    def accept(self, kind: str, rows: Sequence[Any], write: Write) -> Job:
        """Create a job; raises Refused if it has no rows."""
        if not rows:
            raise Refused(400, "A job needs at least one record.", pointer="/data/attributes")
        number = len(self.by_id) + 1
        job = Job(f"01SANDBOXJOB{number:014d}", kind, rows, write, time.monotonic(), self.seconds, datetime.now(UTC))
        self.by_id[job.id] = job
        self.run_due_rows()
        return job

    def run_due_rows(self) -> None:
        """Process all rows that are due, in the order of their due times. Runs before every request and state dump."""
        now = time.monotonic()
        while due := [
            job for job in self.by_id.values() if job.processed < len(job.rows) and job.due(job.processed) <= now
        ]:
            job = min(due, key=lambda job: job.due(job.processed))
            index, job.processed = job.processed, job.processed + 1
            try:
                job.write(job.rows[index])
            except Refused as refused:
                job.failed += 1
                job.errors += [{**error, "row": index} for error in refused.errors]

    def find(self, kind: str, identity: str) -> Job:
        """The job with this id and type; raises Refused (404)."""
        job = self.by_id.get(identity)
        if job is None or job.kind != kind:
            raise Refused(404, f"A {kind} with id {identity} does not exist.")
        return job

    def of(self, kind: str) -> list[Job]:
        """All jobs of a type, newest first."""
        return [job for job in reversed(self.by_id.values()) if job.kind == kind]
