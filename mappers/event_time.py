"""Times of events, within the range that Klaviyo accepts."""

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1990, 1, 2, tzinfo=UTC)
MAX_AHEAD = timedelta(days=364)
"""Klaviyo accepts times from 1990 to one year ahead. Both limits here keep a day's distance, as clocks differ."""


def event_time(timestamp: str, now: datetime) -> datetime:
    """UTC time of a commercetools timestamp, moved into Klaviyo's range if necessary. Source: Klaviyo, Events API."""
    return min(max(_utc(timestamp), EARLIEST), now + MAX_AHEAD)


def is_out_of_range(timestamp: str, now: datetime) -> bool:
    """True if the time is out of Klaviyo's range."""
    return event_time(timestamp, now) != _utc(timestamp)


def is_too_old_for_flows(timestamp: str, now: datetime, max_age: float) -> bool:
    """True if an event is too old to start flows: older than `max_age` seconds. 0 means no limit."""
    return bool(max_age) and (now - _utc(timestamp)).total_seconds() > max_age


def _utc(timestamp: str) -> datetime:
    moment = datetime.fromisoformat(timestamp)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
