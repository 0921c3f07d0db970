"""The state of an item that this instance wrote counts until Klaviyo shows a newer one."""

from typing import Any

import pytest

from clients.recent_items import KnownItem, RecentItems

OLD, NOW, NEW = "2026-05-01T10:00:00+00:00", "2026-05-01T10:00:01+00:00", "2026-05-01T10:00:02+00:00"
WRITTEN = KnownItem({"updated": NOW, "price": 2}, frozenset({"a"}))


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"updated": OLD, "price": 1}, WRITTEN),
        ({"updated": NOW, "price": 2}, WRITTEN),
        ({"updated": NOW, "price": 3}, None),
        ({"updated": NEW, "price": 3}, KnownItem({"updated": NEW, "price": 3})),
        (None, None),
    ],
    ids=["older", "same", "different at the same time", "newer", "missing"],
)
def test_a_read_of_a_written_item_is_corrected(read: Any, expected: Any) -> None:
    """A read older than the write is corrected. After a newer read, the categories are unknown.

    If the read differs from the write at the same `updated`, either may be newer, so the state is unknown.
    """
    recent = RecentItems()
    recent.wrote("p", {"updated": NOW, "price": 2}, frozenset({"a"}))
    assert recent.corrected("p", read) == expected


def test_a_read_of_an_unwritten_item_counts() -> None:
    """The item's categories are unknown."""
    assert RecentItems().corrected("p", {"updated": OLD}) == KnownItem({"updated": OLD})


def test_after_a_delete_or_a_failed_write_the_state_is_unknown() -> None:
    """No read is trusted until the next successful write."""
    recent = RecentItems()
    recent.wrote("p", {"updated": OLD})
    recent.mark_unknown("p")
    assert recent.corrected("p", {"updated": NEW}) is None
    assert not recent.may_be_in("p", frozenset({"a"}))
    recent.wrote("p", {"updated": NEW}, frozenset({"a"}))
    assert recent.corrected("p", {"updated": NEW}) == KnownItem({"updated": NEW}, frozenset({"a"}))


def test_categories_of_a_written_item() -> None:
    """A list that shows other categories is doubted, even after a write without categories.

    After such a write the categories are unknown, as another instance may have moved the item in the meantime.
    """
    recent = RecentItems()
    assert recent.may_be_in("p", frozenset({"a"}))
    recent.wrote("p", {"updated": OLD}, frozenset({"a", "b"}))
    assert recent.corrected("p", {"updated": OLD}) == KnownItem({"updated": OLD}, frozenset({"a", "b"}))
    recent.wrote("p", {"updated": NOW})
    assert recent.corrected("p", {"updated": NOW}) == KnownItem({"updated": NOW})
    assert recent.may_be_in("p", frozenset({"a", "b"}))
    assert not recent.may_be_in("p", frozenset({"a"}))
