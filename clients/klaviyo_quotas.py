"""Client-side rate limiting: calls wait for their turn, so that Klaviyo rarely has to answer 429.

Klaviyo counts each operation for the whole account, in two fixed windows: a second (`burst`) and a minute (`steady`).
Instances do not talk to each other, so each has a configured share of the account's quota. Within an instance all
threads reserve slots (send times) from one `_Pace` per operation. A slot is the earliest time that satisfies every
rule:

- Per second: at most 90 % of the instance's share within any second.
- Per minute: at most the instance's part of the minute (see below) within any 60 seconds. Both windows slide, so
  Klaviyo's fixed ones are not overrun wherever they begin.
- Even spacing: the instance's part of the minute is spread evenly, but calls may run ahead of that schedule by a tenth
  of a minute (the generic cell rate algorithm, GCRA). Without this rule a burst could use up the minute and leave the
  instance idle for the rest of it.
- Klaviyo's count: once nothing is left of the account's minute, wait until that minute ends.

The instance's part of the minute depends on what Klaviyo's answers say is left of the account's minute:

- At least half: all of the account's quota, so that one busy instance is not held back while others are idle.
- Less: the configured share, or the instance's proportion of the calls used so far if that is more. The proportions of
  all instances add up to one, so together they exceed the quota only where shares are larger than proportions, and then
  Klaviyo's count stops them. An instance that runs alone can use all of it.
- No answer in the current minute yet: the configured share.
"""

import re
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clients.failures import THROTTLED
from clients.pauses import Operation, Pauses
from clients.retrying import WaitingRoom, current_budget
from core.errors import TryAgain

_MINUTE = 60.0
_SECOND = 1.0
_HEAD_START = 0.1
"""Part of a minute by which calls may run ahead of the even spacing."""
_BURST_MARGIN = 0.9
"""Part of the per-second quota that is used: the network may delay some calls, so that more arrive within a second."""
_PLENTY_LEFT = 0.5
"""While at least this part of the account's minute is left, the instance may use more than its share of it."""
_RESET_TOLERANCE = 2.0
"""Seconds by which two readings of one minute's end may differ: Klaviyo rounds it to seconds, and answers take time."""
_HEADERS_INTERVAL = 0.05
"""Seconds between two answers of an operation whose headers are read: reading them all takes 10 % more CPU."""
_READ_PREFIXES = ("get_", "query_")
"""Operations whose names begin like this change nothing."""
_NUMBER = re.compile(r"\d+")
_RATE_LIMIT_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


@dataclass(frozen=True, slots=True)
class Quota:
    """The account's limits for one operation: `burst` calls a second, `steady` calls a minute.

    Source: the rate limits in the SDK's documentation of each operation. If the header `RateLimit-Limit` gives another
    limit for the minute, that one is used, and `burst` changes in proportion.
    """

    burst: int
    steady: int


