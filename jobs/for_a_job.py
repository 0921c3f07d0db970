"""What a job is given: as the function is, with a share of Klaviyo's limits, and threads and time of its own."""

from core.settings import Settings
from handlers.services import Services
from jobs.units import UNIT_SECONDS

THREADS = 16


def job_services(settings: Settings, share: float) -> Services:
    """Backends, locks and writers of a job that uses this share of Klaviyo's limits."""
    limits = settings.sync.limits.model_copy(update={"message_seconds": UNIT_SECONDS})
    sync = settings.sync.model_copy(update={"limits": limits})
    return Services(settings.model_copy(update={"sync": sync, "klaviyo_limit_share": share, "threads": THREADS}))
