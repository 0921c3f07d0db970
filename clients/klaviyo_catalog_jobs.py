"""Klaviyo's bulk jobs that create items and variants: accepted at once, processed later, row by row.

There is no upsert: the row of a record that exists fails. The format of the rows' errors has not been verified, so all
that is known of a finished job is whether all of its rows succeeded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clients.failures import BACKEND_KLAVIYO, not_json
from clients.klaviyo_calls import KlaviyoCalls
from core.times import required_time
from mappers.catalog_jobs import items_job, variants_job
from mappers.mapped import JsonObject

_ACCEPTED = 202
_OK = 200
_ENDED = frozenset({"complete", "cancelled"})
_OPEN = ("queued", "processing")
"""In the order that a job goes through. Listing them in this order misses no job that changes in the meantime."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: the SDK's operations to begin, read and list jobs, and the mapper of a job's body."""

    begin: str
    read: str
    listing: str
    body: Callable[[Sequence[JsonObject]], JsonObject]


ITEMS = JobKind(
    "bulk_create_catalog_items",
    "get_bulk_create_catalog_items_job",
    "get_bulk_create_catalog_items_jobs",
    items_job,
)
VARIANTS = JobKind(
    "bulk_create_catalog_variants",
    "get_bulk_create_variants_job",
    "get_bulk_create_variants_jobs",
    variants_job,
)


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job. `all_succeeded`: it ended and no row failed. `codes` are the error codes."""

    is_open: bool
    all_succeeded: bool
    codes: tuple[str, ...] = ()


class CatalogJobs:
    """Begins, reads and lists jobs. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def begin(self, kind: JobKind, bodies: Sequence[JsonObject]) -> str:
        """Begin a job and return its id. Each of the bodies creates one record.

        Raises Refused or Unmappable if no job was created, and TryAgain if that is unknown.
        """
        try:
            return str(self._calls.send("Catalogs", kind.begin, kind.body(bodies))["data"]["id"])
        except (LookupError, TypeError):
            raise not_json(BACKEND_KLAVIYO, _ACCEPTED) from None

    def state(self, kind: JobKind, job_id: str) -> JobState | None:
        """The current state of a job; None if Klaviyo does not know it, or not yet."""
        answer = self._calls.find("Catalogs", kind.read, job_id)
        try:
            return _state(answer["data"]["attributes"]) if answer else None
        except (LookupError, TypeError, AttributeError):
            raise not_json(BACKEND_KLAVIYO, _OK) from None

    def open_ids(self, kind: JobKind, since: datetime, until: datetime) -> frozenset[str]:
        """Ids of jobs created between two moments that have not ended, by any client."""
        return frozenset(
            str(job["id"])
            for status in _OPEN
            for job in self._calls.pages("Catalogs", kind.listing, sized=False, filter=f'equals(status,"{status}")')
            if since <= _created(job, since) <= until
        )


def _state(attributes: JsonObject) -> JobState:
    """Any status other than `complete` and `cancelled` is open, also new ones. A cancelled job counts as failed."""
    status, errors = attributes["status"], attributes.get("errors") or []
    total, completed = attributes.get("total_count"), attributes.get("completed_count")
    all_succeeded = (
        status == "complete"
        and not errors
        and not attributes.get("failed_count")
        and (completed is None or total is None or completed >= total)
    )
    return JobState(status not in _ENDED, all_succeeded, tuple(sorted({str(error.get("code")) for error in errors})))


def _created(job: JsonObject, default: datetime) -> datetime:
    try:
        return required_time(job["attributes"]["created_at"])
    except (LookupError, TypeError, ValueError):
        return default
