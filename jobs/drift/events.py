"""Counts Placed Order events by day: Klaviyo can't look up an event by its id.

No other metric is counted: commercetools does not store when a state was reached, so the times of other events are
known from their messages alone. More events than expected are not drift: another system may send the metric too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from clients.predicates import literal
from core.errors import SyncError
from core.times import parsed_time
from handlers.past_orders import is_placed, placed_time, send_placed_again
from jobs.drift.confirmation import note_failure, note_uncompared
from jobs.drift.findings import Findings, Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.notifications import job_notification
from jobs.selection import format_time
from jobs.units import Attempt
from mappers.mapped import mapper
from mappers.order_documents import Order

DAYS = 7
"""Days to count without `--since`."""
LAG = timedelta(hours=1)
"""The time before now that is not counted: Klaviyo counts an event some time after it accepts it."""
_LONGEST = timedelta(days=360)
"""Time span per query: Klaviyo accepts at most a year."""
_PAGE = 500


@dataclass(slots=True)
class _Expected:
    """A day's expected events, and how many of their orders may belong to another profile by now."""

    events: int = 0
    changed_hands: int = 0


class EventCount:
    """Compares the counts of both sides, for the days from `since` (or a week ago) until an hour ago."""

    def __init__(self, pool: WorkerPool, report: Report, errors: ErrorsFile, since: datetime | None) -> None:
        now = datetime.now(UTC).replace(microsecond=0)  # Klaviyo's query takes whole seconds
        self._pool = pool
        self._services = pool.services
        self._findings: Findings = report.of("events")
        self._report = report
        self._errors = errors
        self._end = now - LAG
        self._begin = (since or now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
        self._expected: dict[str, _Expected] = {}
        self._metric = ""

    def compare(self, seconds: float) -> None:
        """Count both sides. If days lack events, count Klaviyo's side again `seconds` later."""
        pool = self._pool
        pool.begin(
            "events: orders", pool.call(partial(pool.reader.count, "orders", [self._where(self._begin, self._end)]))
        )
        pool.call(self._expect)
        expected = sum(one.events for one in self._expected.values())
        self._findings.total = expected + len(self._findings.unknown)
        missing = pool.call(self._missing_by_day)
        if missing:
            pool.begin("waiting for events in flight")
            pool.pause(seconds)
            again = pool.call(self._missing_by_day)
            missing = {day: min(count, again[day]) for day, count in missing.items() if day in again}
        self._findings.days = dict(sorted(missing.items()))

    def resend(self, *, all_days: bool) -> None:
        """Send all Placed Orders of the days that lack some. Those that exist stay: Klaviyo keeps the first one.

        Event ids are unique per profile. If an order belongs to another profile by now, its event would appear twice,
        so days with such an order are skipped unless `all_days` is set. The events start no flows.
        """
        days = {
            day: missing
            for day, missing in self._findings.days.items()
            if all_days or not self._expected[day].changed_hands
        }
        pool = self._pool
        for day, missing in days.items():
            pool.begin(f"events: resending {day}", self._expected[day].events)
            failed = False
            for orders in self._pages(*self._bounds(day)):
                units = {
                    order["id"]: partial(self._send, order)
                    for order in orders
                    if order["id"] not in self._findings.unknown and self._day(order) == day
                }
                for own_id, unit in pool.run_units(units).items():
                    if unit.failed:
                        failed = True
                        note_failure(("order", own_id), unit.failed, self._report, self._errors)
            if not failed:
                self._findings.mended |= {f"{day} #{number}" for number in range(missing)}

    def _expect(self) -> None:
        for orders in self._pool.reader.pages("orders", [self._where(self._begin, self._end)], _PAGE):
            customers = self._customers(orders)
            for order in orders:
                try:
                    self._count(order, customers)
                except SyncError as error:
                    note_uncompared(("order", order["id"]), error, self._report, self._errors)
            self._pool.step(len(orders))

    def _count(self, order: Order, customers: dict[str, Any]) -> None:
        day = self._day(order)
        if day is None or not self._is_expected(order, customers):
            return
        has_changed_hands = changed_hands(order, customers.get(order.get("customerId") or ""))
        expected = self._expected.setdefault(day, _Expected())
        expected.events += 1
        expected.changed_hands += has_changed_hands

    def _day(self, order: Order) -> str | None:
        """UTC day of an order's event; None if it is outside the counted time."""
        at = placed_time(order)
        return at.date().isoformat() if self._begin <= at < self._end else None

    @mapper
    def _is_expected(self, order: Order, customers: dict[str, Any]) -> bool:
        if not is_placed(order, self._services.settings):
            return False
        customer_id, email = order.get("customerId"), (order.get("customerEmail") or "").strip()
        if not customer_id:
            return bool(email)
        by_email = self._services.settings.sync.order.deleted_customers == "email"
        return customer_id in customers or (by_email and bool(email))

    def _customers(self, orders: Sequence[Order]) -> dict[str, Any]:
        ids = sorted({order["customerId"] for order in orders if order.get("customerId")})
        return {one["id"]: one for one in self._pool.reader.by_ids("customers", ids)} if ids else {}

    def _pages(self, begin: datetime, end: datetime) -> Iterator[Sequence[Order]]:
        """Pages of orders, read in worker threads while the main thread handles signals."""
        pages = self._pool.reader.pages("orders", [self._where(begin, end)], _PAGE)
        while (orders := self._pool.call(partial(next, pages, None))) is not None:
            yield orders

    def _where(self, begin: datetime, end: datetime) -> str:
        first, last = literal(format_time(begin)), literal(format_time(end))
        return (
            f"(completedAt is not defined and createdAt >= {first} and createdAt < {last})"
            f" or (completedAt >= {first} and completedAt < {last})"
        )

    def _missing_by_day(self) -> dict[str, int]:
        """How many events each day lacks, for the days that lack some."""
        lists, found = self._services.klaviyo.lists, Counter[str]()
        if self._expected:
            name = self._services.settings.sync.metrics.placed_order
            read = partial(lists.metric_id, name)
            self._metric = self._metric or self._pool.read("Klaviyo's list of metrics", read) or ""
        begin = self._begin
        while self._metric and begin < self._end:
            end = min(self._end, begin + _LONGEST)
            count = partial(lists.events_by_day, self._metric, begin, end)
            found.update(self._pool.read("Klaviyo's count of events", count))
            begin = end
        return {day: one.events - found[day] for day, one in self._expected.items() if found[day] < one.events}

    def _bounds(self, day: str) -> tuple[datetime, datetime]:
        begin = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        return begin, min(begin + timedelta(days=1), self._end)

    def _send(self, order: Order, attempt: Attempt) -> None:
        send_placed_again(
            job_notification("order", order["id"], "Reconcile", attempt, self._services), order, self._services
        )


@mapper
def changed_hands(order: Order, customer: Any) -> bool:
    """True if an order's event may be on another profile: its customer registered later, or has a new e-mail.

    If one of the times can't be read it may be: sent again, the order could then count twice.
    """
    if not customer:
        return False
    email = (order.get("customerEmail") or "").lower()
    registered, ordered = parsed_time(customer.get("createdAt")), parsed_time(order.get("createdAt"))
    may_be_newer = registered is None or ordered is None or registered > ordered
    return may_be_newer or (bool(email) and email != (customer.get("email") or "").lower())
