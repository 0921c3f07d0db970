"""The backfill: pass after pass, window after window, page after page. A page is noted before it begins and after.

What a page may have sent when the run is killed is sent again by the next run, under the same ids. And whoever was
erased meanwhile is looked for: nobody comes back.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from clients.predicates import IDS_PER_QUERY, any_of, chunks
from core.errors import TryAgain
from core.logs import log
from handlers.erasure import erase_if_back
from jobs.batch import Batch, Work
from jobs.ending import InterruptedRunError
from jobs.passes import ALL, CHANGED, Bulk, Document, Pass
from jobs.progress import Snapshot
from jobs.reading import COUNTED, Page, PageSize
from jobs.run import GRACE, Run
from jobs.selection import Selection, Window, written
from jobs.state import PassState
from jobs.units import Attempt, Settled, settled

_DELETED = "deleted_meanwhile"
_MINUTE = 60.0

SYNCED_WITHIN = 20.0
"""Seconds after which the messages about a change are taken for synced."""
_ROUNDS = 6
"""How often what goes on changing is looked at."""

T = TypeVar("T")


def backfill(run: Run, passes: Sequence[Pass]) -> None:
    """Do the passes that are not done. Raises StoppedError when something ends the run before that."""
    for one in ALL:
        _look_for_the_erased(run, one, run.state.passes.get(one.name))
    for one in passes:
        state = run.state.pass_state(one.name)
        if state.finished:
            continue
        if one.is_on(run.services.settings.sync):
            _PassRun(run, one).do()
        else:
            log.info(f"backfill: {one.name} are switched off in sync.toml")
        state.finished = True
        run.state.write()


def _look_for_the_erased(run: Run, one: Pass, state: PassState | None) -> None:
    """Erase whom a page that was killed has brought back, also of a pass that is not asked for any more."""
    if state is None or not state.unfinished:
        return
    _PassRun(run, one).look_for_the_erased(state.unfinished)
    state.unfinished = None
    if state == PassState():
        del run.state.passes[one.name]


class _PassRun:
    """One pass of a run."""

    def __init__(self, run: Run, one: Pass) -> None:
        self._run = run
        self._pass = one
        self._state = run.state.pass_state(one.name)
        self._size = PageSize(run.page or one.size)
        self._narrow = one.narrow(run.services.settings.sync)
        self._began = self._noted = time.monotonic()
        self._done_here = 0
        self._under_way = 0
        """Units of the current page that are settled."""

    def do(self) -> None:
        """Do the pass from where it is."""
        # The reader's own thread keeps signals and heartbeats going while a page is awaited.
        workers = ThreadPoolExecutor(self._pass.workers + 1, thread_name_prefix=self._pass.name)
        try:
            self._do(workers)
        finally:
            self._note_time()
            workers.shutdown(wait=False, cancel_futures=True)

    def look_for_the_erased(self, unfinished: Mapping[str, Any]) -> None:
        """Erase those customers of the page who are gone, and whose profile was made since it began.

        What the jobs of a batch have left behind of other documents goes as well.
        """
        began, customers = datetime.fromisoformat(unfinished["began"]), unfinished["customers"]
        bulk = self._pass.bulk if unfinished.get("in_bulk") else None

        def look(customer_id: str, _: Attempt) -> None:
            erase_if_back(customer_id, began, self._run.services)

        workers = ThreadPoolExecutor(self._pass.workers + 1, thread_name_prefix=self._pass.name)
        try:
            works: dict[str, Work] = {}
            if bulk:
                batch = self._new_batch(bulk)
                batch.began = began
                self._alone(workers, partial(batch.resume, unfinished))
                works |= {f"{self._pass.type_id}/{own_id}": work for own_id, work in batch.left.items()}
            works |= {f"customer/{own_id}": partial(look, own_id) for own_id in customers}
            units = self._settled_by_id(workers, works)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
        for resource, unit in units.items():
            if unit.failed:
                name = "customers" if resource.startswith("customer/") else self._pass.name
                self._run.errors.add(resource, name, unit.failed, unfinished["began"])
                self._state.errors += 1

    def _do(self, workers: ThreadPoolExecutor) -> None:
        ids = self._run.selection.ids
        if ids is not None:
            self._do_ids(workers, [one for one in ids[self._pass.name] if one > self._state.after])
            self._do_late(workers)
        elif self._pass.windows:
            for window in self._windows(workers):
                self._do_pages(workers, window)
            self._do_late(workers)
        elif bulk := self._bulk(workers):
            self._do_batches(workers, bulk)
        else:
            self._do_pages(workers, None)

    def _windows(self, workers: ThreadPoolExecutor) -> Iterator[Window]:
        """The windows that are left; the cursor is in the first of them."""
        state, run = self._state, self._run
        if state.span is None:
            first = self._alone(workers, lambda: run.reader.first_created(self._pass.collection))
            state.span = [written(first or run.selection.until), written(run.selection.until)]
        windows = run.selection.windows(datetime.fromisoformat(state.span[0]))
        noted = [[written(begin), written(end)] for begin, end in windows]
        begin = noted.index(state.window) if state.window in noted else 0
        for window, as_noted in zip(windows[begin:], noted[begin:], strict=True):
            if state.window != as_noted:
                state.window, state.after = as_noted, ""
            yield window

    def _do_pages(self, workers: ThreadPoolExecutor, window: Window | None) -> None:
        self._total(workers)
        is_last = False
        while not is_last:
            page = self._alone(workers, partial(self._read, window, self._state.after))
            is_last = page.is_last
            if page.documents:
                self._do_page(workers, page.documents, self._run.selection, after=page.documents[-1]["id"])

    def _bulk(self, workers: ThreadPoolExecutor) -> Bulk | None:
        """How Klaviyo's bulk jobs do this pass; None where they are off, or not worth it."""
        bulk, total = self._pass.bulk, self._total(workers)
        if bulk is None or not bulk.is_on(self._run.services.settings.sync):
            return None
        return None if total is not None and total < bulk.few else bulk

    def _new_batch(self, bulk: Bulk) -> Batch:
        return bulk.batch(self._run, self._pass.where(self._run.selection, None))

    def _do_batches(self, workers: ThreadPoolExecutor, bulk: Bulk) -> None:
        """Do the pass batch after batch, and page after page from where the key turns out to lack a scope."""
        self._size = PageSize(self._run.page or bulk.size)
        is_last = False
        while not is_last and self._pass.name not in self._run.without_bulk:
            batch, after = self._new_batch(bulk), self._state.after
            while not (is_last or batch.is_full):
                page = self._alone(workers, partial(self._read, None, after, bulk.expand))
                is_last = page.is_last
                if page.documents:
                    self._alone(workers, partial(batch.add, page.documents))
                    after = page.documents[-1]["id"]
            self._do_batch(workers, batch, after)
        if not is_last:
            self._size = PageSize(self._run.page or self._pass.size)
            self._do_pages(workers, None)

    def _do_ids(self, workers: ThreadPoolExecutor, ids: Sequence[str]) -> None:
        self._state.total = self._state.total or len(ids)
        for start in range(0, len(ids), IDS_PER_QUERY):
            chunk = ids[start : start + IDS_PER_QUERY]
            documents = self._alone(workers, partial(self._named, chunk))
            self._do_page(workers, documents, self._run.selection, after=chunk[-1], ids=chunk)

    def _do_late(self, workers: ThreadPoolExecutor) -> None:
        """Do what has changed since the run began: the messages about it are synced by now, and may start flows.

        Klaviyo keeps the first event of an id, so one of ours before its message would keep a flow from starting. What
        changes again and again is for the errors file.
        """
        state, run = self._state, self._run
        for _ in range(_ROUNDS):
            late = list(state.late)
            if not late:
                return
            self._alone(workers, self._wait_for_messages)
            selection = replace(run.selection, until=datetime.now(UTC) - timedelta(seconds=SYNCED_WITHIN))
            for ids in chunks(late):
                documents = self._alone(workers, partial(self._named, ids))
                self._do_page(workers, documents, selection, after=state.after, ids=ids)
        for own_id in state.late:
            resource = f"{self._pass.type_id}/{own_id}"
            run.errors.add(resource, self._pass.name, TryAgain(CHANGED), datetime.now(UTC).isoformat())
        state.errors += len(state.late)
        state.late = []

    def _wait_for_messages(self) -> None:
        if self._run.stop.wait(SYNCED_WITHIN):
            raise InterruptedRunError(abandons=False)

    def _named(self, ids: Sequence[str]) -> Sequence[Document]:
        """The documents with these ids. Of what handlers read themselves the id is enough, also when it is gone."""
        if self._pass.copies:
            return [{"id": own_id} for own_id in ids]
        size = PageSize(IDS_PER_QUERY)
        found: list[Document] = []
        after, is_last = "", False
        while not is_last:
            page = self._run.reader.page(self._pass.collection, [f"id in {any_of(ids)}"], after, size)
            found += page.documents
            after, is_last = page.documents[-1]["id"] if page.documents else "", page.is_last
        return found

    def _read(self, window: Window | None, after: str, expand: Sequence[str] = ()) -> Page:
        one, run = self._pass, self._run
        where = one.where(run.selection, window)
        return run.reader.page(one.collection, where, after, self._size, self._narrow, expand)

    def _total(self, workers: ThreadPoolExecutor) -> int | None:
        """About how many documents the pass has, counted once in a run."""
        if self._state.total is None:
            run = self._run
            total = partial(self._pass.total, run.selection, run.reader, run.services.settings.sync)
            self._state.total = self._alone(workers, total)
        return self._state.total

    def _do_page(
        self,
        workers: ThreadPoolExecutor,
        documents: Sequence[Document],
        selection: Selection,
        *,
        after: str,
        ids: Sequence[str] = (),
    ) -> None:
        """Settle the documents of a page, or those that there are of `ids`, then move the cursor behind it.

        Raises StoppedError.
        """
        customers = self._alone(workers, lambda: sorted(self._pass.customers(documents, self._run.reader)))
        began = self._begin(datetime.now(UTC), customers)
        works = {document["id"]: partial(self._work, document, selection) for document in documents}
        units = self._settled_by_id(workers, works)
        late = {own_id for own_id, unit in units.items() if unit.skipped == CHANGED}
        self._state.late = sorted({*self._state.late} - {*ids} | late)
        done = {own_id: unit for own_id, unit in units.items() if own_id not in late}
        self._end(done, Counter(), began, after=after, deleted=max(0, len(ids) - len(documents)))

    def _do_batch(self, workers: ThreadPoolExecutor, batch: Batch, after: str) -> None:
        """Have a batch written, settle what it leaves, then move the cursor behind it. Raises StoppedError."""
        began = self._begin(batch.began, batch.customers, in_bulk=True, **batch.noted)
        self._alone(workers, batch.send)
        self._end(batch.settled | self._settled_by_id(workers, batch.left), batch.calls, began, after=after)

    def _begin(self, began: datetime, customers: Sequence[str], *, in_bulk: bool = False, **more: Any) -> str:
        """Note whom to look for, and what `more` a batch has to know, should the run be killed; the time, as noted."""
        noted = began.isoformat()
        self._state.unfinished = {"began": noted, "customers": customers, "in_bulk": in_bulk, **more}
        self._run.state.write()
        return noted

    def _settled_by_id(self, workers: ThreadPoolExecutor, works: Mapping[str, Work]) -> dict[str, Settled]:
        return dict(zip(works, self._settled(workers, list(works.values())), strict=True))

    def _end(
        self, units: Mapping[str, Settled], calls: Counter[str], began: str, *, after: str, deleted: int = 0
    ) -> None:
        """Count what became of documents, and move the cursor behind them. Raises StoppedError."""
        run, state = self._run, self._state
        skipped = Counter({"deleted": deleted})
        failed = sent = 0
        for own_id, unit in units.items():
            calls.update(unit.calls)
            if unit.failed:
                failed += 1
                run.errors.add(f"{self._pass.type_id}/{own_id}", self._pass.name, unit.failed, began)
            elif unit.skipped:
                skipped["deleted" if unit.skipped == _DELETED else unit.skipped] += 1
            else:
                sent += 1
        state.count(skipped, failed, sent, calls)
        state.after, state.unfinished = after, None
        self._done_here += len(units)
        self._note_time()
        if run.selection.ids is None:  # what is named was refused before
            run.brake(units[own_id] for own_id in sorted(units))
        if run.stop.is_set():
            raise InterruptedRunError(abandons=False)

    def _work(self, document: Document, selection: Selection, attempt: Attempt) -> None:
        """Do a document. One that failed before is tried again: that attempt may have sent something."""
        ids = selection.ids
        since = ids[self._pass.name].get(document["id"]) if ids is not None else None
        if since:
            attempt = replace(attempt, number=attempt.number + 1, began=since)
        self._pass.work(document, attempt, selection, self._run.services)

    def _settled(self, workers: ThreadPoolExecutor, works: Sequence[Callable[[Attempt], None]]) -> list[Settled]:
        """What became of the units, in their order."""
        run = self._run
        limits = run.services.settings.sync.limits
        futures = [workers.submit(settled, work, limits, run.health, run.stop) for work in works]

        def tick() -> None:
            self._under_way = sum(future.done() for future in futures)
            self._tick()

        run.wait_for(futures, tick, GRACE)
        self._under_way = 0
        return [future.result() for future in futures]

    def _alone(self, workers: ThreadPoolExecutor, read: Callable[[], T]) -> T:
        """What a read gives, made by a worker so that signals are heard meanwhile."""
        future: Future[T] = workers.submit(read)
        self._run.wait_for([future], self._tick)
        return future.result()

    def _tick(self) -> None:
        run, state = self._run, self._state
        run.state.beat()
        minutes = (time.monotonic() - self._began) / _MINUTE
        run.progress.show(
            Snapshot(
                self._pass.name,
                state.read + self._under_way,
                state.total,
                state.total == COUNTED,
                (self._done_here + self._under_way) / minutes if minutes else 0.0,
                state.errors,
                run.services.klaviyo.refusals + run.services.commercetools.refusals,
            )
        )

    def _note_time(self) -> None:
        now = time.monotonic()
        self._state.seconds += now - self._noted
        self._noted = now
