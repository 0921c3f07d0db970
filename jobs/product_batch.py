"""Products that Klaviyo does not have at all: its bulk jobs create their items, and then their variants.

Everything else is the live handler's: an item that exists, a job that failed, a product that changed meanwhile. So are
a few products, for which jobs are not worth their while.
"""

import time
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
from handlers.catalog_creates import Creation, creations, create_missing_categories, is_unchanged, surplus_skus
from handlers.catalog_item import without_categories
from jobs.batch import JOB_TIMEOUT, LISTS_LAG, UNLISTED_JOBS_WAIT, Batch, poll_intervals
from jobs.bulk_rows import Row, split_into_jobs
from jobs.outcome import INTERRUPTED, StoppedError
from jobs.run import Run
from jobs.units import Attempt
from pipeline import location_of

PAGE_SIZE = 50
MIN_PRODUCTS = 10
"""Products of a whole pass that are not worth a batch."""
MIN_RECORDS, FULL_RECORDS = 100, 2_000
"""Items and variants: with fewer jobs are not worth it, with so many a batch is full."""
_MAX_BYTES = 20_000_000
"""Of a batch's bodies as JSON; in memory they are two or three times as large."""
_MAX_PRODUCTS = 500
"""Of a batch, those included that Klaviyo has."""
_STARTS_AT_ONCE = 4
"""Jobs that are being begun: each has up to 5 MB of bodies in memory, several times over."""
_CLOCKS_DIFFER = timedelta(minutes=1)


