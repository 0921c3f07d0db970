"""Refunds become events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from core.conditions import setting
from core.errors import Ignored, TryAgain
from core.notification import Notification
from handlers.current import as_told
from handlers.order_owner import send_order_events
from handlers.registry import handles
from handlers.services import Services
from mappers.mapped import mapper
from mappers.order_documents import Transaction
from mappers.order_events import refunded_order


@handles(
    "payment",
    "PaymentTransactionAdded",
    "PaymentTransactionStateChanged",
    when=setting("payment.refund_states"),
)
def refund_order(notification: Notification, services: Services) -> None:
    """Send Refunded Order for a refund in a state that counts, with that transaction's amount."""
    services.prepare("Events")
    refunds = _refunds(notification, services)
    if not refunds:
        raise Ignored("no_refund")
    payment_id = notification.resource.id
    order = services.commercetools.order_of_payment(payment_id)
    if order is None:
        _wait_for_order(notification, services.settings.sync.payment.order_wait)
        raise Ignored("no_order")
    send_order_events(
        notification,
        order,
        services,
        lambda owned: [
            [
                refunded_order(owned, payment_id, refund, notification.created_at, services.settings)
                for refund in refunds
            ]
        ],
    )


def _refunds(notification: Notification, services: Services) -> list[Transaction]:
    """The refunds that the message tells of; all of the payment's where its payload was not included."""
    counting = services.settings.sync.payment.refund_states
    match notification.payload:
        case {"transaction": dict(told)}:
            transaction = cast("Transaction", told)
            return [transaction] if _is_refund(transaction) and transaction.get("state") in counting else []
        case {"transactionId": str(transaction_id), "state": state}:
            if state not in counting:
                return []
            return refunds_among(_transactions(notification, services), lambda refund: refund["id"] == transaction_id)
    return refunds_among(_transactions(notification, services), lambda refund: refund.get("state") in counting)


@mapper
def refunds_among(transactions: list[Transaction], counts: Callable[[Transaction], bool]) -> list[Transaction]:
    """The transactions that are refunds and count."""
    return [transaction for transaction in transactions if _is_refund(transaction) and counts(transaction)]


def _is_refund(transaction: Transaction) -> bool:
    return transaction.get("type") == "Refund"


def _transactions(notification: Notification, services: Services) -> list[Transaction]:
    payment = as_told(notification, services.commercetools.payment(notification.resource.id))
    if payment is None:
        raise Ignored("deleted_meanwhile")
    return payment.get("transactions") or []


def _wait_for_order(notification: Notification, seconds: float) -> None:
    """Payments often exist before their order: raise TryAgain while the message is young, or of unknown age."""
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(notification.created_at)
    except (ValueError, TypeError):
        raise TryAgain("no_order_yet") from None
    if age.total_seconds() < seconds:
        raise TryAgain("no_order_yet")
