"""The passes of a backfill: what each one reads, and how it processes a document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from clients.commercetools import CUSTOMER_GROUPS
from clients.predicates import any_of, literal
from core.errors import Ignored
from core.rules import SyncRules
from core.times import required_time
from handlers.past_orders import (
    changed_at,
    has_events,
    send_order_history,
    send_refund_history,
    sends_refunds,
)
from handlers.registry import is_consumed
from handlers.services import Services
from jobs import customer_batch, product_batch
from jobs.batch import Batch
from jobs.customer_batch import CustomerBatch
from jobs.notifications import copy, job_notification
from jobs.product_batch import ProductBatch
from jobs.reading import Reader
from jobs.run import Run
from jobs.selection import Selection, Window, format_time
from jobs.units import Attempt
from mappers.mapped import mapper
from mappers.order_documents import Payment, Transaction

CHANGED = "changed_meanwhile"
"""The reason for which a document is postponed to the end of its pass."""

Document = Any
DocumentWork = Callable[[Document, Attempt, Selection, Services], None]
CopyById = Callable[[str, Attempt], None]
CustomersOf = Callable[[Sequence[Document], Reader], set[str]]


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """Records per batch: at most about `max_records`; with fewer than `min_records` no bulk jobs are used."""

    min_records: int
    max_records: int


@dataclass(frozen=True, slots=True)
class Bulk:
    """How a pass writes its documents by bulk jobs.

    `page_size` and `expand` are for its reads. A pass with fewer than `min_documents` is written one by one.
    """

    page_size: int
    min_documents: int
    record_limits: RecordLimits
    is_on: Callable[[SyncRules], bool]
    batch: Callable[[Run, Sequence[str]], Batch]
    expand: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """Processes all documents of a collection.

    `workers` is how many documents are processed at a time. `customers` returns the ids of the customers whose profiles
    a page may write. With `has_windows` the collection is read in windows of creation time. With `by_id` only the id of
    a document is used: the live handler reads it again. `narrow` returns an optional predicate that saves pages; a
    project may refuse it. `bulk` is not used if ids are given.
    """

    name: str
    collection: str
    type_id: str
    page_size: int
    workers: int
    work: DocumentWork
    is_on: Callable[[SyncRules], bool]
    customers: CustomersOf = lambda _documents, _reader: set()
    has_windows: bool = False
    by_id: bool = True
    narrow: Callable[[SyncRules], str] = lambda _: ""
    bulk: Bulk | None = None

    def where(self, selection: Selection, window: Window | None) -> list[str]:
        """The predicates of the pass's pages."""
        if window:
            begin, end = (literal(format_time(one)) for one in window)
            return [f"createdAt >= {begin} and createdAt < {end}"]
        return [f"lastModifiedAt >= {literal(format_time(selection.since))}"] if selection.since else []

    def total(self, selection: Selection, reader: Reader, rules: SyncRules) -> int | None:
        """About how many documents the pass has; None if unknown. At most COUNT_LIMIT with a predicate."""
        if selection.ids is not None:
            return len(selection.ids[self.name])
        window = (selection.since, selection.until) if self.has_windows and selection.since else None
        return reader.count(self.collection, [*self.where(selection, window), *filter(None, [self.narrow(rules)])])


def _copy_by_id(message_type: str, type_id: str) -> DocumentWork:
    """Work that has the handler of `message_type` copy the resource's current state."""

    def work(document: Document, attempt: Attempt, _: Selection, services: Services) -> None:
        copy(type_id, document["id"], message_type, attempt, services)

    return work


@mapper
def _require_settled(document: Document, selection: Selection) -> None:
    """Raise Ignored if an order or payment has changed since the run began: its messages must be synced first.

    Raises Unmappable if the time of its last change can't be read.
    """
    if required_time(changed_at(document)) >= selection.started:
        raise Ignored(CHANGED)


