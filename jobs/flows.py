"""The confirmation before a backfill with `--flows`, which may mail people about old orders."""

import sys
from contextlib import suppress

from core.settings import Settings
from handlers.services import Services
from jobs.options import Options
from jobs.outcome import WITH_ERRORS, StoppedError
from jobs.passes import ALL, Pass
from jobs.reading import COUNT_LIMIT, Reader
from jobs.selection import Selection

_WITH_EVENTS = ("orders", "refunds")


def exit_unless_confirmed(options: Options, settings: Settings) -> None:
    """If the options ask for flows, ask on the terminal, and end the process with 1 unless the answer is yes."""
    if options.needs_confirmation and not _is_confirmed(options, settings):
        sys.stderr.write("Nothing was sent.\n")
        sys.exit(WITH_ERRORS)


def _is_confirmed(options: Options, settings: Settings) -> bool:
    services = Services(settings)
    try:
        rules = settings.sync
        people = _people_at_most(
            options.selection, Reader(services.commercetools, rules.limits, rules.backfill.read_timeout)
        )
    finally:
        services.close()
    sys.stderr.write(
        "--flows: Klaviyo will start its flows for these orders and refunds as if they had just happened."
        f" {people} may get mail about what they bought long ago. Continue? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _people_at_most(selection: Selection, reader: Reader) -> str:
    """The most people who may get mail: one for each selected order and refunded payment."""
    number, is_known = 0, True
    for backfill_pass in ALL:
        if backfill_pass.name in _WITH_EVENTS and backfill_pass.name in selection.passes:
            for count in _counts(backfill_pass, selection, reader):
                number += count or 0
                is_known = is_known and count is not None and count != COUNT_LIMIT
    return f"Up to {number:,} people" if is_known else f"{number:,} people or more"


def _counts(backfill_pass: Pass, selection: Selection, reader: Reader) -> list[int | None]:
    """How many documents a pass has, by window: with a predicate commercetools counts no further than 10,000."""
    if selection.ids is not None:
        return [len(selection.ids[backfill_pass.name])]
    if not backfill_pass.has_windows:
        return [reader.count(backfill_pass.collection, backfill_pass.where(selection, None))]
    with suppress(StoppedError):
        first = reader.first_created(backfill_pass.collection, selection.since)
        windows = selection.windows(first or selection.until)
        return [reader.count(backfill_pass.collection, backfill_pass.where(selection, window)) for window in windows]
    return [None]
