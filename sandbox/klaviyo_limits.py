"""Klaviyo's rate limits: one window of a second and one of a minute per operation."""

import math
import time

XS, S, M, L, XL = (1, 15), (3, 60), (10, 150), (75, 750), (350, 3500)
"""Calls per second and per minute."""
_TIERS = {
    "create_event": XL,
    "get_events": XL,
    "get_metrics": M,
    "query_metric_aggregates": S,
    "get_accounts": XS,
    "request_profile_deletion": S,
    "bulk_import_profiles": M,
    "get_bulk_import_profiles_jobs": M,
    "get_bulk_import_profiles_job": M,
    "get_errors_for_bulk_import_profiles_job": M,
    "get_catalog_items": XL,
    "get_catalog_item": XL,
    "get_catalog_variants": XL,
    "get_catalog_variant": XL,
    "get_catalog_categories": XL,
    "get_catalog_category": XL,
    "get_variants_for_catalog_item": XL,
    "get_category_ids_for_catalog_item": XL,
    "get_item_ids_for_catalog_category": XL,
}
"""By operation. All other operations are in tier L."""
_BURST, _STEADY = 1.0, 60.0
"""Lengths of the windows, in seconds."""


class _Window:
    """A fixed window: starts with its first call and counts until it ends."""

    __slots__ = ("count", "ends", "length")

    def __init__(self, length: float) -> None:
        self.length = length
        self.ends = 0.0
        self.count = 0

    def seconds_left(self, now: float) -> float:
        """Seconds until the window ends; starts a new one if it has ended."""
        if now >= self.ends:
            self.ends = now + self.length
            self.count = 0
        return self.ends - now


class Limits:
    """The windows of all operations. They always count, but throttle only if `enforce` is set."""

    def __init__(self) -> None:
        self.enforce = False
        self.scale = 1.0
        self._windows: dict[str, tuple[_Window, _Window]] = {}

    def count(self, operation: str) -> tuple[float, dict[str, str]]:
        """Count a call. Returns the seconds to wait (0: not throttled) and the rate limit headers for the answer."""
        burst, steady = self._windows.setdefault(operation, (_Window(_BURST), _Window(_STEADY)))
        now = time.monotonic()
        burst_left, steady_left = burst.seconds_left(now), steady.seconds_left(now)
        most_burst, most_steady = (max(1, int(most * self.scale)) for most in _TIERS.get(operation, L))
        if self.enforce:
            if steady.count >= most_steady:
                return steady_left, {}
            if burst.count >= most_burst:
                return burst_left, {}
        burst.count += 1
        steady.count += 1
        return 0.0, {
            "RateLimit-Limit": str(most_steady),
            "RateLimit-Remaining": str(max(0, most_steady - steady.count)),
            "RateLimit-Reset": str(math.ceil(steady_left)),
        }
