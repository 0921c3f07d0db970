"""Klaviyo's bulk jobs that create items and variants: started at once, done later, row by row.

A row of something that exists already fails: there is no upsert. What the errors of rows look like has not been
verified, so a job is told from others only by whether all of its rows were done.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clients.klaviyo_catalog import KlaviyoCatalog
from clients.verdicts import BACKEND_KLAVIYO, not_json
from mappers.catalog_jobs import items_job, variants_job
from mappers.ids import item_id
from mappers.mapped import JsonObject

_ACCEPTED = 202
_OK = 200
_NOT_FOUND = 404
_ENDED = frozenset({"complete", "cancelled"})
_OPEN = ("queued", "processing")
"""In the order in which a job passes through them: whoever lists them so misses none that moves on meanwhile."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a job creates, and the SDK's operations that start one, read one, and list them."""

    start: str
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
class CatalogJob:
    """A job as Klaviyo shows it. `did_all`: it ended, and none of its rows failed. `codes` are those of its errors."""

    is_open: bool
    did_all: bool
    codes: tuple[str, ...] = ()


class KlaviyoCatalogJobs(KlaviyoCatalog):
    """The catalog, with its bulk jobs. Safe to share between threads."""

    def existing_items(self, product_ids: Sequence[str]) -> frozenset[str]:
        """Those of the products whose items Klaviyo shows; its lists may lag."""
        compound_ids = [item_id(own) for own in product_ids]
        return frozenset(self._attributes("get_catalog_items", compound_ids, fields_catalog_item=["external_id"]))

    def start_job(self, kind: JobKind, bodies: Sequence[JsonObject]) -> str:
        """Start a job of bodies that create one record each; its id.

        Raises Refused or Unmappable where there is none, and TryAgain where nobody can tell whether there is one.
        """
        try:
            return str(self._calls.send("Catalogs", kind.start, kind.body(bodies))["data"]["id"])
        except (LookupError, TypeError):
            raise not_json(BACKEND_KLAVIYO, _ACCEPTED) from None

    def job(self, kind: JobKind, job_id: str) -> CatalogJob | None:
        """A job as it is now; None where Klaviyo does not know it, or not yet."""
        answer = self._calls.find("Catalogs", kind.read, job_id)
        try:
            return _job(answer["data"]["attributes"]) if answer else None
        except (LookupError, TypeError, AttributeError):
            raise not_json(BACKEND_KLAVIYO, _OK) from None

    def open_jobs(self, kind: JobKind, since: datetime, until: datetime) -> frozenset[str]:
        """Ids of the jobs that were made between two moments and have not ended, whoever started them."""
        return frozenset(
            str(one["id"])
            for status in _OPEN
            for one in self._listed_jobs(kind, status)
            if since <= _created(one, since) <= until
        )

    def may_have_created(self, product_id: str, skus: Collection[str]) -> None:
        """Remember for a minute that a job may have created these variants of a product, and its item.

        Lists may lag, so the next write of the product asks by id what it would trust a list for otherwise.
        """
        self._recent_items.may_be_gone(product_id)
        for sku in skus:
            self._recent.may_have_written(sku, product_id)

    def _listed_jobs(self, kind: JobKind, status: str) -> list[JsonObject]:
        found: list[JsonObject] = []
        options: dict[str, Any] = {"filter": f'equals(status,"{status}")'}
        while True:
            page = self._calls.send("Catalogs", kind.listing, **options)
            found += page["data"]
            following = (page.get("links") or {}).get("next")
            if not following:
                return found
            options["page_cursor"] = parse_qs(urlsplit(following).query)["page[cursor]"][0]


def _job(attributes: JsonObject) -> CatalogJob:
    """`queued` and `processing` are alike, and so is what Klaviyo may add; a cancelled job counts as failed."""
    status, errors = attributes["status"], attributes.get("errors") or []
    total, completed = attributes.get("total_count"), attributes.get("completed_count")
    did_all = (
        status == "complete"
        and not errors
        and not attributes.get("failed_count")
        and (completed is None or total is None or completed >= total)
    )
    return CatalogJob(status not in _ENDED, did_all, tuple(sorted({str(error.get("code")) for error in errors})))


def _created(job: JsonObject, unknown: datetime) -> datetime:
    try:
        return datetime.fromisoformat(job["attributes"]["created_at"]).astimezone(UTC)
    except (LookupError, TypeError, ValueError):
        return unknown
