"""What a backfill would send, and how long it would take: everything is read and mapped, and nothing is sent."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import ceil
from typing import Any

from clients.klaviyo_quotas import QUOTAS
from clients.predicates import any_of, chunks
from core.errors import DeadLetter, Ignored
from core.settings import Settings
from handlers.history import order_history, refund_history, refunds_of
from handlers.people import Stages
from jobs.passes import Document, Pass, is_covered
from jobs.product_batch import ENOUGH, FEWEST
from jobs.progress import Progress, Snapshot
from jobs.reading import COUNTED, PageSize, Reader
from jobs.selection import Selection
from mappers.item import variants_of
from mappers.mapped import mapper
from mappers.order_events import OwnedOrder
from mappers.order_properties import NOTHING
from mappers.profile import profile

_MINUTES_AN_HOUR = 60
_WRITES = {
    "categories": "create_catalog_category",
    "customers": "create_or_update_profile",
    "orders": "create_event",
    "refunds": "create_event",
}
"""The call that bounds a pass; products are bounded by their items or their variants, or by jobs."""
_ITEM, _VARIANT = "create_catalog_item", "create_catalog_variant"
_MINUTES_A_BATCH = 1.0
"""For the jobs of a batch and what is read for them. An assumption: Klaviyo does not say how long jobs take."""


@dataclass(slots=True)
class Tally:
    """What one pass would do. `values` are in major units, by metric and currency; `writes` by Klaviyo's operation."""

    read: int = 0
    events: Counter[str] = field(default_factory=Counter)
    values: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    skipped: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    unmappable: list[str] = field(default_factory=list)
    """The first 20 resources that can't be mapped."""
    failed: int = 0

    def hours(self, share: float) -> float:
        """Hours at a share of Klaviyo's limits, if all that is read has to be written, and Klaviyo has no item yet."""
        minutes = max((count / (QUOTAS[name].steady * share) for name, count in self.writes.items()), default=0.0)
        records = self.writes[_ITEM] + self.writes[_VARIANT]
        if records >= FEWEST:
            minutes = min(minutes, ceil(records / ENOUGH) * _MINUTES_A_BATCH)
        return minutes / _MINUTES_AN_HOUR

    def add(self, stages: Stages) -> None:
        """Count events."""
        for event in (event for stage in stages for event in stage):
            attributes = event.body["data"]["attributes"]
            metric = attributes["metric"]["data"]["attributes"]["name"]
            self.events[metric] += 1
            self.values[metric][attributes["value_currency"]] += Decimal(str(attributes["value"]))
            self.writes["create_event"] += 1
            self.cuts += bool(event.cuts)


class DryRun:
    """Counts what the passes would do."""

    def __init__(self, settings: Settings, reader: Reader, selection: Selection, progress: Progress) -> None:
        self._settings = settings
        self._reader = reader
        self._selection = selection
        self._progress = progress

    def counted(self, one: Pass, page: int | None) -> Tally:
        """What a pass would do. Raises StoppedError when commercetools can't be read."""
        tally = Tally()
        if not one.is_on(self._settings.sync):
            return tally
        counts: dict[str, Callable[[Document, Tally], None]] = {
            "categories": partial(_write, _WRITES["categories"]),
            "products": _product,
            "customers": self._customer,
            "orders": self._order,
            "refunds": self._refunds,
        }
        size, total = PageSize(page or one.size), self._reader.count(one.collection, [])
        for where in self._queries(one):
            after, is_last = "", False
            while not is_last:
                found = self._reader.page(one.collection, where, after, size, one.narrow(self._settings.sync))
                gone = self._gone(one, found.documents)
                for document in found.documents:
                    tally.read += 1
                    if document.get("customerId") in gone:
                        tally.skipped["customer_gone"] += 1
                    else:
                        _counted(one, document, tally, counts[one.name])
                after, is_last = found.documents[-1]["id"] if found.documents else "", found.is_last
                self._progress.show(Snapshot(one.name, tally.read, total, total == COUNTED, 0.0, tally.failed, 0))
        return tally

    def _queries(self, one: Pass) -> list[list[str]]:
        """The predicates of one query after the other."""
        ids = self._selection.ids
        if ids is not None:
            return [[f"id in {any_of(chunk)}"] for chunk in chunks(ids[one.name])]
        if not one.windows:
            return [one.where(self._selection, None)]
        first = self._reader.first_created(one.collection)
        windows = self._selection.windows(first or self._selection.until)
        return [one.where(self._selection, window) for window in windows]

    def _gone(self, one: Pass, documents: Sequence[Document]) -> set[str]:
        """Those of the orders' customers who are gone, whose events are not sent."""
        if one.name != "orders" or self._settings.sync.order.deleted_customers != "skip":
            return set()
        wanted = one.customers(documents, self._reader)
        return wanted - self._reader.existing("customers", sorted(wanted))

    def _customer(self, customer: Any, tally: Tally) -> None:
        if not (customer.get("email") or "").strip():
            raise Ignored("no_email")
        tally.cuts += bool(profile(customer, self._settings).cuts)
        tally.writes[_WRITES["customers"]] += 1

    def _order(self, order: Any, tally: Tally) -> None:
        if not (order.get("customerEmail") or "").strip() and not order.get("customerId"):
            raise Ignored("no_profile")
        tally.add(order_history(order, self._settings)(_somebodys(order)))

    def _refunds(self, payment: Any, tally: Tally) -> None:
        refunds = refunds_of(payment, self._settings, partial(is_covered, selection=self._selection))
        orders = self._reader.orders_of([payment["id"]])
        if not orders:
            raise Ignored("no_order")
        order = min(orders, key=lambda one: str(one["createdAt"]))
        tally.add(refund_history(payment, refunds, self._settings)(_somebodys(order)))


def _counted(one: Pass, document: Document, tally: Tally, count: Callable[[Document, Tally], None]) -> None:
    try:
        count(document, tally)
    except Ignored as ignored:
        tally.skipped[ignored.reason] += 1
    except DeadLetter:
        tally.failed += 1
        if len(tally.unmappable) < _NAMED:
            tally.unmappable.append(f"{one.type_id}/{document['id']}")


_NAMED = 20


def _somebodys(order: Any) -> OwnedOrder:
    """An order whose events are only counted: whose they are and what its products are called does not matter."""
    return OwnedOrder(order, {"email": "somebody"}, NOTHING, backfill=True)


def _write(operation: str, _document: Document, tally: Tally) -> None:
    tally.writes[operation] += 1


@mapper
def _product(product: Any, tally: Tally) -> None:
    tally.writes[_ITEM] += 1
    tally.writes[_VARIANT] += len(variants_of(product))


def reported(tallies: Mapping[str, Tally], share: float) -> dict[str, Any]:
    """The result as JSON has it: times in hours, money in major units."""
    return {
        "dry_run": True,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "share": share,
        "hours": round(sum(tally.hours(share) for tally in tallies.values()), 2),
        "passes": {
            name: {
                "read": tally.read,
                "writes": sum(tally.writes.values()),
                "skipped": dict(tally.skipped),
                "events": {
                    metric: {
                        "count": count,
                        "value": {currency: float(value) for currency, value in sorted(tally.values[metric].items())},
                    }
                    for metric, count in tally.events.items()
                },
                "cuts": tally.cuts,
                "unmappable": tally.failed,
                "unmappable_ids": tally.unmappable,
                "hours": round(tally.hours(share), 2),
            }
            for name, tally in tallies.items()
        },
    }
