"""Products that are new to Klaviyo: bulk jobs create their items, then their variants.

Everything else is left to the live handler: items that exist, jobs that failed, products that changed in the meantime,
and batches too small to be worth a job.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from clients.failures import ACCESS_DENIED, THROTTLED
from clients.klaviyo_catalog_jobs import ITEMS, VARIANTS, JobKind
from clients.retrying import message_budget
from core.errors import DeadLetter, SyncError, TryAgain
from core.logs import log
from handlers.bulk_creation import Creation, create_missing_categories, creations, is_unchanged, surplus_skus
from handlers.catalog_item import without_categories
from jobs.batch import LISTS_LAG, UNLISTED_JOBS_WAIT, Batch
from jobs.bulk_rows import Row, split_into_jobs
from jobs.run import Run
from jobs.units import Attempt
from pipeline import location_of

PAGE_SIZE = 50
MIN_PRODUCTS = 10
"""A pass with fewer products does not use batches."""
MIN_RECORDS, FULL_RECORDS = 100, 2_000
"""Items and variants of a batch: with fewer than `MIN_RECORDS` no jobs are used; at `FULL_RECORDS` it is full."""
_MAX_BYTES = 20_000_000
"""Size of a batch's bodies as JSON. In memory they take two or three times as much."""
_MAX_PRODUCTS = 500
"""Products of a batch, including those that Klaviyo already has."""
_STARTS_AT_ONCE = 4
"""Jobs to start concurrently: each holds several copies of up to 5 MB of bodies in memory."""
_CLOCKS_DIFFER = timedelta(minutes=1)


