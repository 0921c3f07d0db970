"""Times of events, within what Klaviyo takes."""

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1990, 1, 2, tzinfo=UTC)
FURTHEST_AHEAD = timedelta(days=364)
"""Klaviyo takes times after 1990 and at most a year ahead; both are kept at a day's distance from its clock's edge."""


def event_time(written: str, now: datetime) -> datetime:
    """UTC time of a commercetools timestamp, moved to the nearest that Klaviyo takes. Source: Klaviyo, Events API."""
    return min(max(_utc(written), EARLIEST), now + FURTHEST_AHEAD)


def is_moved(written: str, now: datetime) -> bool:
    """Whether Klaviyo would not take this time as it is."""
    return event_time(written, now) != _utc(written)


def starts_no_flow(written: str, now: datetime, max_age: float) -> bool:
    """Whether an event is so old (in seconds; 0: none is) that Klaviyo is to record it and start no flow."""
    return bool(max_age) and (now - _utc(written)).total_seconds() > max_age


def _utc(written: str) -> datetime:
    moment = datetime.fromisoformat(written)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