class ProductBatch(Batch):
    """Products of some pages, and the jobs that create those that Klaviyo lacks."""

    def __init__(self, run: Run, where: Sequence[str], copy: Callable[[str, Attempt], None]) -> None:
        super().__init__(run, where)
        self._copy = copy
        self._jobs = run.services.klaviyo.catalog_jobs
        self._creations: list[Creation] = []
        self._is_growing = True

    @property
    def is_full(self) -> bool:
        """Whether it is time to do it; a page with nothing to create is not kept waiting for others."""
        return (
            not self._is_growing
            or len(self.remaining) >= _MAX_PRODUCTS
            or self._records >= FULL_RECORDS
            or sum(one.size for one in self._creations) >= _MAX_BYTES
        )

    @property
    def resume_data(self) -> dict[str, Any]:
        """SKUs by product of what jobs are to create."""
        return {"creates": {one.product_id: list(one.variants) for one in self._creations}} if self._is_worth_it else {}

    def add(self, documents: Sequence[Any]) -> None:
        """Map the products of a page that Klaviyo does not have."""
        new: list[Creation] = []
        with self._leaving_failures():
            existing = self.run.services.klaviyo.existing_items([product["id"] for product in documents])
            new = creations([product for product in documents if product["id"] not in existing], self.run.services)
        self._creations += new
        self._is_growing = bool(new)
        self.remaining |= {product["id"]: partial(self._copy, product["id"]) for product in documents}

    def send(self) -> None:
        """Have items and variants created. Whatever became of them is looked at by the units that are left."""
        gone: frozenset[str] | None = None
        if self._is_worth_it:
            with self._leaving_failures():
                gone = create_missing_categories((one.item for one in self._creations), self.run.services)
        if gone is None:
            return
        items = [Row.of(one.product_id, without_categories(one.item, gone).body) for one in self._creations]
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
        """Wait for every job that creates items or variants and was begun since the batch was."""
        self._wait_for_open_jobs((ITEMS, VARIANTS), self.began)

    def resume(self, resume_data: Mapping[str, Any]) -> None:
        """Wait for the jobs of a batch that was killed; then look what they left of products that changed meanwhile."""
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
        """Copy a product that was created and has changed since."""
        if not is_unchanged(created, self.run.services):
            self._copy_uncertain(created, attempt)

    def _copy_uncertain(self, sent: Creation, attempt: Attempt) -> None:
        """Copy a product of whose variants nobody can tell which a job created."""
        self.run.services.klaviyo.may_have_created(sent.product_id, sent.variants)
        self._copy(sent.product_id, attempt)

    def _remove_left_over(self, product_id: str, skus: Collection[str], attempt: Attempt) -> None:
        """Copy a product of which a job may have left what the shop does not have any more."""
        surplus = surplus_skus(product_id, skus, self.run.services)
        if surplus is not None:
            self.run.services.klaviyo.may_have_created(product_id, surplus)
            self._copy(product_id, attempt)

    def _create(self, kind: JobKind, rows: Sequence[Row]) -> frozenset[str]:
        """Have the rows created, and wait until it is done; ids of the products of jobs that failed.

        A job failed if any of its rows did: errors may not tell which.
        """
        began = datetime.now(UTC)
        parts = list(split_into_jobs(rows))
        with ThreadPoolExecutor(_STARTS_AT_ONCE, thread_name_prefix=kind.begin) as starters:
            job_ids = list(starters.map(partial(self._start_job, kind), parts))
        self.calls["klaviyo"] += len(parts)
        succeeded = [bool(job_id) and self._job_succeeded(kind, str(job_id)) for job_id in job_ids]
        if None in job_ids or None in succeeded:
            self._wait_for_open_jobs((kind,), began)
        return frozenset(row.product_id for part, did in zip(parts, succeeded, strict=True) if not did for row in part)

    def _start_job(self, kind: JobKind, part: Sequence[Row]) -> str | None:
        """Id of the job; empty where Klaviyo took none, None where nobody can tell.

        Asked for once: the end of a second job would not say that the first has ended.
        """
        limits = self.run.services.settings.sync.limits.model_copy(update={"call_attempts": 1})
        with message_budget(limits, waits=True):
            try:
                return self._jobs.begin(kind, [row.body for row in part])
            except DeadLetter as refused:
                log.warning("bulk job refused", job=kind.begin, status=refused.status, code=refused.code)
                return ""
            except TryAgain as error:
                log.warning("bulk job not begun", job=kind.begin, reason=error.reason, status=error.status)
                return "" if error.status in {THROTTLED, *ACCESS_DENIED} else None

    def _job_succeeded(self, kind: JobKind, job_id: str) -> bool | None:
        """Wait until a job has ended: whether all of its rows were done, None where nobody can tell."""
        began = time.monotonic()
        for pause in poll_intervals():
            try:
                state = self.with_retries(partial(self._jobs.state, kind, job_id))
            except DeadLetter:
                return None
            waited = time.monotonic() - began
            if state is None and waited > LISTS_LAG:
                return None
            if state and not state.is_open:
                if not state.did_all:
                    log.warning("bulk job failed in part", job=kind.begin, id=job_id, codes=list(state.codes))
                return state.did_all
            if waited > JOB_TIMEOUT:
                break
            self.pause(pause)
        raise StoppedError(
            INTERRUPTED, f"Klaviyo's job {job_id} is not done after an hour. Go on with the same command."
        )

    def _wait_for_open_jobs(self, kinds: Collection[JobKind], since: datetime) -> None:
        """Wait for the jobs that were made since then, whoever began them: their ids are lost."""
        self.pause(LISTS_LAG)
        until = datetime.now(UTC) + _CLOCKS_DIFFER
        for kind in kinds:
            try:
                found = self.with_retries(partial(self._jobs.open_ids, kind, since - _CLOCKS_DIFFER, until))
            except DeadLetter as refused:
                log.warning("bulk jobs are not listed", job=kind.listing, status=refused.status, code=refused.code)
                self.pause(UNLISTED_JOBS_WAIT)
                continue
            for job_id in found:
                self._job_succeeded(kind, job_id)

    @contextmanager
    def _leaving_failures(self) -> Iterator[None]:
        """Calls of both backends. What fails is left to the live handler, which judges it."""
        with message_budget(self.run.services.settings.sync.limits, waits=True) as budget:
            try:
                yield
            except SyncError as error:
                log.warning("not by bulk jobs", reason=error.reason)
            except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the live handler does without jobs
                log.warning("not by bulk jobs", reason="unforeseen", code=location_of(unforeseen))
        self.calls.update(budget.calls)
