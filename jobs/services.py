"""What a job is given: as the function is, with a share of Klaviyo's limits, and threads and time of its own."""

from typing import Literal

from core.rules import SyncRules
from core.settings import Settings
from handlers.services import Services
from jobs.units import UNIT_SECONDS

THREADS = 16


ConsentMode = Literal["left", "loaded", "followed"]
"""What a job does about consent: nothing; load what the shop has of it; or follow it, as messages that come live do."""


def job_services(settings: Settings, share: float, *, consent: ConsentMode = "left") -> Services:
    """Backends, locks and writers of a job that uses this share of Klaviyo's limits."""
    limits = settings.sync.limits.model_copy(update={"message_seconds": UNIT_SECONDS})
    sync = settings.sync.model_copy(update={"limits": limits})
    if consent == "loaded":
        sync = _with_past_consent(sync)
    changed = settings.model_copy(update={"sync": sync, "klaviyo_limit_share": share, "threads": THREADS})
    return Services(changed, follows_consent=consent != "left")


def _with_past_consent(sync: SyncRules) -> SyncRules:
    """The past's consent was given long ago: no confirmation mails, at its own time, and nobody is unsubscribed."""
    return sync.model_copy(update={"consent": sync.consent.model_copy(update={"confirmed": True, "unsubscribed": ()})})
