"""Counts what a backfill would send. Everything is read, mapped and validated by the SDK's models; nothing is sent."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clients.klaviyo import Klaviyo
from clients.predicates import any_of, chunks
from core.errors import DeadLetter, Ignored
from core.settings import Settings
from handlers.order_owner import Stages
from handlers.past_orders import order_history, refund_history, refunds_of, require_included
from handlers.services import Services
from jobs.estimate import PassEstimate
from jobs.new_profiles import NewProfiles
from jobs.passes import Document, Pass, is_covered
from jobs.progress import Progress, Snapshot
from jobs.reading import COUNT_LIMIT, PageSize, Reader
from jobs.selection import Selection
from mappers.item import catalog_item
from mappers.mapped import Mapped
from mappers.order_events import OwnedOrder
from mappers.order_properties import NO_DETAILS
from mappers.profile import profile
from mappers.variant import catalog_variants, variant_create

_MINUTE = 60.0


class DryRun:
    """Counts what the passes would do. `new_profiles` covers the passes counted so far."""

    def __init__(self, services: Services, reader: Reader, selection: Selection, progress: Progress) -> None:
        self._settings: Settings = services.settings
        self._klaviyo: Klaviyo = services.klaviyo
        self._commercetools = services.commercetools
        self._reader = reader
        self._selection = selection
        self._progress = progress
        self.new_profiles = NewProfiles()

    def estimate_pass(self, backfill_pass: Pass, page: int | None) -> PassEstimate:
        """Count what a pass would do. Raises StoppedError if commercetools can't be read."""
        rules, bulk = self._settings.sync, backfill_pass.bulk if self._selection.ids is None else None
        estimate = PassEstimate(record_limits=bulk.record_limits if bulk and bulk.is_on(rules) else None)
        if not backfill_pass.is_on(rules):
            return estimate
        count: Callable[[Document, Any, PassEstimate], None] = {
            "categories": _category,
            "products": self._product,
            "customers": self._customer,
            "orders": self._order,
            "refunds": self._refunds,
        }[backfill_pass.name]
        total, began_at = backfill_pass.total(self._selection, self._reader, rules), time.monotonic()
        for documents in self._pages(backfill_pass, PageSize(page or backfill_pass.page_size)):
            orders = self._orders(backfill_pass, documents)
            deleted = self._deleted_customers(orders.values())
            guests = self._guest_customers(orders.values())
            for document in documents:
                estimate.read += 1
                order = orders.get(document["id"])
                try:
                    _require_customer(order, deleted)
                    count(document, order, estimate)
                except Ignored as ignored:
                    estimate.skipped[ignored.reason] += 1
                    continue
                except DeadLetter:
                    estimate.add_failure(f"{backfill_pass.type_id}/{document['id']}")
                if order:
                    self._add_owner(order, guests)
            rate = estimate.read / (time.monotonic() - began_at) * _MINUTE
            throttled = self._commercetools.throttled_calls
            self._progress.show(
                Snapshot(
                    backfill_pass.name, estimate.read, total, total == COUNT_LIMIT, rate, estimate.failed, throttled
                )
            )
        return estimate

    def _pages(self, backfill_pass: Pass, size: PageSize) -> Iterator[Sequence[Document]]:
        narrow = backfill_pass.narrow(self._settings.sync)
        for where in self._queries(backfill_pass):
            after, is_last = "", False
            while not is_last:
                found = self._reader.page(backfill_pass.collection, where, after, size, narrow)
                yield found.documents
                after, is_last = found.documents[-1]["id"] if found.documents else "", found.is_last

    def _queries(self, backfill_pass: Pass) -> list[list[str]]:
        """The predicates of each query of the pass."""
        ids = self._selection.ids
        if ids is not None:
            return [[f"id in {any_of(chunk)}"] for chunk in chunks(ids[backfill_pass.name])]
        if not backfill_pass.has_windows:
            return [backfill_pass.where(self._selection, None)]
        first = self._reader.first_created(backfill_pass.collection, self._selection.since)
        windows = self._selection.windows(first or self._selection.until)
        return [backfill_pass.where(self._selection, window) for window in windows]

    def _orders(self, backfill_pass: Pass, documents: Sequence[Document]) -> dict[str, Any]:
        """The order behind each document's events, by the document's id. If a payment has several, the oldest."""
        if backfill_pass.name == "orders":
            return {order["id"]: order for order in documents}
        found: dict[str, Any] = {}
        if backfill_pass.name == "refunds" and documents:
            orders = self._reader.orders_of_payments([payment["id"] for payment in documents])
            for order in sorted(orders, key=lambda order: str(order["createdAt"]), reverse=True):
                found |= {payment["id"]: order for payment in order["paymentInfo"]["payments"]}
        return found

    def _deleted_customers(self, orders: Collection[Any]) -> set[str]:
        """The orders' customers who were deleted and whose events are therefore not sent."""
        if self._settings.sync.order.deleted_customers != "skip":
            return set()
        wanted = {order["customerId"] for order in orders if order.get("customerId")}
        return wanted - self._reader.existing("customers", sorted(wanted))

    def _guest_customers(self, orders: Collection[Any]) -> Mapping[str, str | None]:
        """The lower-case e-mails of orders without a customer, each with the id of the customer who has it, or None."""
        emails = {_email(order) for order in orders if not order.get("customerId")} - {""}
        return dict.fromkeys(emails) | self._reader.customers_by_email(sorted(emails))

    def _add_owner(self, order: Any, guests: Mapping[str, str | None]) -> None:
        email = _email(order)
        if customer := order.get("customerId") or guests.get(email):
            self.new_profiles.add_customer(customer)
        elif email:
            self.new_profiles.add_guest(email)

    def _product(self, product: Any, _: Any, estimate: PassEstimate) -> None:
        """Count a product's item and variants, without stock and standalone prices: those need extra reads."""
        now = datetime.now(UTC)
        item = catalog_item(product, self._settings, now)
        self._add(estimate, "Catalogs", "create_catalog_item", item, item.body)
        for sku, variant in catalog_variants(product, self._settings, now).items():
            self._add(
                estimate,
                "Catalogs",
                "create_catalog_variant",
                variant,
                variant_create(sku, variant.body, product["id"]),
            )

    def _customer(self, customer: Any, _: Any, estimate: PassEstimate) -> None:
        if not (customer.get("email") or "").strip():
            raise Ignored("no_email")
        mapped = profile(customer, self._settings)
        self._add(estimate, "Profiles", "create_or_update_profile", mapped, mapped.body)
        self.new_profiles.add_customer(customer["id"])

    def _order(self, order: Any, _: Any, estimate: PassEstimate) -> None:
        require_included(order, self._selection.history)
        if not _email(order) and not order.get("customerId"):
            raise Ignored("no_profile")
        self._add_events(estimate, order_history(order, self._settings)(_with_placeholder_owner(order)))

    def _refunds(self, payment: Any, order: Any, estimate: PassEstimate) -> None:
        refunds = refunds_of(payment, self._settings, partial(is_covered, selection=self._selection))
        if not order:
            raise Ignored("no_order")
        require_included(order, self._selection.history)
        self._add_events(estimate, refund_history(payment, refunds, self._settings)(_with_placeholder_owner(order)))

    def _add_events(self, estimate: PassEstimate, stages: Stages) -> None:
        """Count events. A refused one does not stop the others; the first refusal is raised at the end."""
        refusals: list[DeadLetter] = []
        for event in (event for stage in stages for event in stage):
            try:
                self._add(estimate, "Events", "create_event", event, event.body)
            except DeadLetter as refused:
                refusals.append(refused)
            else:
                estimate.add_event(event.body)
        if refusals:
            raise refusals[0]

    def _add(self, estimate: PassEstimate, group: str, operation: str, mapped: Mapped, body: Any) -> None:
        """Count a write. Raises Unmappable if the SDK refuses the body."""
        self._klaviyo.require_valid(group, operation, body)
        estimate.add_write(operation, mapped)


def _category(_: Any, __: Any, estimate: PassEstimate) -> None:
    estimate.add_write("create_catalog_category")


def _require_customer(order: Any, deleted: Collection[str]) -> None:
    if order and order.get("customerId") in deleted:
        raise Ignored("customer_gone")


def _email(order: Any) -> str:
    email = order.get("customerEmail")
    return email.strip().lower() if isinstance(email, str) else ""


def _with_placeholder_owner(order: Any) -> OwnedOrder:
    """An order whose events are only counted, so its owner and product names do not matter."""
    return OwnedOrder(order, {"email": "somebody@example.com"}, NO_DETAILS, backfill=True)