_SMALL, _MEDIUM, _LARGE, _EXTRA_LARGE = Quota(3, 60), Quota(10, 150), Quota(75, 750), Quota(350, 3500)
QUOTAS: Mapping[str, Quota] = {
    "create_event": _EXTRA_LARGE,
    "create_or_update_profile": _LARGE,
    "get_profiles": _LARGE,
    "update_profile": _LARGE,
    "bulk_subscribe_profiles": _LARGE,
    "bulk_unsubscribe_profiles": _LARGE,
    "bulk_import_profiles": _MEDIUM,
    "get_bulk_import_profiles_jobs": _MEDIUM,
    "get_bulk_import_profiles_job": _MEDIUM,
    "get_errors_for_bulk_import_profiles_job": _MEDIUM,
    "request_profile_deletion": _SMALL,
    "get_metrics": _MEDIUM,
    "query_metric_aggregates": _SMALL,
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
    """The slots of one operation, and what Klaviyo last said of the account's current minute. Times are monotonic."""

    quota: Quota
    sent: deque[float] = field(default_factory=deque)
    """Send times in the last minute, plus reserved slots, in ascending order."""
    next_even: float = 0.0
    """When the next call is due if calls are spaced evenly."""
    headers_read_at: float = float("-inf")
    limit: int = 0
    """The account's calls a minute, as Klaviyo last gave it; 0 before the first answer."""
    remaining: int = 0
    """Calls left of the account's current minute, less those reserved since Klaviyo gave the number."""
    reset_at: float = 0.0
    """End of the latest minute that Klaviyo reported. After it, `remaining` and `own_calls` are out of date."""
    own_calls: int = 0
    """Calls of this instance in the account's current minute, reserved ones included."""

    def reserve(self, now: float, share: float, latest: float) -> float | None:
        """Reserve the next slot and return its time. If that is after `latest`, reserve nothing and return None."""
        while self.sent and self.sent[0] <= now - _MINUTE:
            self.sent.popleft()
        count_is_current = now < self.reset_at
        minute_part = self._part_of_minute(share) if count_is_current else share
        at = max(now, self.next_even - _HEAD_START * _MINUTE)
        for length, quota in (
            (_SECOND, self.quota.burst * share * _BURST_MARGIN),
            (_MINUTE, self.quota.steady * minute_part),
        ):
            allowed = max(1, int(quota))
            if len(self.sent) >= allowed:
                at = max(at, self.sent[-allowed] + length)
        if count_is_current and self.remaining <= 0:
            at = max(at, self.reset_at)
        if at > latest:
            return None
        insort(self.sent, at)  # earlier reservations may wait for a `reset_at` that came sooner than announced
        self.remaining -= 1
        self.own_calls += 1
        self.next_even = max(self.next_even, at) + _MINUTE / (self.quota.steady * minute_part)
        return at

    def learn(self, window_end: float, limit: int, remaining: int) -> None:
        """Note that `remaining` of `limit` calls are left of the account's minute that ends at `window_end`."""
        if window_end < self.reset_at - _RESET_TOLERANCE:
            return  # a late answer about the previous minute
        if window_end > self.reset_at + _RESET_TOLERANCE:
            self.remaining, self.reset_at = remaining, window_end
            self.own_calls = sum(at > window_end - _MINUTE for at in self.sent)
        else:
            # Within a minute, answers may arrive out of order: the lowest count is the latest.
            self.remaining, self.reset_at = min(remaining, self.remaining), max(window_end, self.reset_at)
        self.limit = limit
        if limit and limit != self.quota.steady:  # the account's limit differs from the documented one
            self.quota = Quota(max(1, round(self.quota.burst * limit / self.quota.steady)), limit)

    def _part_of_minute(self, share: float) -> float:
        """The part of the minute's quota that this instance may use: all of it while plenty is left.

        Afterwards `share`, or the instance's proportion of the calls used so far if that is more.
        """
        if self.remaining >= self.limit * _PLENTY_LEFT:
            return 1.0
        return min(1.0, max(share, self.own_calls / max(1, self.limit - self.remaining)))


class KlaviyoQuotas(Pauses):
    """Makes calls wait for their slot, and refuses those whose message can't wait that long.

    `share` is the instance's configured share of the account's quota. `waiting` limits how many messages may wait.
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
        self._paces_lock = threading.Lock()
        self._paces = {name: _Pace(quota) for name, quota in QUOTAS.items()}

    def admit(self, operation: Operation) -> bool:
        """Wait for the operation's slot. True if the call is the probe that may end a pause (see `Pauses`).

        Raises TryAgain if the operation is paused, or if the slot is further away than the message may wait. A write
        sets the budget's `has_written` already here, as it may take effect even if it gets no answer.
        """
        self.require_unpaused(operation)  # so that no slot is reserved in vain
        with self._waiting.enter() as may_wait:
            wait = self._reserve(operation, current_budget().patience if may_wait else 0.0)
            if wait > 0:
                self._sleep(wait)
        is_probe = super().admit(operation)  # checks again: the pause may have begun during the wait
        if not operation.name.startswith(_READ_PREFIXES):
            current_budget().has_written = True
        return is_probe

    def should_read_headers(self, operation: Operation) -> bool:
        """True if the rate-limit headers of the next answer should be read: at most every 50 ms for each operation."""
        pace = self._paces.get(operation.name)
        now = self._clock()
        if not pace or now < pace.headers_read_at + _HEADERS_INTERVAL:
            return False
        pace.headers_read_at = now
        return True

    def learn(self, operation: Operation, headers: Mapping[str, str]) -> None:
        """Note what an answer's headers say of the account's minute; without all three of them, nothing."""
        pace = self._paces.get(operation.name)
        limit, remaining, reset = (_number(headers, name) for name in _RATE_LIMIT_HEADERS)
        if not pace or limit is None or remaining is None or reset is None:
            return
        with self._paces_lock:
            pace.learn(self._clock() + reset, limit, remaining)

    def _reserve(self, operation: Operation, patience: float) -> float:
        """Reserve a slot and return the seconds until it. Raises TryAgain if they are more than `patience`.

        0 for an operation without a known quota.
        """
        pace = self._paces.get(operation.name)
        if not pace:
            return 0.0
        now = self._clock()
        with self._paces_lock:
            at = pace.reserve(now, self._share, now + patience)
        if at is None:
            raise TryAgain("throttled", status=THROTTLED)
        return at - now


def _number(headers: Mapping[str, str], name: str) -> int | None:
    """The leading integer of a header, None if there is none."""
    found = _NUMBER.match(headers.get(name) or "")
    return int(found[0]) if found else None
