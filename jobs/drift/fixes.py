"""Mending what has drifted: by the live handlers alone, which read both sides again under their locks and guards."""

from collections.abc import Callable, Mapping
from functools import partial

from clients.retrying import current_budget
from core.errors import TryAgain
from handlers.catalog_product import copy_product
from handlers.comparison import ABSENT, Comparison
from handlers.services import Services
from jobs.drift.confirmation import Target, note_failure, note_moved, reread
from jobs.drift.findings import KINDS, Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.notifications import copy, job_notification
from jobs.units import Attempt

_ORDER = ("category", "product", "customer")
_STILL_DIFFERS = "still_differs"
"""Why something counts as failed that its handler has copied."""

Unit = Callable[[Attempt], None]


def fix_drift(
    drifted: Mapping[Target, Comparison],
    seconds: float,
    pool: WorkerPool,
    report: Report,
    errors: ErrorsFile,
    *,
    may_delete: frozenset[str],
) -> None:
    """Have the handlers copy what has drifted, then look at it once more, so many seconds later.

    What the shop does not have is left alone, but for the kinds that `may_delete` names.
    """
    due = {target: look for target, look in drifted.items() if _needs_fix(look, may_delete)}
    wrote: set[Target] = set()
    done: list[Target] = []
    for type_id in _ORDER:  # an item finds its categories mended
        units = {
            f"{type_id}/{own_id}": partial(_copy_target, (type_id, own_id), look, wrote, may_delete, pool.services)
            for (type_id_of, own_id), look in due.items()
            if type_id_of == type_id
        }
        pool.begin("mending", len(units))
        for name, unit in pool.run_units(units).items():
            target = (type_id, name.partition("/")[2])
            if unit.failed:
                note_failure(target, unit.failed, report, errors)
            else:
                done.append(target)
    if done:
        pool.begin("waiting for lists to show it")
        pool.pause(seconds)
        for target, look in reread(dict.fromkeys(done), pool, report, errors).items():
            _record_result(target, due[target], look, report, errors, wrote=target in wrote, may_delete=may_delete)


def _record_result(
    target: Target,
    before: Comparison,
    after: Comparison,
    report: Report,
    errors: ErrorsFile,
    *,
    wrote: bool,
    may_delete: frozenset[str],
) -> None:
    """Note what became of something that its handler has copied: mended, moved by the shop meanwhile, or failed."""
    left = [one for one in after.differences if one.problem != "extra" or one.kind in may_delete]
    if not left and wrote:
        for one in before.differences:
            if one.kind in report.kinds and one not in after.differences:
                report.of(one.kind).mended.add(one.own_id)
    elif not left or after.shop_state != before.shop_state:
        note_moved(before, report)
    else:
        note_failure(target, TryAgain(_STILL_DIFFERS), report, errors)


def _needs_fix(look: Comparison, may_delete: frozenset[str]) -> bool:
    return any(one.problem != "extra" or one.kind in may_delete for one in look.differences)


def _copy_target(
    target: Target,
    look: Comparison,
    wrote: set[Target],
    may_delete: frozenset[str],
    services: Services,
    attempt: Attempt,
) -> None:
    """Tell the resource's handler; whether it wrote is noted, also where it says that there was nothing to copy.

    Of a product whose surplus variants are to stay the handler does all but their deletion.
    """
    type_id, own_id = target
    message_type = _message_type(type_id, look)
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
            wrote.add(target)


def _message_type(type_id: str, look: Comparison) -> str:
    """What the handler is told. Each of these looks first: who is there by now stays."""
    if type_id != "product":
        return "ResourceUpdated"
    if look.shop_state != ABSENT:
        return "ProductPublished"
    return "ProductDeleted" if any(one.problem == "extra" for one in look.differences) else "ProductUnpublished"


def kinds_over_limit(share: float, report: Report, found: Mapping[str, int]) -> list[str]:
    """The kinds of which more than this share of what Klaviyo has would be deleted."""
    return [kind for kind in KINDS if kind in report.kinds and len(report.of(kind).extra) > share * found.get(kind, 0)]
