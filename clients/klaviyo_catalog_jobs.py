"""Klaviyo's bulk jobs that create items and variants: taken at once, done later, row by row.

A row of something that exists already fails: there is no upsert. What the errors of rows look like has not been
verified, so a job is told from others only by whether all of its rows were done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.failures import BACKEND_KLAVIYO, not_json
from clients.klaviyo_calls import KlaviyoCalls
from mappers.catalog_jobs import items_job, variants_job
from mappers.mapped import JsonObject

_ACCEPTED = 202
_OK = 200
_ENDED = frozenset({"complete", "cancelled"})
_OPEN = ("queued", "processing")
"""In the order in which a job passes through them: whoever lists them so misses none that moves on meanwhile."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a job creates, and the SDK's operations that begin one, read one, and list them."""

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
    """A job as Klaviyo shows it. `did_all`: it ended, and none of its rows failed. `codes` are those of its errors."""

    is_open: bool
    did_all: bool
    codes: tuple[str, ...] = ()


class CatalogJobs:
    """The calls of these jobs. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def begin(self, kind: JobKind, bodies: Sequence[JsonObject]) -> str:
        """Begin a job of bodies that create one record each; its id.

        Raises Refused or Unmappable where there is none, and TryAgain where nobody can tell whether there is one.
        """
        try:
            return str(self._calls.send("Catalogs", kind.begin, kind.body(bodies))["data"]["id"])
        except (LookupError, TypeError):
            raise not_json(BACKEND_KLAVIYO, _ACCEPTED) from None

    def state(self, kind: JobKind, job_id: str) -> JobState | None:
        """A job as it is now; None where Klaviyo does not know it, or not yet."""
        answer = self._calls.find("Catalogs", kind.read, job_id)
        try:
            return _state(answer["data"]["attributes"]) if answer else None
        except (LookupError, TypeError, AttributeError):
            raise not_json(BACKEND_KLAVIYO, _OK) from None

    def open_ids(self, kind: JobKind, since: datetime, until: datetime) -> frozenset[str]:
        """Ids of the jobs that were made between two moments and have not ended, whoever began them."""
        return frozenset(
            str(one["id"])
            for status in _OPEN
            for one in self._calls.pages("Catalogs", kind.listing, sized=False, filter=f'equals(status,"{status}")')
            if since <= _created(one, since) <= until
        )


def _state(attributes: JsonObject) -> JobState:
    """`queued` and `processing` are alike, and so is what Klaviyo may add; a cancelled job counts as failed."""
    status, errors = attributes["status"], attributes.get("errors") or []
    total, completed = attributes.get("total_count"), attributes.get("completed_count")
    did_all = (
        status == "complete"
        and not errors
        and not attributes.get("failed_count")
        and (completed is None or total is None or completed >= total)
    )
    return JobState(status not in _ENDED, did_all, tuple(sorted({str(error.get("code")) for error in errors})))


def _created(job: JsonObject, unknown: datetime) -> datetime:
    try:
        return datetime.fromisoformat(job["attributes"]["created_at"]).astimezone(UTC)
    except (LookupError, TypeError, ValueError):
        return unknown
