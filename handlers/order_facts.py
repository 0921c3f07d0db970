"""Send events for what happened to an order after it was placed."""

from collections.abc import Sequence

from core.notification import Notification
from handlers.order_owner import send_order_events
from handlers.services import Services
from mappers.order_documents import Order
from mappers.order_events import Fact, fact_events


def send_facts(notification: Notification, order: Order, facts: Sequence[Fact], services: Services) -> None:
    """Send an event for each fact, for the person who owns the order now."""
    send_order_events(notification, order, services, lambda owned: [fact_events(owned, facts, services.settings)])
