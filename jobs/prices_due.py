"""Copies products whose prices have begun or ended: commercetools sends no message when a price's validity does.

A run covers the time from `--since` until now. Twice the interval of the schedule is enough; products that were copied
before are not written again.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import handlers  # noqa: F401 - registers every handler
from clients.predicates import any_of, chunks, literal
from core.rules import ReconcileRules
from core.settings import Settings
from jobs.drift.workers import WorkerPool, with_worker_pool
from jobs.errors_file import ErrorsFile
from jobs.notifications import copy
from jobs.option_parser import parser_of, share_of
from jobs.outcome import (
    DENIED,
    DONE,
    INTERRUPTED,
    REFUSED,
    WITH_ERRORS,
    InterruptedRunError,
    Outcome,
    StoppedError,
)
from jobs.progress import Progress
from jobs.reading import RetryPolicy
from jobs.selection import format_time, parse_time
from jobs.units import Attempt

_DEFAULT_SINCE = "1h"
_PRICES_PAGE = 500
_PRODUCTS_PAGE = 100
_RETRY_POLICY = RetryPolicy(tries=4, seconds=60.0)
"""Short, because the next run comes within minutes."""
_MAX_SKU_CHARACTERS = 3_000
"""Characters of SKUs per predicate, which names each SKU twice."""


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options."""

    since: datetime
    errors: Path
    share: float
    as_json: bool


def parse_options(
    arguments: Sequence[str], rules: ReconcileRules, program: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """Parse the options of `prices due`. Wrong ones end the process with 2. `parents` as in `parser_of`."""
    parser = parser_of(
        program,
        "due: copy the products with a price that has begun or ended since TIME. commercetools sends no message when"
        " the validity of a price begins or ends.",
        "Example:  %(prog)s due --since 1h   (every 15 minutes)",
        parents,
    )
    add = parser.add_argument
    add("what", choices=["due"], help="what to do")
    add("--since", default=_DEFAULT_SINCE, metavar="TIME", help="a time, or a span such as 30m or 2h; must reach back"
        f" beyond the last run (default: {_DEFAULT_SINCE})")  # fmt: skip
    add("--errors", type=Path, metavar="FILE", default=Path("prices-errors.jsonl"), help="where failures are saved"
        " (default: prices-errors.jsonl)")  # fmt: skip
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="share of Klaviyo's rate limits to use while"
        f" other callers need them too (default: {rules.share})")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object at the end")
    args = parser.parse_args(arguments)
    now = datetime.now(UTC)
    try:
        since = parse_time(args.since, now)
    except (ValueError, OverflowError):
        parser.error(f"--since must be a date, a time, or a span such as 30m or 2h, not {args.since!r}")
    if since >= now:
        parser.error("--since must be before now")
    return Options(since, args.errors, args.share, args.json)


def copy_due(options: Options, settings: Settings, progress: Progress) -> Outcome:
    """Find and copy the products. SIGTERM and SIGINT end it within ten seconds."""
    return with_worker_pool(
        settings, options.share, progress, lambda pool: _DuePrices(options, pool).do(), _RETRY_POLICY
    )


class _DuePrices:
    """One run: finds the prices that are due and has their products copied."""

    def __init__(self, options: Options, pool: WorkerPool) -> None:
        self._options = options
        self._pool = pool
        self._errors = ErrorsFile(options.errors)
        since, now = literal(format_time(options.since)), literal(format_time(datetime.now(UTC)))
        self._in_time = (
            f"(validFrom > {since} and validFrom <= {now}) or (validUntil > {since} and validUntil <= {now})"
        )

    def do(self) -> Outcome:
        """Find the products and have the live handler copy them, those with standalone prices first."""
        began = time.monotonic()
        self._errors.clear()
        report: dict[str, Any] = {"command": "prices due", "since": format_time(self._options.since)}
        done: set[str] = set()
        failed_queries, failed = "", 0
        try:
            for name, find in (("standalone", self._standalone), ("embedded", self._embedded)):
                try:
                    found = self._pool.call(find)
                except StoppedError as stopped:  # if one query fails, still copy what the other finds
                    if isinstance(stopped, InterruptedRunError) or stopped.code not in (INTERRUPTED, REFUSED):
                        raise
                    failed_queries = (
                        f"{failed_queries} {name.capitalize()} prices: {stopped} `reconcile` finds what was missed."
                    )
                else:
                    report[name] = len(found)
                    failed += self._copy(found - done)
                    done |= found
        except StoppedError as stopped:
            return Outcome(stopped.code, report, str(stopped), stopped.leaves_threads)
        report |= {"products": len(done), "failed": failed, "calls": self._pool.calls}
        report["seconds"] = round(time.monotonic() - began, 1)
        message = f"{failed} could not be copied: {self._options.errors} says why." if failed else ""
        return Outcome(WITH_ERRORS if message or failed_queries else DONE, report, f"{message}{failed_queries}".strip())

    def _standalone(self) -> set[str]:
        """Ids of published products with a standalone price that has begun or ended."""
        if not self._pool.services.settings.sync.price.standalone:
            return set()
        try:
            prices = list(self._listed("standalone-prices", ["not(active=false)", self._in_time], _PRICES_PAGE))
        except StoppedError as stopped:
            if stopped.code == DENIED:  # without the scope, standalone prices are not synced at all
                return set()
            raise
        found: set[str] = set()
        for skus in chunks((price["sku"] for price in prices), _MAX_SKU_CHARACTERS):
            listed = any_of(skus)
            with_skus = f"masterVariant(sku in {listed}) or variants(sku in {listed})"
            found |= {product["id"] for product in self._listed("product-projections", [with_skus], _PRODUCTS_PAGE)}
        return found

    def _embedded(self) -> set[str]:
        """Ids of published products with an embedded price that has begun or ended."""
        prices = f"prices({self._in_time})"
        where = f"masterVariant({prices}) or variants({prices})"
        return {product["id"] for product in self._listed("product-projections", [where], _PRODUCTS_PAGE)}

    def _listed(self, collection: str, where: Sequence[str], page_size: int) -> Iterator[Any]:
        for documents in self._pool.reader.pages(collection, where, page_size):
            yield from documents

    def _copy(self, product_ids: set[str]) -> int:
        """Have the live handler copy the products. Returns how many failed."""

        def unit(product_id: str, attempt: Attempt) -> None:
            copy("product", product_id, "ProductPublished", attempt, self._pool.services)

        self._pool.begin("copying", len(product_ids))
        ids = sorted(product_ids)
        random.shuffle(ids)  # if runs are cut short, each starts with other products
        done = self._pool.run_units({own_id: partial(unit, own_id) for own_id in ids})
        for own_id, one in done.items():
            if one.failed:
                self._errors.add(f"product/{own_id}", "products", one.failed)
        return sum(1 for one in done.values() if one.failed)
