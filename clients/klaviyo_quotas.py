"""Klaviyo's rate limits, kept rather than run into.

Klaviyo counts each operation in two fixed windows, a second and a minute, for the whole account. All threads of this
instance share one pace per operation: at most the instance's share of both windows, spread over the minute but for a
tenth that may go at once. While Klaviyo says that much of the minute is left, the minute's share does not bind, and
afterwards an instance that has used more than its share, as others are idle, goes on in the same proportion.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clients.retrying import THROTTLED, Operation, Pauses, WaitingRoom, current_budget
from core.errors import TryAgain

_MINUTE = 60.0
_SECOND = 1.0
_AT_ONCE = 0.1
"""Part of a minute's quota that need not be spread."""
_BURST_MARGIN = 0.9
"""Of a second's quota: what is sent within one second may arrive within a shorter time."""
_PLENTY = 0.5
"""Part of a minute's quota that must be left for the share not to bind."""
_ROUNDED = 2.0
"""Seconds: a window's end is told in whole ones, and the answer takes its time."""
_HEADERS_EVERY = 0.05
"""Seconds between two answers of an operation whose headers are read: reading all of them takes 10 % more CPU."""
_READS = ("get_", "query_")
"""How operations begin that change nothing."""
_NUMBER = re.compile(r"\d+")
_TOLD = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests a second and a minute. Source: the rate limits in the SDK's documentation of each operation.

    What `RateLimit-Limit` says of the minute wins over what is written here.
    """

    burst: int
    steady: int


_MEDIUM, _LARGE, _EXTRA_LARGE = Quota(10, 150), Quota(75, 750), Quota(350, 3500)
QUOTAS: Mapping[str, Quota] = {
    "create_event": _EXTRA_LARGE,
    "create_or_update_profile": _LARGE,
    "get_profiles": _LARGE,
    "bulk_import_profiles": _MEDIUM,
    "get_bulk_import_profiles_jobs": _MEDIUM,
    "get_bulk_import_profiles_job": _MEDIUM,
    "get_errors_for_bulk_import_profiles_job": _MEDIUM,
    "request_profile_deletion": Quota(3, 60),
    "get_metrics": _MEDIUM,
    "query_metric_aggregates": Quota(3, 60),
    "get_catalog_categories": _EXTRA_LARGE,
    "get_catalog_items": _EXTRA_LARGE,
    "get_catalog_variants": _EXTRA_LARGE,
    "get_catalog_category": _EXTRA_LARGE,
    "get_category_ids_for_catalog_item": _EXTRA_LARGE,
    "get_item_ids_for_catalog_category": _EXTRA_LARGE,
    "get_variants_for_catalog_item": _EXTRA_LARGE,
    **dict.fromkeys(
        (
            "bulk_create_catalog_items",
            "bulk_create_catalog_variants",
            "get_bulk_create_catalog_items_job",
            "get_bulk_create_catalog_items_jobs",
            "get_bulk_create_variants_job",
            "get_bulk_create_variants_jobs",
        ),
        _LARGE,
    ),
    **{
        f"{verb}_catalog_{kind}": _LARGE
        for verb in ("create", "update", "delete")
        for kind in ("item", "variant", "category")
    },
}


@dataclass(slots=True)
class _Pace:
    """What was sent of one operation, and what Klaviyo said is left of its minute."""

    quota: Quota
    sent: deque[float] = field(default_factory=deque)
    """Send times in the last minute, plus reserved slots."""
    next_even: float = 0.0
    headers_at: float = float("-inf")
    limit: int = 0
    remaining: int = 0
    reset_at: float = 0.0
    own: int = 0
    """Of what was used of Klaviyo's minute: what this instance has sent or reserved."""

    def reserve(self, now: float, share: float, latest: float) -> float | None:
        """When the next request may be sent, which takes that slot; None when it comes after `latest`."""
        while self.sent and self.sent[0] <= now - _MINUTE:
            self.sent.popleft()
        told = now < self.reset_at
        minutes_share = self._minutes_share(share) if told else share
        at = max(now, self.next_even - _AT_ONCE * _MINUTE)
        for length, most in (
            (_SECOND, self.quota.burst * share * _BURST_MARGIN),
            (_MINUTE, self.quota.steady * minutes_share),
        ):
            allowed = max(1, int(most))
            if len(self.sent) >= allowed:
                at = max(at, self.sent[-allowed] + length)
        if told and self.remaining <= 0:
            at = max(at, self.reset_at)
        if at > latest:
            return None
        self.sent.append(at)
        self.remaining -= 1
        self.own += 1
        self.next_even = max(self.next_even, at) + _MINUTE / (self.quota.steady * minutes_share)
        return at

    def learn(self, ends: float, limit: int, remaining: int) -> None:
        """Take in that `remaining` of `limit` are left of the minute that ends at `ends`."""
        if ends < self.reset_at - _ROUNDED:
            return  # an answer of the window before, which was overtaken
        # Within one window answers overtake each other as well: the lowest count is the latest.
        if ends > self.reset_at + _ROUNDED:
            self.remaining, self.reset_at = remaining, ends
            self.own = sum(at > ends - _MINUTE for at in self.sent)
        else:
            self.remaining, self.reset_at = min(remaining, self.remaining), max(ends, self.reset_at)
        self.limit = limit
        if limit and limit != self.quota.steady:  # Klaviyo has raised or lowered it since
            self.quota = Quota(max(1, round(self.quota.burst * limit / self.quota.steady)), limit)

    def _minutes_share(self, share: float) -> float:
        """The whole minute while plenty is left, then as much of it as this instance has used of what was used."""
        if self.remaining >= self.limit * _PLENTY:
            return 1.0
        return min(1.0, max(share, self.own / max(1, self.limit - self.remaining)))


