"""What this instance wrote of categories counts, until Klaviyo shows something newer."""

from typing import Any

import pytest

from clients.recent_categories import RecentCategories

OLD, NOW, NEW = "2026-05-01T10:00:00+00:00", "2026-05-01T10:00:01+00:00", "2026-05-01T10:00:02+00:00"


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (None, "written"),
        ({"name": "read", "updated": OLD}, "written"),
        ({"name": "read", "updated": NOW}, "read"),
        ({"name": "read", "updated": NEW}, "read"),
        ({"name": "read"}, "written"),
    ],
    ids=["not shown yet", "older", "same", "newer", "without a time"],
)
def test_a_name_that_was_written(read: Any, name: str) -> None:
    """A read that is older than the write is corrected; of the same time the read counts: another may have written."""
    recent = RecentCategories()
    recent.wrote("a", {"name": "written", "updated": NOW})
    assert recent.name("a", read) == name


def test_what_was_not_written_or_is_deleted_is_as_it_was_read() -> None:
    """Nothing is known of it."""
    recent = RecentCategories()
    recent.wrote("a", {"name": "written", "updated": NOW})
    recent.deleted("a")
    recent.deleted("b")
    assert recent.name("a", None) is None
    assert recent.name("a", {"name": "read", "updated": OLD}) == "read"