def _order(document: Document, attempt: Attempt, selection: Selection, services: Services) -> None:
    _require_settled(document, selection)
    notification = job_notification("order", document["id"], "Backfill", attempt, services)
    send_order_history(notification, document, services, selection.history)


def _refunds(document: Document, attempt: Attempt, selection: Selection, services: Services) -> None:
    _require_settled(document, selection)
    notification = job_notification("payment", document["id"], "Backfill", attempt, services)
    send_refund_history(notification, document, services, partial(is_covered, selection=selection), selection.history)


@mapper
def is_covered(refund: Transaction, payment: Payment, *, selection: Selection) -> bool:
    """True if a refund is in the selected time span, or its payment was selected by id.

    A refund without a time was made at or before the payment's last change, so only `since` can exclude it.
    """
    if selection.ids is not None:
        return True
    timestamp = refund.get("timestamp")
    made_at = required_time(timestamp or payment["lastModifiedAt"])
    is_early = not timestamp or made_at < selection.until
    return is_early and (selection.since is None or made_at >= selection.since)


def _batch(
    batch_class: Callable[[Run, Sequence[str], CopyById], Batch], message_type: str, type_id: str
) -> Callable[[Run, Sequence[str]], Batch]:
    """Builds batches that leave documents to the handler of `message_type`."""

    def batch(run: Run, where: Sequence[str]) -> Batch:
        return batch_class(
            run, where, lambda own_id, attempt: copy(type_id, own_id, message_type, attempt, run.services)
        )

    return batch


def _is_on(resource_type: str, message_type: str) -> Callable[[SyncRules], bool]:
    return partial(is_consumed, resource_type, message_type)


def _own_ids(customers: Sequence[Document], _: Reader) -> set[str]:
    return {customer["id"] for customer in customers}


def _customers_of_payments(payments: Sequence[Document], reader: Reader) -> set[str]:
    return _customers_of(reader.orders_of_payments([payment["id"] for payment in payments]), reader)


def _customers_of(orders: Sequence[Document], _: Reader) -> set[str]:
    return {order["customerId"] for order in orders if order.get("customerId")}


def _refund_predicate(rules: SyncRules) -> str:
    states = any_of(rules.payment.refund_states)
    return f'transactions(type="Refund" and state in {states})'


ALL = (
    # One worker: a category's handler holds the lock of the whole tree while it writes.
    Pass("categories", "categories", "category", 100, 1, _copy_by_id("ResourceUpdated", "category"),
         _is_on("category", "ResourceUpdated")),
    Pass("products", "product-projections", "product", 50, 16, _copy_by_id("ProductPublished", "product"),
         _is_on("product", "ProductPublished"),
         bulk=Bulk(product_batch.PAGE_SIZE, product_batch.MIN_PRODUCTS,
                   RecordLimits(product_batch.MIN_RECORDS, product_batch.FULL_RECORDS), lambda _: True,
                   _batch(ProductBatch, "ProductPublished", "product"), ("categories[*].ancestors[*]",))),
    Pass("customers", "customers", "customer", 100, 16, _copy_by_id("ResourceUpdated", "customer"),
         _is_on("customer", "ResourceUpdated"), _own_ids,
         bulk=Bulk(customer_batch.PAGE_SIZE, customer_batch.MIN_CUSTOMERS,
                   RecordLimits(customer_batch.MIN_CUSTOMERS, customer_batch.MAX_ROWS),
                   lambda rules: rules.backfill.profiles == "bulk",
                   _batch(CustomerBatch, "ResourceUpdated", "customer"), CUSTOMER_GROUPS)),
    Pass("orders", "orders", "order", 100, 16, _order, has_events, _customers_of, has_windows=True, by_id=False),
    Pass("refunds", "payments", "payment", 100, 16, _refunds, sends_refunds, _customers_of_payments,
         by_id=False, narrow=_refund_predicate),
)  # fmt: skip
"""In the order of `selection.PASSES`."""
