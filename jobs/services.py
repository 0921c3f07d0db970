"""The services of a job: the function's, but with a share of Klaviyo's rate limits and its own threads and timeouts."""

from typing import Literal

from core.rules import SyncRules
from core.settings import Settings
from handlers.services import Services
from jobs.units import UNIT_SECONDS

THREADS = 16

ConsentMode = Literal["left", "loaded", "followed"]
"""What a job does about consent: leave it alone, load what the shop has, or follow changes as live messages do."""


def job_services(settings: Settings, share: float, *, consent: ConsentMode = "left") -> Services:
    """Services for a job that uses `share` of Klaviyo's rate limits."""
    limits = settings.sync.limits.model_copy(update={"message_seconds": UNIT_SECONDS})
    sync = settings.sync.model_copy(update={"limits": limits})
    if consent == "loaded":
        sync = _with_past_consent(sync)
    changed = settings.model_copy(update={"sync": sync, "klaviyo_limit_share": share, "threads": THREADS})
    return Services(changed, follows_consent=consent != "left")


def _with_past_consent(sync: SyncRules) -> SyncRules:
    """Rules for consent given long ago: keep its time, send no confirmation mails, unsubscribe nobody."""
    return sync.model_copy(update={"consent": sync.consent.model_copy(update={"confirmed": True, "unsubscribed": ()})})
