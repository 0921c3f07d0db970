"""The name of a category that this instance wrote counts until Klaviyo shows a newer one."""

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
def test_a_stale_read_is_corrected(read: Any, name: str) -> None:
    """A read older than the write is corrected. A read of the same time counts: another instance may have written."""
    recent = RecentCategories()
    recent.wrote("a", {"name": "written", "updated": NOW})
    assert recent.name("a", read) == name


def test_a_deleted_or_unwritten_category_is_not_corrected() -> None:
    """The read counts."""
    recent = RecentCategories()
    recent.wrote("a", {"name": "written", "updated": NOW})
    recent.deleted("a")
    recent.deleted("b")
    assert recent.name("a", None) is None
    for category_id in ("a", "b", "c"):
        assert recent.name(category_id, {"name": "read", "updated": OLD}) == "read"
