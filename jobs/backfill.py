"""The backfill: pass by pass, page by page. Orders are read in windows: time spans such as a month.

The state file records a page before it begins. If the run is killed, the next run repeats the page, and its events have
the same ids. The killed run may also have re-created the profile of a customer who was erased in the meantime; the next
run finds and erases those profiles.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from clients.predicates import chunks
from core.errors import DeadLetter, SyncError, TryAgain
from core.logs import log
from handlers.erasure import BROUGHT_BACK, erase_if_job_brought_back
from jobs.batch import Batch
from jobs.outcome import InterruptedRunError
from jobs.passes import ALL, CHANGED, Bulk, Document, Pass
from jobs.reading import Page, PageSize
from jobs.run import Run
from jobs.selection import Selection, Window, format_time
from jobs.state import PassState
from jobs.units import Attempt, UnitResult, Work
from jobs.workers import Workers

_DELETED = "deleted_meanwhile"
SYNCED_WITHIN = 20.0
"""Seconds after which the messages about a change count as synced."""
_LATE_ROUNDS = 6
"""How often a document that keeps changing is retried."""


def backfill(run: Run, passes: Sequence[Pass]) -> None:
    """Run the passes that are not finished. Raises StoppedError if the run stops early."""
    for backfill_pass in ALL:
        _recover(run, backfill_pass, run.state.passes.get(backfill_pass.name))
    for backfill_pass in passes:
        state = run.state.pass_state(backfill_pass.name)
        if state.finished:
            continue
        if backfill_pass.is_on(run.services.settings.sync):
            with Workers(run, backfill_pass) as workers:
                try:
                    _PassRun(run, backfill_pass, workers).do()
                finally:
                    workers.count_done(0)  # adds the seconds since the last page
        else:
            log.info(f"backfill: {backfill_pass.name} are disabled in sync.toml")
        state.finished = True
        run.state.write()


def _recover(run: Run, backfill_pass: Pass, state: PassState | None) -> None:
    """Clean up after a killed page, even if its pass is no longer selected."""
    if state is None or not state.unfinished:
        return
    with Workers(run, backfill_pass) as workers:
        _PassRun(run, backfill_pass, workers).recover_unfinished(state.unfinished)
    state.unfinished = None
    if state == PassState():  # from a run that is not resumed: keep it out of the report
        del run.state.passes[backfill_pass.name]


class _PassRun:
    """One pass of a run."""

    def __init__(self, run: Run, backfill_pass: Pass, workers: Workers) -> None:
        self._run = run
        self._pass = backfill_pass
        self._state = run.state.pass_state(backfill_pass.name)
        self._size = PageSize(run.page or backfill_pass.page_size)
        self._narrow = backfill_pass.narrow(run.services.settings.sync)
        self._workers = workers

    def do(self) -> None:
        """Run the pass from its cursor on."""
        ids = self._run.selection.ids
        if ids is not None:
            self._do_ids([own_id for own_id in ids[self._pass.name] if own_id > self._state.after])
        elif self._pass.has_windows:
            for window in self._windows():
                self._do_pages(window)
        elif bulk := self._bulk():
            self._do_batches(bulk)
        else:
            self._do_pages(None)
        self._do_late()

    def recover_unfinished(self, unfinished: Mapping[str, Any]) -> None:
        """Erase the profiles that the killed page re-created for customers who were deleted in the meantime.

        For a batch, also wait for its bulk jobs and undo what they left behind.
        """
        began, customers = datetime.fromisoformat(unfinished["began"]), unfinished["customers"]
        bulk = self._pass.bulk if unfinished.get("in_bulk") else None

        def erase(customer_id: str, _: Attempt) -> None:
            erase_if_job_brought_back(customer_id, began, self._run.services)

        works: dict[str, Work] = {}
        if bulk:
            batch = self._new_batch(bulk)
            batch.began = began
            self._workers.call(partial(batch.resume, unfinished))
            works |= {f"{self._pass.type_id}/{own_id}": work for own_id, work in batch.remaining.items()}
        works |= {f"customer/{own_id}": partial(erase, own_id) for own_id in customers}
        for resource, unit in self._workers.run_units(works).items():
            if unit.failed:
                name = "customers" if resource.startswith("customer/") else self._pass.name
                self._run.errors.add(resource, name, unit.failed, unfinished["began"])
                self._run.failed_recoveries += 1

    def _windows(self) -> Iterator[Window]:
        """Yield the remaining windows, beginning with the one the cursor is in, and move the cursor along."""
        state, run = self._state, self._run
        if state.span is None:
            first = self._workers.call(partial(run.reader.first_created, self._pass.collection, run.selection.since))
            state.span = [format_time(first or run.selection.until), format_time(run.selection.until)]
        windows = run.selection.windows(datetime.fromisoformat(state.span[0]))
        formatted = [[format_time(begin), format_time(end)] for begin, end in windows]
        current = formatted.index(state.window) if state.window in formatted else 0
        for window, as_text in zip(windows[current:], formatted[current:], strict=True):
            if state.window != as_text:
                state.window, state.after = as_text, ""
            yield window

    def _do_pages(self, window: Window | None) -> None:
        self._total_documents()
        is_last = False
        while not is_last:
            page = self._workers.call(partial(self._read, window, self._state.after))
            is_last = page.is_last
            if page.documents:
                self._do_page(page.documents, self._run.selection, after=page.documents[-1]["id"])

    def _bulk(self) -> Bulk | None:
        """How to run this pass by bulk jobs; None if they are disabled or the pass is too small."""
        bulk, total = self._pass.bulk, self._total_documents()
        if bulk is None or not bulk.is_on(self._run.services.settings.sync):
            return None
        return None if total is not None and total < bulk.min_documents else bulk

    def _new_batch(self, bulk: Bulk) -> Batch:
        return bulk.batch(self._run, self._pass.where(self._run.selection, None))

    def _do_batches(self, bulk: Bulk) -> None:
        """Run the pass batch by batch. If the key turns out to lack a scope, continue page by page."""
        self._size = PageSize(self._run.page or bulk.page_size)
        is_last = False
        while not is_last and self._pass.name not in self._run.without_bulk:
            batch, after = self._new_batch(bulk), self._state.after
            while not (is_last or batch.is_full):
                page = self._workers.call(partial(self._read, None, after, bulk.expand))
                is_last = page.is_last
                if page.documents:
                    self._workers.call(partial(batch.add, page.documents))
                    after = page.documents[-1]["id"]
            self._do_batch(batch, after)
        if not is_last:
            self._size = PageSize(self._run.page or self._pass.page_size)
            self._do_pages(None)

    def _do_ids(self, ids: Sequence[str]) -> None:
        self._state.total = self._state.total or len(ids)
        for chunk in chunks(ids):
            documents = self._workers.call(partial(self._documents, chunk))
            self._do_page(documents, self._run.selection, after=chunk[-1], ids=chunk)

    def _do_late(self) -> None:
        """Process the documents that changed after the run began, once the messages about them should be synced.

        Klaviyo keeps the first event with an id. If the backfill's event came before the message's, it would keep a
        flow from starting. Documents that keep changing end up in the errors file.
        """
        state, run = self._state, self._run
        for _ in range(_LATE_ROUNDS):
            late = list(state.late)
            if not late:
                return
            self._workers.call(self._wait_for_messages)
            selection = replace(run.selection, started=datetime.now(UTC) - timedelta(seconds=SYNCED_WITHIN))
            for ids in chunks(late):
                documents = self._workers.call(partial(self._documents, ids))
                self._do_page(documents, selection, after=state.after, ids=ids)
        for own_id in state.late:
            run.errors.add(f"{self._pass.type_id}/{own_id}", self._pass.name, TryAgain(CHANGED))
        state.errors += len(state.late)
        state.late = []

    def _wait_for_messages(self) -> None:
        if self._run.stop.wait(SYNCED_WITHIN):
            raise InterruptedRunError(leaves_threads=False)

    def _documents(self, ids: Sequence[str]) -> Sequence[Document]:
        """The documents with these ids. If handlers read them by id, it returns just the ids, even of deleted ones."""
        if self._pass.by_id:
            return [{"id": own_id} for own_id in ids]
        return self._run.reader.by_ids(self._pass.collection, ids)

    def _read(self, window: Window | None, after: str, expand: Sequence[str] = ()) -> Page:
        backfill_pass, run = self._pass, self._run
        where = backfill_pass.where(run.selection, window)
        return run.reader.page(backfill_pass.collection, where, after, self._size, self._narrow, expand)

    def _total_documents(self) -> int | None:
        """About how many documents the pass has, counted once per run."""
        if self._state.total is None:
            run = self._run
            total = partial(self._pass.total, run.selection, run.reader, run.services.settings.sync)
            self._state.total = self._workers.call(total)
        return self._state.total

    def _do_page(
        self,
        documents: Sequence[Document],
        selection: Selection,
        *,
        after: str,
        ids: Sequence[str] = (),
    ) -> None:
        """Process the documents of a page, then move the cursor to `after`. Raises StoppedError.

        If the page was read by ids, these are `ids`; those without a document count as deleted.
        """
        customers = self._workers.call(lambda: sorted(self._pass.customers(documents, self._run.reader)))
        began = self._mark_unfinished(datetime.now(UTC), customers)
        works = {document["id"]: partial(self._work, document, selection) for document in documents}
        units = self._workers.run_units(works)
        late = {own_id for own_id, unit in units.items() if unit.skipped == CHANGED}
        self._state.late = sorted({*self._state.late} - {*ids} | late)
        done = {own_id: unit for own_id, unit in units.items() if own_id not in late}
        self._finish_page(done, Counter(), began, after=after, deleted=max(0, len(ids) - len(documents)))

    def _do_batch(self, batch: Batch, after: str) -> None:
        """Send a batch, process what it leaves to handlers, then move the cursor to `after`. Raises StoppedError."""
        began = self._mark_unfinished(batch.began, batch.customers, in_bulk=True, **batch.resume_data)
        self._workers.call(batch.send)
        self._finish_page(batch.results | self._workers.run_units(batch.remaining), batch.calls, began, after=after)

    def _mark_unfinished(self, began: datetime, customers: Sequence[str], *, in_bulk: bool = False, **more: Any) -> str:
        """Save what a later run needs to clean up if this one is killed. Returns `began` as saved."""
        began_text = began.isoformat()
        self._state.unfinished = {"began": began_text, "customers": customers, "in_bulk": in_bulk, **more}
        self._run.state.write()
        return began_text

    def _finish_page(
        self, units: Mapping[str, UnitResult], calls: Counter[str], began: str, *, after: str, deleted: int = 0
    ) -> None:
        """Count the results and move the cursor to `after`. Raises StoppedError."""
        run, state = self._run, self._state
        skipped = Counter({"deleted": deleted})
        failed = sent = 0
        for own_id, unit in units.items():
            calls.update(unit.calls)
            if unit.failed:
                failed += 1
                self._record_failure(own_id, unit.failed, began)
            elif unit.skipped:
                skipped["deleted" if unit.skipped == _DELETED else unit.skipped] += 1
            else:
                sent += 1
        state.count(skipped, failed, sent, calls)
        state.after, state.unfinished = after, None
        self._workers.count_done(len(units))
        if run.selection.ids is None:  # with --ids many are refused again
            run.require_few_refusals(units[own_id] for own_id in sorted(units))
        if run.stop.is_set():
            raise InterruptedRunError(leaves_threads=False)

    def _record_failure(self, own_id: str, error: SyncError, began: str) -> None:
        """Add a failure to the errors file. A failed erasure is recorded for the customer, whatever the pass.

        If something may have been sent, the line says since when: since the page began, or since the time in the
        `--ids` file.
        """
        since = self._failed_since(own_id)
        since_text = since.isoformat() if since else began
        if isinstance(error, DeadLetter) and error.reason == BROUGHT_BACK:
            self._run.errors.add(error.part.replace(" ", "/"), "customers", error, since_text)
        else:
            resource = f"{self._pass.type_id}/{own_id}"
            self._run.errors.add(resource, self._pass.name, error, since_text if isinstance(error, TryAgain) else "")

    def _failed_since(self, own_id: str) -> datetime | None:
        ids = self._run.selection.ids
        return ids[self._pass.name].get(own_id) if ids is not None else None

    def _work(self, document: Document, selection: Selection, attempt: Attempt) -> None:
        """Process a document. If it failed in an earlier run, this is a retry: that run may have sent something."""
        if since := self._failed_since(document["id"]):
            attempt = replace(attempt, number=attempt.number + 1, began=since)
        self._pass.work(document, attempt, selection, self._run.services)
