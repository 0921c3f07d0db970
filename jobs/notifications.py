"""What a job tells a handler: a notification that nobody sent, on which the live handler reads and writes.

So a job is no second writer: locks, guards and looks are those of the messages.
"""

from core.notification import Notification, Resource
from handlers.services import Services
from jobs.units import Attempt
from pipeline import sync

_CATALOG = ("category", "product")
"""Their handlers take a message that says a time under a minute ago for a young one, which costs more."""


def job_notification(
    type_id: str, own_id: str, message_type: str, attempt: Attempt, services: Services
) -> Notification:
    """The notification of a unit. One that is tried again says so, and since when: handlers then look for erasures.

    A first attempt says no time, which makes it an old message.
    """
    payload = {"createdAt": attempt.began.isoformat()} if attempt.number > 1 and type_id not in _CATALOG else {}
    return Notification(
        Resource(type_id, own_id), message_type, services.settings.ct_project_id, payload, attempt.number
    )


def copy(type_id: str, own_id: str, message_type: str, attempt: Attempt, services: Services) -> None:
    """Have the handler of a message about the resource copy it as it is now. Raises one of `errors`."""
    sync(job_notification(type_id, own_id, message_type, attempt, services), services)
