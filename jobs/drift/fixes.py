"""Fixes drift through the live handlers alone: they read both sides again under their locks and guards."""

from collections.abc import Mapping
from functools import partial

from clients.retrying import current_budget
from core.errors import TryAgain
from handlers.catalog_product import copy_product
from handlers.comparison import ABSENT, Comparison
from handlers.services import Services
from jobs.drift.confirmation import Target, compare_by_id, note_failure, note_moved
from jobs.drift.findings import KINDS, Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.notifications import copy, job_notification
from jobs.units import Attempt

_ORDER = ("category", "product", "customer")
_STILL_DIFFERS = "still_differs"
"""The reason for a record that still differs after its handler has copied it."""


def fix_drift(
    drifted: Mapping[Target, Comparison],
    seconds: float,
    pool: WorkerPool,
    report: Report,
    errors: ErrorsFile,
    *,
    may_delete: frozenset[str],
) -> None:
    """Have the handlers copy what has drifted, and compare it again `seconds` later.

    Records that the shop does not have are deleted in the kinds of `may_delete` only.
    """
    due = {target: comparison for target, comparison in drifted.items() if _needs_fix(comparison, may_delete)}
    written: set[Target] = set()
    copied: list[Target] = []
    for type_id in _ORDER:  # items need their categories
        units = {
            f"{type_id}/{own_id}": partial(
                _copy_target, (type_id, own_id), comparison, written, may_delete, pool.services
            )
            for (type_id_of, own_id), comparison in due.items()
            if type_id_of == type_id
        }
        pool.begin("fixing", len(units))
        for name, unit in pool.run_units(units).items():
            target = (type_id, name.partition("/")[2])
            if unit.failed:
                note_failure(target, unit.failed, report, errors)
            else:
                copied.append(target)
    if copied:
        pool.begin("waiting for Klaviyo's lists to catch up")
        pool.pause(seconds)
        for target, comparison in compare_by_id(dict.fromkeys(copied), pool, report, errors).items():
            _record_result(
                target, due[target], comparison, report, errors, has_written=target in written, may_delete=may_delete
            )


def _record_result(
    target: Target,
    before: Comparison,
    after: Comparison,
    report: Report,
    errors: ErrorsFile,
    *,
    has_written: bool,
    may_delete: frozenset[str],
) -> None:
    """Record a target that its handler has copied: as fixed, as moved (it changed in the meantime), or as failed."""
    remaining = [one for one in after.differences if one.problem != "extra" or one.kind in may_delete]
    if not remaining and has_written:
        for one in before.differences:
            if one.kind in report.kinds and one not in after.differences:
                report.of(one.kind).mended.add(one.own_id)
    elif not remaining or after.shop_state != before.shop_state:
        note_moved(before, report)
    else:
        note_failure(target, TryAgain(_STILL_DIFFERS), report, errors)


def _needs_fix(comparison: Comparison, may_delete: frozenset[str]) -> bool:
    return any(one.problem != "extra" or one.kind in may_delete for one in comparison.differences)


def _copy_target(
    target: Target,
    comparison: Comparison,
    written: set[Target],
    may_delete: frozenset[str],
    services: Services,
    attempt: Attempt,
) -> None:
    """Have the resource's handler copy the target, and add it to `written` if the handler wrote anything.

    It is added even if the handler raises after a write. Extra variants are deleted only if `may_delete` has variants.
    """
    type_id, own_id = target
    message_type = _message_type(type_id, comparison)
    try:
        if message_type == "ProductPublished" and "variants" not in may_delete:
            copy_product(
                own_id,
                job_notification(type_id, own_id, message_type, attempt, services),
                services,
                deletes_variants=False,
            )
        else:
            copy(type_id, own_id, message_type, attempt, services)
    finally:
        if current_budget().has_written:
            written.add(target)


def _message_type(type_id: str, comparison: Comparison) -> str:
    """The message type whose handler fixes a target. Each handler reads first, so what exists by now is not deleted."""
    if type_id != "product":
        return "ResourceUpdated"
    if comparison.shop_state != ABSENT:
        return "ProductPublished"
    return "ProductDeleted" if any(one.problem == "extra" for one in comparison.differences) else "ProductUnpublished"


def kinds_over_limit(share: float, report: Report, klaviyo_counts: Mapping[str, int]) -> list[str]:
    """The kinds with more extra records than this share of Klaviyo's records."""
    return [
        kind
        for kind in KINDS
        if kind in report.kinds and len(report.of(kind).extra) > share * klaviyo_counts.get(kind, 0)
    ]
