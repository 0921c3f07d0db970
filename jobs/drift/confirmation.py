"""Looking at candidates until each is the same, has drifted, or goes on moving."""

from collections.abc import Mapping
from functools import partial

from core.errors import SyncError
from handlers.comparison import Comparison, compare_category, compare_customer, compare_product
from jobs.drift.findings import Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile

_MAX_CHECKS = 3
"""Of those that confirm, at most: what has moved each time is left to its messages."""

Target = tuple[str, str]
"""Type and id of a resource of the shop's."""
Candidates = dict[Target, str | None]
"""What may have drifted, and the state in which the shop's side was seen; None: it was not."""

_BY_TYPE = {"category": compare_category, "product": compare_product, "customer": compare_customer}
_PASSES = {"category": "categories", "product": "products", "customer": "customers", "order": "orders"}
"""What `backfill --ids` calls them."""
_KINDS = {"category": "categories", "product": "items", "customer": "profiles", "order": "events"}


def confirmed_drift(
    candidates: Candidates, seconds: float, pool: WorkerPool, report: Report, errors: ErrorsFile
) -> dict[Target, Comparison]:
    """Those of the candidates that have drifted, as last seen; they are noted in the report.

    A difference is drift if the shop's side was the same at two looks, so many seconds apart.
    """
    found: dict[Target, Comparison] = {}
    unseen = {target for target, shop in candidates.items() if shop is None}
    waiting: Candidates = {target: shop for target, shop in candidates.items() if target not in unseen}
    if unseen:
        seen = reread(dict.fromkeys(unseen), pool, report, errors)
        waiting |= {target: look.shop_state for target, look in seen.items() if look.differences}
    for number in range(_MAX_CHECKS):
        if not waiting:
            break
        pool.begin("waiting for messages under way")
        pool.pause(seconds)
        still: Candidates = {}
        for target, look in reread(waiting, pool, report, errors).items():
            if look.differences and look.shop_state == waiting[target]:
                found[target] = look
                report.add(look.differences)
            elif look.differences:
                still[target] = look.shop_state
                if number == _MAX_CHECKS - 1:
                    note_moved(look, report)
        waiting = still
    return found


def reread(
    targets: Mapping[Target, object], pool: WorkerPool, report: Report, errors: ErrorsFile
) -> dict[Target, Comparison]:
    """A look at each of them, at the kinds that are compared; what can't be looked at is noted as failed."""

    def look_at(target: Target) -> Comparison | None:
        type_id, own_id = target
        try:
            look = pool.with_retries(partial(_BY_TYPE[type_id], own_id, pool.services))
            return Comparison(look.shop_state, tuple(one for one in look.differences if one.kind in report.kinds))
        except SyncError as error:
            note_failure(target, error, report, errors)
            return None

    pool.begin("looking again", len(targets))
    found = zip(targets, pool.map(look_at, list(targets)), strict=True)
    return {target: one for target, one in found if one is not None}


def note_moved(look: Comparison, report: Report) -> None:
    """Note differences that the shop's own movement explains."""
    for one in look.differences:
        if one.kind in report.kinds:
            report.of(one.kind).moved.add(one.own_id)


def note_failure(target: Target, error: SyncError, report: Report, errors: ErrorsFile, since: str = "") -> None:
    """Note what could not be compared or mended."""
    type_id, own_id = target
    kind = _KINDS[type_id]
    if kind not in report.kinds and type_id == "product":
        kind = "variants"
    report.of(kind).failed.add(own_id)
    errors.add(f"{type_id}/{own_id}", _PASSES[type_id], error, since)
