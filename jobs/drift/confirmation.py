"""Compares candidates by id until each one matches, has drifted, or keeps changing in the shop."""

from collections.abc import Iterable, Mapping
from functools import partial

from core.errors import SyncError
from handlers.comparison import ABSENT, Comparison, compare_category, compare_customer, compare_product
from jobs.drift.findings import Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.selection import PASS_BY_TYPE

_MAX_CHECKS = 3
"""Comparisons to confirm a candidate. If the shop changes it before each of them, it is left to its messages."""

Target = tuple[str, str]
"""Type and id of a resource in the shop."""
Candidates = dict[Target, str | None]
"""What may have drifted, with the state of the shop's side; None if that was not read yet."""

_COMPARE_BY_TYPE = {"category": compare_category, "product": compare_product, "customer": compare_customer}
_KINDS = {"category": "categories", "product": "items", "customer": "profiles", "order": "events"}


def confirmed_drift(
    candidates: Candidates, seconds: float, pool: WorkerPool, report: Report, errors: ErrorsFile
) -> dict[Target, Comparison]:
    """Find the candidates that have drifted, and add them to the report.

    A difference is drift if the shop's side is unchanged since the last read, at least `seconds` ago.
    """
    found: dict[Target, Comparison] = {}
    unseen = {target for target, shop in candidates.items() if shop is None}
    waiting: Candidates = {target: shop for target, shop in candidates.items() if target not in unseen}
    if unseen:
        seen = compare_by_id(dict.fromkeys(unseen), pool, report, errors)
        _add_unknown(unseen - seen.keys(), report)
        waiting |= {target: comparison.shop_state for target, comparison in seen.items() if comparison.differences}
    for number in range(_MAX_CHECKS):
        if not waiting:
            break
        pool.begin("waiting for messages in flight")
        pool.pause(seconds)
        changing: Candidates = {}
        seen = compare_by_id(waiting, pool, report, errors)
        # `unknown` counts the shop's records, so not those that only Klaviyo has.
        _add_unknown({target for target, shop in waiting.items() if shop != ABSENT} - seen.keys(), report)
        for target, comparison in seen.items():
            if comparison.differences and comparison.shop_state == waiting[target]:
                found[target] = comparison
                report.add(comparison)
            elif comparison.differences:
                changing[target] = comparison.shop_state
                if number == _MAX_CHECKS - 1:
                    note_moved(comparison, report)
                    for one in comparison.differences:
                        if one.problem != "extra":
                            report.add_unknown(one.kind, [one.own_id])
        waiting = changing
    return found


def compare_by_id(
    targets: Mapping[Target, object], pool: WorkerPool, report: Report, errors: ErrorsFile
) -> dict[Target, Comparison]:
    """Compare each target by its id, in the selected kinds. Targets that can't be compared are recorded as failed."""

    def compare(target: Target) -> Comparison | None:
        type_id, own_id = target
        try:
            comparison = pool.with_retries(partial(_COMPARE_BY_TYPE[type_id], own_id, pool.services))
            return Comparison(
                comparison.shop_state, tuple(one for one in comparison.differences if one.kind in report.kinds)
            )
        except SyncError as error:
            note_failure(target, error, report, errors)
            return None

    pool.begin("comparing by id", len(targets))
    found = zip(targets, pool.map(compare, list(targets)), strict=True)
    return {target: one for target, one in found if one is not None}


def note_moved(comparison: Comparison, report: Report) -> None:
    """Record differences as moved: the shop's record changed during the comparison."""
    for one in comparison.differences:
        if one.kind in report.kinds:
            report.of(one.kind).moved.add(one.own_id)


def _add_unknown(targets: Iterable[Target], report: Report) -> None:
    """Record resources of the shop that were not fully compared: a product's item, and its variants."""
    for type_id, own_id in targets:
        report.add_unknown(_KINDS[type_id], [own_id])
        if type_id == "product":
            report.add_unknown("variants", report.skus.get(own_id, ()))


def note_uncompared(target: Target, error: SyncError, report: Report, errors: ErrorsFile) -> None:
    """Record one of the shop's resources that could not be compared."""
    note_failure(target, error, report, errors)
    _add_unknown([target], report)


def note_failure(target: Target, error: SyncError, report: Report, errors: ErrorsFile) -> None:
    """Record a target that could not be compared or fixed, in the report and the errors file."""
    type_id, own_id = target
    kind = _KINDS[type_id]
    if kind not in report.kinds and type_id == "product":
        kind = "variants"
    report.of(kind).failed.add(own_id)
    errors.add(f"{type_id}/{own_id}", PASS_BY_TYPE[type_id], error)
