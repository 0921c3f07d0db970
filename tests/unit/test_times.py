"""Times as commercetools and Klaviyo write them, and what is not a time."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from core.times import parsed_time, required_time

MOMENT = datetime(2026, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01T10:00:00.000Z",
        "2026-05-01T10:00:00Z",
        "2026-05-01T10:00:00+00:00",
        "2026-05-01T12:00:00+02:00",
        "2026-05-01T10:00:00",
    ],
    ids=["commercetools", "without milliseconds", "Klaviyo", "another zone", "no zone"],
)
def test_a_time_is_in_utc(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever this machine is, a time without a zone is in UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT-11")
        time.tzset()
        found = [parsed_time(text), required_time(text)]
    time.tzset()
    assert found == [MOMENT, MOMENT]
    assert {str(one.tzinfo) for one in found if one} == {"UTC"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:00:00-14:00",
        5,
        None,
        [],
        {},
    ],
)
def test_what_is_not_a_time(value: Any) -> None:
    """It is None, or a ValueError where a time is required. That includes times that UTC can't express."""
    assert parsed_time(value) is None
    with pytest.raises(ValueError, match="not a time"):
        required_time(value)