class ProductBatch(Batch):
    """A batch of products, and the jobs that create the new ones."""

    def __init__(self, run: Run, where: Sequence[str], copy: Callable[[str, Attempt], None]) -> None:
        super().__init__(run, where)
        self._copy = copy
        self._jobs = run.services.klaviyo.catalog_jobs
        self._creations: list[Creation] = []
        self._is_growing = True

    @property
    def is_full(self) -> bool:
        """True if the batch should be sent: a limit is reached, or the last page had nothing to create."""
        return (
            not self._is_growing
            or len(self.remaining) >= _MAX_PRODUCTS
            or self._records >= FULL_RECORDS
            or sum(one.size for one in self._creations) >= _MAX_BYTES
        )

    @property
    def resume_data(self) -> dict[str, Any]:
        """The SKUs that jobs may create, by product."""
        return {"creates": {one.product_id: list(one.variants) for one in self._creations}} if self._is_worth_it else {}

    def add(self, documents: Sequence[Any]) -> None:
        """Add the products of a page, and map those that are new to Klaviyo."""
        new: list[Creation] = []
        with self._falling_back_to_handler():
            existing = self.run.services.klaviyo.existing_items([product["id"] for product in documents])
            new = creations([product for product in documents if product["id"] not in existing], self.run.services)
        self._creations += new
        self._is_growing = bool(new)
        self.remaining |= {product["id"]: partial(self._copy, product["id"]) for product in documents}

    def send(self) -> None:
        """Create items and variants by jobs. The work in `remaining` then checks what the jobs did."""
        deleted: frozenset[str] | None = None  # categories that the shop has deleted
        if self._is_worth_it:
            with self._falling_back_to_handler():
                deleted = create_missing_categories((one.item for one in self._creations), self.run.services)
        if deleted is None:
            return
        items = [Row.of(one.product_id, without_categories(one.item, deleted).body) for one in self._creations]
        failed = self._create(ITEMS, items)
        created = [one for one in self._creations if one.product_id not in failed]
        uncertain = self._create(
            VARIANTS, [Row.of(one.product_id, body) for one in created for body in one.variants.values()]
        )
        if created:
            self.pause(LISTS_LAG)
        for one in created:
            finish = self._copy_uncertain if one.product_id in uncertain else self._copy_if_changed
            self.remaining[one.product_id] = partial(finish, one)

    def wait_for_jobs(self) -> None:
        """Wait for all jobs started since the batch began that create items or variants."""
        self._wait_for_open_jobs((ITEMS, VARIANTS), self.began)

    def resume(self, resume_data: Mapping[str, Any]) -> None:
        """Wait for the jobs of a batch that was killed, then remove what they created and the shop no longer has."""
        creates = resume_data.get("creates") or {}
        if creates:
            self.wait_for_jobs()
        self.remaining = {own_id: partial(self._remove_left_over, own_id, skus) for own_id, skus in creates.items()}

    @property
    def _records(self) -> int:
        return sum(one.records for one in self._creations)

    @property
    def _is_worth_it(self) -> bool:
        return self._records >= MIN_RECORDS

    def _copy_if_changed(self, created: Creation, attempt: Attempt) -> None:
        """Copy a product again if it has changed since it was created."""
        if not is_unchanged(created, self.run.services):
            self._copy_uncertain(created, attempt)

    def _copy_uncertain(self, sent: Creation, attempt: Attempt) -> None:
        """Copy a product if it is unknown which of its variants the jobs created."""
        self.run.services.klaviyo.may_have_created(sent.product_id, sent.variants)
        self._copy(sent.product_id, attempt)

    def _remove_left_over(self, product_id: str, skus: Collection[str], attempt: Attempt) -> None:
        """Copy a product if a job may have created an item or variants of it that the shop no longer has."""
        surplus = surplus_skus(product_id, skus, self.run.services)
        if surplus is not None:
            self.run.services.klaviyo.may_have_created(product_id, surplus)
            self._copy(product_id, attempt)

    def _create(self, kind: JobKind, rows: Sequence[Row]) -> frozenset[str]:
        """Create the rows by jobs and wait for them. Returns the ids of the products in jobs that may have failed.

        A job counts as failed if any of its rows failed, as its errors may not say which, or if its result is unknown.
        """
        began = datetime.now(UTC)
        parts = list(split_into_jobs(rows))
        with ThreadPoolExecutor(_STARTS_AT_ONCE, thread_name_prefix=kind.begin) as starters:
            job_ids = list(starters.map(partial(self._start_job, kind), parts))
        self.calls["klaviyo"] += len(parts)
        succeeded = [bool(job_id) and self._job_succeeded(kind, str(job_id)) for job_id in job_ids]
        if None in job_ids or None in succeeded:
            self._wait_for_open_jobs((kind,), began)
        return frozenset(row.product_id for part, ok in zip(parts, succeeded, strict=True) if not ok for row in part)

    def _start_job(self, kind: JobKind, part: Sequence[Row]) -> str | None:
        """Start a job and return its id; "" if Klaviyo did not accept it, None if that is unknown.

        The call is not retried: a retry could start a second job, and the first one would still be writing when the
        second has ended.
        """
        limits = self.run.services.settings.sync.limits.model_copy(update={"call_attempts": 1})
        with message_budget(limits, waits=True):
            try:
                return self._jobs.begin(kind, [row.body for row in part])
            except DeadLetter as refused:
                log.warning("bulk job refused", job=kind.begin, status=refused.status, code=refused.code)
                return ""
            except TryAgain as error:
                log.warning("bulk job not started", job=kind.begin, reason=error.reason, status=error.status)
                return "" if error.status in {THROTTLED, *ACCESS_DENIED} else None

    def _job_succeeded(self, kind: JobKind, job_id: str) -> bool | None:
        """Wait until a job has ended. True if all of its rows succeeded, None if that is unknown."""
        try:
            state = self.poll_job(job_id, partial(self._jobs.state, kind))
        except DeadLetter:
            return None
        if state is None:
            return None
        if not state.all_succeeded:
            log.warning("bulk job partly failed", job=kind.begin, id=job_id, codes=list(state.codes))
        return state.all_succeeded

    def _wait_for_open_jobs(self, kinds: Collection[JobKind], since: datetime) -> None:
        """Wait for all jobs started since `since`, whoever started them: the ids of our own may be lost."""
        self.pause(LISTS_LAG)
        until = datetime.now(UTC) + _CLOCKS_DIFFER
        for kind in kinds:
            try:
                found = self.with_retries(partial(self._jobs.open_ids, kind, since - _CLOCKS_DIFFER, until))
            except DeadLetter as refused:
                log.warning(
                    "Klaviyo refuses to list bulk jobs", job=kind.listing, status=refused.status, code=refused.code
                )
                self.pause(UNLISTED_JOBS_WAIT)
                continue
            for job_id in found:
                self._job_succeeded(kind, job_id)

    @contextmanager
    def _falling_back_to_handler(self) -> Iterator[None]:
        """Catch and log errors of the calls inside: the live handler copies the products instead."""
        with message_budget(self.run.services.settings.sync.limits, waits=True) as budget:
            try:
                yield
            except SyncError as error:
                log.warning("bulk jobs skipped", reason=error.reason)
            except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the live handler needs no jobs
                log.warning("bulk jobs skipped", reason="unforeseen", code=location_of(unforeseen))
        self.calls.update(budget.calls)
