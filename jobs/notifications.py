"""The notifications that jobs pass to the live handlers, as if commercetools had sent them.

So a job's writes have the same locks, guards and re-reads as those of messages. The exception is Klaviyo's bulk jobs
(`jobs.batch`).
"""

from core.notification import Notification, Resource
from handlers.services import Services
from jobs.units import Attempt
from pipeline import sync

_CATALOG = ("category", "product")
"""Retries carry no time: these handlers make extra calls if a message is under a minute old."""


def job_notification(
    type_id: str, own_id: str, message_type: str, attempt: Attempt, services: Services
) -> Notification:
    """The notification of a unit of work.

    A retry carries its attempt number and the time of the first attempt, so the handlers check for erasures since then.
    A first attempt carries no time, so it counts as an old message.
    """
    payload = {"createdAt": attempt.began.isoformat()} if attempt.number > 1 and type_id not in _CATALOG else {}
    return Notification(
        Resource(type_id, own_id), message_type, services.settings.ct_project_id, payload, attempt.number
    )


def copy(type_id: str, own_id: str, message_type: str, attempt: Attempt, services: Services) -> None:
    """Have the handler of `message_type` copy the resource's current state. Raises a SyncError."""
    sync(job_notification(type_id, own_id, message_type, attempt, services), services)