class KlaviyoQuotas(Pauses):
    """Lets calls wait for their slot, and refuses those whose slot comes after the message's time.

    `share` is the part of the account's quota that is this instance's, `waiting` bounds how many messages may wait.
    """

    def __init__(
        self,
        share: float,
        waiting: WaitingRoom,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self._share = share
        self._waiting = waiting
        self._clock = clock
        self._sleep = sleep
        self._pacing = threading.Lock()
        self._paces = {name: _Pace(quota) for name, quota in QUOTAS.items()}

    def admit(self, operation: Operation) -> bool:
        """Wait for the operation's slot. Raises TryAgain when it is paused, or the message can't wait so long."""
        self.require_unpaused(operation)
        with self._waiting.entered() as may_wait:
            wait = self._reserve(operation, current_budget().patience if may_wait else 0.0)
            if wait > 0:
                self._sleep(wait)
        probes = super().admit(operation)
        if not operation.name.startswith(_READS):
            current_budget().has_written = True
        return probes

    def wants_headers(self, operation: Operation) -> bool:
        """Whether to read the rate-limit headers of the next answer (at most every 50 ms)."""
        pace = self._paces.get(operation.name)
        now = self._clock()
        if not pace or now < pace.headers_at + _HEADERS_EVERY:
            return False
        pace.headers_at = now
        return True

    def learn(self, operation: Operation, headers: Mapping[str, str]) -> None:
        """Take in what Klaviyo's answer says is left of the operation's minute."""
        pace = self._paces.get(operation.name)
        limit, remaining, reset = (_number(headers, name) for name in _TOLD)
        if not pace or limit is None or remaining is None or reset is None:
            return
        with self._pacing:
            pace.learn(self._clock() + reset, limit, remaining)

    def _reserve(self, operation: Operation, patience: float) -> float:
        """Seconds until the slot that is now taken. Raises TryAgain when they are more than `patience`."""
        pace = self._paces.get(operation.name)
        if not pace:
            return 0.0
        now = self._clock()
        with self._pacing:
            at = pace.reserve(now, self._share, now + patience)
        if at is None:
            raise TryAgain("throttled", status=THROTTLED)
        return at - now


def _number(headers: Mapping[str, str], name: str) -> int | None:
    found = _NUMBER.match(headers.get(name) or "")
    return int(found[0]) if found else None
