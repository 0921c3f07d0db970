"""Refunds become events."""

from collections.abc import Callable
from typing import cast

from core.conditions import setting
from core.errors import Ignored, TryAgain, Unmappable
from core.notification import Notification
from handlers.current import up_to_date
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
def send_refunds(notification: Notification, services: Services) -> None:
    """Send Refunded Order, with the transaction's amount, for a refund in one of `[payment] refund_states`."""
    services.prepare("Events")
    refunds = _refunds(notification, services)
    if not refunds:
        raise Ignored("no_refund")
    payment_id = notification.resource.id
    order = services.commercetools.order_of_payment(payment_id)
    if order is None:
        _retry_while_young(notification, services.settings.sync.payment.order_wait)
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
    """The message's refund if its state counts; without a payload, all refunds of the payment in such a state."""
    counting_states = services.settings.sync.payment.refund_states
    match notification.payload:
        case {"transaction": dict(added)}:
            transaction = cast("Transaction", added)
            return [transaction] if _is_refund(transaction) and transaction.get("state") in counting_states else []
        case {"transactionId": str(transaction_id), "state": state}:
            if state not in counting_states:
                return []
            return filter_refunds(_transactions(notification, services), lambda refund: refund["id"] == transaction_id)
    return filter_refunds(_transactions(notification, services), lambda refund: refund.get("state") in counting_states)


@mapper
def filter_refunds(transactions: list[Transaction], is_included: Callable[[Transaction], bool]) -> list[Transaction]:
    """Those of the transactions that are refunds, and that `is_included` accepts."""
    return [transaction for transaction in transactions if _is_refund(transaction) and is_included(transaction)]


def _is_refund(transaction: Transaction) -> bool:
    return transaction.get("type") == "Refund"


def _transactions(notification: Notification, services: Services) -> list[Transaction]:
    payment = up_to_date(notification, services.commercetools.payment(notification.resource.id))
    if payment is None:
        raise Ignored("deleted_meanwhile")
    return payment.get("transactions") or []


def _retry_while_young(notification: Notification, seconds: float) -> None:
    """Raise TryAgain while the message is young: a payment often exists before its order.

    Raises Unmappable if its age is unknown: it can neither wait for ever, nor be ignored although it may be young.
    """
    if notification.occurred_at is None:
        raise Unmappable("no_time", "createdAt")
    if notification.age < seconds:
        raise TryAgain("no_order_yet")
