"""Times of events, within the range that Klaviyo accepts.

Except `later` and `earlier`, all functions raise ValueError for an event time that can't be read, so that the document
is Unmappable: Klaviyo keeps the first event of an id, so an event with a wrong time could never be corrected.
"""

from datetime import UTC, datetime, timedelta

from core.times import parsed_time, required_time

EARLIEST = datetime(1990, 1, 2, tzinfo=UTC)
MAX_AHEAD = timedelta(days=364)
"""Klaviyo accepts times from 1990 to one year ahead. Both limits here keep a day's distance, as clocks differ."""


def event_time(timestamp: str, now: datetime) -> datetime:
    """UTC time of a commercetools timestamp, moved into Klaviyo's range if necessary. Source: Klaviyo, Events API."""
    return min(max(required_time(timestamp), EARLIEST), now + MAX_AHEAD)


def is_out_of_range(timestamp: str, now: datetime) -> bool:
    """True if the time is out of Klaviyo's range."""
    return event_time(timestamp, now) != required_time(timestamp)


def is_too_old_for_flows(timestamp: str, now: datetime, max_age: float) -> bool:
    """True if an event is too old to start flows: older than `max_age` seconds. 0 means no limit."""
    return bool(max_age) and (now - required_time(timestamp)).total_seconds() > max_age


def later(timestamp: str, other: str) -> str:
    """The later of two timestamps; the first if one of them can't be read."""
    return other if _is_before(timestamp, other) else timestamp


def earlier(timestamp: str, other: str) -> str:
    """The earlier of two timestamps; the first if one of them can't be read."""
    return other if _is_before(other, timestamp) else timestamp


def _is_before(timestamp: str, other: str) -> bool:
    first, second = parsed_time(timestamp), parsed_time(other)
    return first is not None and second is not None and first < second
