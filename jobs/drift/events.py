"""Placed Orders, counted by day: Klaviyo can't be asked for an event by its id.

Only that metric is counted, by the event's time: commercetools keeps no time of a state, and other events are told by
messages alone. More than expected is no drift: another system may send the metric too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from clients.predicates import literal
from handlers.past_orders import is_placed, placed_time, send_placed_again
from jobs.drift.confirmation import note_failure
from jobs.drift.findings import Findings, Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.notifications import job_notification
from jobs.selection import format_time
from jobs.units import Attempt
from mappers.mapped import mapper
from mappers.order_documents import Order

DAYS = 7
"""That are counted unless `--since` says more or less."""
LAG = timedelta(hours=1)
"""Before now, which is left out: Klaviyo counts an event some time after it has taken it."""
_LONGEST = timedelta(days=360)
"""Of one question: Klaviyo answers for at most a year."""
_PAGE = 500


@dataclass(slots=True)
class _Expected:
    """What a day's orders became: how many events, and how many belong to someone else by now."""

    events: int = 0
    changed_hands: int = 0


class EventCount:
    """The days from `begin` to an hour ago."""

    def __init__(self, pool: WorkerPool, report: Report, errors: ErrorsFile, since: datetime | None) -> None:
        now = datetime.now(UTC).replace(microsecond=0)  # Klaviyo is asked in whole seconds
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
        """Count both sides. Klaviyo is asked once more, so many seconds later, for days that lack some."""
        pool = self._pool
        pool.begin(
            "events: orders", pool.call(partial(pool.reader.count, "orders", [self._where(self._begin, self._end)]))
        )
        pool.call(self._expect)
        self._findings.total = sum(one.events for one in self._expected.values())
        missing = pool.call(self._missing_by_day)
        if missing:
            pool.begin("waiting for events under way")
            pool.pause(seconds)
            again = pool.call(self._missing_by_day)
            missing = {day: min(count, again[day]) for day, count in missing.items() if day in again}
        self._findings.days = dict(sorted(missing.items()))

    def resend(self, *, all_days: bool) -> None:
        """Send the Placed Orders of the days that lack some: those that are there stay, as Klaviyo keeps the first.

        Uniqueness is per profile, so a day with an order that belongs to someone else by now could get one twice: such
        a day is left alone, unless `all_days`. They start no flow either way.
        """
        days = {
            day: missing
            for day, missing in self._findings.days.items()
            if all_days or not self._expected[day].changed_hands
        }
        pool = self._pool
        for day, missing in days.items():
            pool.begin(f"events: sending those of {day}", self._expected[day].events)
            failed = False
            for orders in self._pages(*self._bounds(day)):
                units = {order["id"]: partial(self._send, order) for order in orders if self._day(order) == day}
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
                self._count(order, customers)
            self._pool.step(len(orders))

    def _count(self, order: Order, customers: dict[str, Any]) -> None:
        day = self._day(order)
        if day is None or not self._is_expected(order, customers):
            return
        expected = self._expected.setdefault(day, _Expected())
        expected.events += 1
        expected.changed_hands += changed_hands(order, customers.get(order.get("customerId") or ""))

    def _day(self, order: Order) -> str | None:
        """UTC day of an order's event; None for one outside of what is counted."""
        at = placed_time(order)
        return at.date().isoformat() if self._begin <= at < self._end else None

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
        """Pages of orders that threads of the crew read while the run's own one hears signals."""
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
        """How many events each day lacks."""
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
    """Whether an order's event may have gone to another profile: its customer registered later, or has a new e-mail."""
    if not customer:
        return False
    email = (order.get("customerEmail") or "").lower()
    is_newer = datetime.fromisoformat(customer["createdAt"]) > datetime.fromisoformat(order["createdAt"])
    return is_newer or (bool(email) and email != (customer.get("email") or "").lower())
