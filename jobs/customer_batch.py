"""Customers written by Klaviyo's bulk profile import: thousands in the time of a hundred upserts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clients.klaviyo import CLOCK_SKEW
from clients.klaviyo_imports import MAX_BYTES
from clients.predicates import chunks, literal
from core.errors import DeadLetter, Ignored
from core.logs import log
from core.wire import encoded
from handlers.customer_profile import has_email
from handlers.erasure import erase_if_job_brought_back
from jobs.batch import LISTS_LAG, UNLISTED_JOBS_WAIT, Batch
from jobs.consent_batch import ConsentBatch
from jobs.reading import PageSize
from jobs.run import Run
from jobs.units import Attempt, UnitResult
from mappers.documents import Customer
from mappers.mapped import JsonObject
from mappers.profile import profile

MAX_ROWS = 4_000
MIN_CUSTOMERS = 500
"""With fewer, customers are upserted one by one: Klaviyo advises against small imports."""
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class _Row:
    """A customer to import: the version that was read, and the profile without the fields that are null.

    An upsert clears fields that are null, an import can't. `clears` is True if the profile has such fields.
    """

    version: int
    data: JsonObject
    clears: bool


class CustomerBatch(Batch):
    """A batch of customers and the job that imports them."""

    def __init__(self, run: Run, where: Sequence[str], copy: Callable[[str, Attempt], None]) -> None:
        super().__init__(run, where)
        self._copy = copy
        self._rows: dict[str, _Row] = {}
        self._bytes = 0
        self._is_out_of_bytes = False
        self._consents = ConsentBatch(run.services) if run.services.follows_consent else None

    @property
    def is_full(self) -> bool:
        """True if one job takes no more customers, or no more bytes."""
        return len(self._rows) >= MAX_ROWS or self._is_out_of_bytes

    @property
    def customers(self) -> list[str]:
        """All customers of the batch that may be written."""
        return [*self._rows, *self.remaining]

    def add(self, documents: Sequence[Customer]) -> None:
        """Map the customers of a page. Those that don't fit into the job are left to the live handler."""
        for customer in documents:
            own_id = customer["id"]
            try:
                row = self._row(customer)
            except Ignored as ignored:
                self.results[own_id] = UnitResult(skipped=ignored.reason)
            except DeadLetter as failed:
                self.results[own_id] = UnitResult(failed=failed)
            else:
                size = len(encoded(row.data)) + 1
                if self._bytes + size > MAX_BYTES:
                    self._is_out_of_bytes = True
                    self._leave_to_handler([own_id])
                    continue
                self._bytes += size
                self._rows[own_id] = row
                if self._consents:
                    self._consents.add(customer, row.data["attributes"])

    def send(self) -> None:
        """Import the customers, wait for the job, and read the customers again."""
        ids = list(self._rows)
        if len(ids) < MIN_CUSTOMERS:
            self._leave_to_handler(ids)
            return
        try:
            job = self._start_job()
            if job is None:
                log.warning("the Klaviyo key lacks lists:read or lists:write: customers are written one by one")
                self.run.without_bulk.add("customers")
                self._leave_to_handler(ids)
                return
            self._leave_to_handler(self._not_imported(job))
        except DeadLetter as refused:  # the upserts will show which customer is at fault
            log.warning("bulk import refused", status=refused.status, code=refused.code)
            self._leave_to_handler(ids)
        self.wait_for_jobs()
        self._leave_to_handler(self._needing_clear())
        self._recheck()
        if self._consents:
            self._leave_to_handler(
                self._consents.subscribe(self.with_retries, [own_id for own_id in ids if own_id not in self.remaining])
            )
        self.results |= {own_id: UnitResult() for own_id in ids if own_id not in self.remaining}

    def wait_for_jobs(self) -> None:
        """Wait for all imports started since the batch began. A key that may not list imports has not started any."""
        self.pause(LISTS_LAG)
        since, until = self.began - CLOCK_SKEW, datetime.now(UTC) + CLOCK_SKEW
        imports = self.run.services.klaviyo.imports
        try:
            if self.if_allowed(lambda: imports.has_open_jobs(since, until)):
                self.poll_until(lambda: not imports.has_open_jobs(since, until), "A Klaviyo bulk import")
        except DeadLetter as refused:
            log.warning("Klaviyo refuses to list bulk imports", status=refused.status, code=refused.code)
            self.pause(UNLISTED_JOBS_WAIT)

    def _start_job(self) -> str | None:
        """Start the import and return its id; None if the key lacks a scope. Raises DeadLetter if it is refused."""
        imports = self.run.services.klaviyo.imports
        # Only to find out if the key may list imports: without that, `wait_for_jobs` could not wait for this one.
        if self.if_allowed(lambda: imports.has_open_jobs(self.began, self.began)) is None:
            return None
        return self.if_allowed(lambda: imports.begin([row.data for row in self._rows.values()]))

    def _row(self, customer: Customer) -> _Row:
        """Map a customer to a row. Raises Ignored without an e-mail, DeadLetter if it can't be mapped."""
        if not has_email(customer):
            raise Ignored("no_email")
        body = profile(customer, self.run.services.settings).body
        self.run.services.klaviyo.require_valid("Profiles", "create_or_update_profile", body)
        data = body["data"]
        kept = _without_null(data)
        return _Row(customer["version"], kept, clears=kept != data)

    def _leave_to_handler(self, ids: Sequence[str]) -> None:
        """Have the live handler copy these customers."""
        self.remaining |= {own_id: partial(self._copy, own_id) for own_id in ids}

    def _not_imported(self, job: str) -> list[str]:
        """Wait for the job. Returns the customers whose rows failed; all customers if Klaviyo does not say which."""
        imports, ids = self.run.services.klaviyo.imports, list(self._rows)
        state = self.poll_job(job, imports.state)
        if state is None or state.status != "complete":  # unknown to Klaviyo, or cancelled
            log.warning("bulk import did not complete", id=job, state=state.status if state else "unknown")
            return ids
        if state.failed == 0:
            return []
        failed = self.with_retries(lambda: list(imports.failed_rows(job)))
        found = [row.external_id or _id_at(ids, row.index) for row in failed]
        return found if len(set(found)) == state.failed and self._rows.keys() >= set(found) else ids

    def _needing_clear(self) -> list[str]:
        """Customers with fields to clear whose profile is older than the batch. An import does not clear fields."""
        imports = self.run.services.klaviyo.imports
        found: list[str] = []
        for ids in chunks(
            [own_id for own_id, row in self._rows.items() if row.clears and own_id not in self.remaining]
        ):
            try:
                found += self.with_retries(partial(imports.created_before, ids, self.began - CLOCK_SKEW))
            except DeadLetter:
                found += ids
        return found

    def _recheck(self) -> None:
        """Read the customers again. Leave changed ones to the live handler, and erase those deleted since."""
        ids = sorted(self._rows)
        versions: dict[str, int] = {}
        after, size, is_last = "", PageSize(PAGE_SIZE), False
        bounds = [f"id >= {literal(ids[0])} and id <= {literal(ids[-1])}"]
        while not is_last:
            page = self.run.reader.page("customers", [*self.where, *bounds], after, size)
            versions |= {customer["id"]: customer["version"] for customer in page.documents}
            after, is_last = page.documents[-1]["id"] if page.documents else "", page.is_last
        self._leave_to_handler(
            [own_id for own_id, row in self._rows.items() if own_id in versions and versions[own_id] != row.version]
        )
        self.remaining |= {own_id: partial(self._erase, own_id) for own_id in self._rows if own_id not in versions}

    def _erase(self, own_id: str, attempt: Attempt) -> None:
        """Erase a deleted customer's profile if the import created it, then raise Ignored.

        If the customer exists after all (commercetools' list was behind), the live handler copies it instead.
        """
        try:
            erase_if_job_brought_back(own_id, self.began, self.run.services)
        except Ignored:
            self._copy(own_id, attempt)
        else:
            raise Ignored("deleted_meanwhile")


def _id_at(ids: Sequence[str], index: int | None) -> str:
    return ids[index] if index is not None and index < len(ids) else ""


def _without_null(value: Any) -> Any:
    """A body without the fields that are null."""
    if not isinstance(value, dict):
        return value
    return {name: _without_null(part) for name, part in value.items() if part is not None}
