"""One comparison run: kind by kind, each fixed before the next, and the outcome."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clients.predicates import literal
from core.logs import log
from jobs.drift.catalog import CatalogSweep
from jobs.drift.confirmation import Candidates, confirmed_drift
from jobs.drift.events import EventCount
from jobs.drift.findings import KINDS, Findings, Report
from jobs.drift.fixes import fix_drift, kinds_over_limit
from jobs.drift.options import Options
from jobs.drift.profiles import ProfileSweep
from jobs.drift.state import ReconcileState
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.outcome import BRAKE, DONE, DRIFT, WITH_ERRORS, Outcome
from jobs.selection import format_time

_CATALOG = ("categories", "items", "variants")
_PAGE = 500
_MIN_SHARE = 0.5
"""If the shop lists less than this share of what the last run found, nothing extra is deleted."""


class DriftRun:
    """One comparison run."""

    def __init__(self, options: Options, pool: WorkerPool, state: ReconcileState, errors: ErrorsFile) -> None:
        self._options = options
        self._pool = pool
        self._state = state
        self._errors = errors
        self._rules = pool.services.settings.sync.reconcile
        self._report = Report()
        self._phases = state.finished_phases(options.resume_key)
        self.is_resumed = bool(self._phases)
        """True if this run resumes a stopped one, whose lines in the errors file must stay."""
        stopped = state.unfinished if self.is_resumed else {}
        self._counts = dict(stopped.get("counts", state.counts))
        self._brakes: list[str] = list(stopped.get("brakes", ()))

    def do(self) -> None:
        """Compare kind by kind, and fix what differs if `--fix` is given. Raises StoppedError."""
        wanted = self._options.kinds
        catalog = tuple(kind for kind in _CATALOG if kind in wanted)
        if catalog:
            self._phase(catalog, partial(self._do_catalog, catalog))
        if "profiles" in wanted:
            self._phase(("profiles",), self._do_profiles)
        if "events" in wanted:
            self._phase(("events",), self._do_events)
        if self._options.since is None:
            runs, compared = self._state.drifting_runs, " ".join(wanted)
            drifts = self._report.drift > self._rules.max_drift
            runs[compared] = runs.get(compared, 0) + 1 if drifts else 0
        self._state.counts, self._state.unfinished = self._counts, {}
        self._state.write()

    def as_report(self) -> dict[str, Any]:
        """The JSON report so far."""
        kinds = {kind: self._report.kinds[kind].as_report() for kind in KINDS if kind in self._report.kinds}
        drift = round(self._report.drift, 6)
        runs = self._state.drifting_runs.get(" ".join(self._options.kinds), 0)
        report = {"fix": self._options.fix, "kinds": kinds, "drift": drift, "drifting_runs": runs}
        return {**report, "calls": self._pool.calls}

    def outcome(self, report: dict[str, Any]) -> Outcome:
        """The outcome of the run, with its JSON report."""
        found = self._report.kinds.values()
        if self._brakes:
            return Outcome(BRAKE, report, " ".join(self._brakes))
        if failed := sum(len(one.failed) for one in found):
            return outcome_with_errors(failed, self._options, report)
        if sum(one.left - len(one.moved & (one.missing | one.extra | one.differing_ids)) for one in found):
            return Outcome(DRIFT, report, self._advice())
        return Outcome(DONE, report)

    def _advice(self) -> str:
        if not self._options.fix:
            return "Klaviyo differs from the shop: --fix fixes it."
        extra = [kind for kind, one in self._report.kinds.items() if one.extra - one.mended]
        if extra:
            return (
                f"The shop does not have some of Klaviyo's {' and '.join(extra)}: --fix --delete-extra deletes those."
            )
        return "Days whose orders may be on other profiles by now were skipped: --only events --fix resends them."

    def _phase(self, kinds: tuple[str, ...], do: Callable[[], None]) -> None:
        """Run a phase and save its results. If the resumed run has finished it, restore its results instead."""
        name = " ".join(kinds)
        if name in self._phases:
            for kind, stored in self._phases[name].items():
                self._report.kinds[kind] = Findings.restored(stored)
            log.info(f"reconcile: {name} were compared before the run was stopped")
            return
        for kind in kinds:
            self._report.of(kind)
        do()
        self._phases[name] = {kind: self._report.of(kind).stored() for kind in kinds}
        now = datetime.now(UTC).isoformat()
        self._state.unfinished = {
            "said": self._options.resume_key,
            "began": now,
            "phases": self._phases,
            "counts": self._counts,
            "brakes": self._brakes,
        }
        self._state.write()

    def _do_catalog(self, kinds: tuple[str, ...]) -> None:
        sweep = CatalogSweep(self._pool, self._report, self._errors)
        since = self._options.since
        if since is None:
            candidates = sweep.candidates(kinds)
        else:
            candidates = sweep.candidates([kind for kind in kinds if kind == "categories"])
            if {"items", "variants"} & set(kinds):
                changed = self._changed_products(since)
                candidates |= changed
                if "items" in kinds:
                    self._report.of("items").total = len(changed)
        shrunk = [
            kind for kind, count in sweep.shop_counts.items() if count < _MIN_SHARE * self._state.counts.get(kind, 0)
        ]
        if not shrunk:
            self._counts |= sweep.shop_counts
        may_delete = partial(self._may_delete, kinds, sweep, shrunk) if self._options.delete_extra else None
        self._confirm_and_fix(candidates, may_delete)

    def _changed_products(self, since: datetime) -> Candidates:
        """Products that have changed since `since`. All of them are compared by id."""
        pages = self._pool.reader.pages("product-projections", _changed(since), _PAGE)
        return self._pool.call(lambda: {("product", one["id"]): None for page in pages for one in page})

    def _do_profiles(self) -> None:
        where = _changed(self._options.since) if self._options.since else []
        self._confirm_and_fix(ProfileSweep(self._pool, self._report, self._errors, where).candidates(), None)

    def _do_events(self) -> None:
        count = EventCount(self._pool, self._report, self._errors, self._options.since)
        count.compare(self._rules.second_look)
        if self._options.fix and self._report.of("events").days:
            count.resend(all_days=self._options.resends_all_days)

    def _confirm_and_fix(self, candidates: Candidates, may_delete: Callable[[], frozenset[str]] | None) -> None:
        seconds = self._rules.second_look
        found = confirmed_drift(candidates, seconds, self._pool, self._report, self._errors)
        if found and self._options.fix:
            deletes = may_delete() if may_delete else frozenset[str]()
            fix_drift(found, seconds, self._pool, self._report, self._errors, may_delete=deletes)

    def _may_delete(self, kinds: tuple[str, ...], sweep: CatalogSweep, shrunk: Sequence[str]) -> frozenset[str]:
        """The kinds whose extra records may be deleted: all or none. Call it once the extra records are known."""
        over = kinds_over_limit(self._options.max_delete, self._report, sweep.klaviyo_counts)
        for kind in over:
            extra, of = len(self._report.of(kind).extra), sweep.klaviyo_counts.get(kind, 0)
            self._brakes.append(
                f"Nothing extra was deleted: {extra} of {of} {kind} in Klaviyo are extra, which is more than"
                f" {self._options.max_delete:.0%} (--max-delete)."
            )
        if shrunk:
            self._brakes.append(
                f"Nothing extra was deleted: commercetools listed fewer than half as many {' and '.join(shrunk)} as in"
                f" the last run. If that is right, remove {self._options.state}."
            )
        return frozenset() if over or shrunk else frozenset(kinds)


def _changed(since: datetime) -> list[str]:
    """The predicate for documents that have changed since `since`."""
    return [f"lastModifiedAt >= {literal(format_time(since))}"]


def outcome_with_errors(failed: int, options: Options, report: dict[str, Any]) -> Outcome:
    """The outcome of a run with this many failures."""
    if not failed:
        return Outcome(DONE, report)
    return Outcome(WITH_ERRORS, report, f"{failed} failed: {options.errors} says why.")
