"""Times in commercetools' documents and messages, and in Klaviyo's answers.

commercetools writes ISO 8601 in UTC (`2026-05-01T10:00:00.000Z`), Klaviyo with an offset
(`2026-05-01T10:00:00+00:00`). A time without a zone is taken as UTC, never as this machine's local time. Sources:
commercetools API, type DateTime; Klaviyo, API overview.
"""

from datetime import UTC, datetime


def required_time(text: object) -> datetime:
    """The time in UTC. Raises ValueError if it can't be read: in a mapper, the document is then Unmappable."""
    found = parsed_time(text)
    if found is None:
        raise ValueError("not a time")
    return found


def parsed_time(text: object) -> datetime | None:
    """The time in UTC; None if it can't be read, for callers that know what to do without one."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # UTC time before the year 1 or after 9999
        return None
