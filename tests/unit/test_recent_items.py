"""What this instance wrote of an item counts, until Klaviyo shows something newer."""

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
    ids=["older", "same", "another within the second", "newer", "not there"],
)
def test_an_item_that_was_written(read: Any, expected: Any) -> None:
    """A read that is older than the write is corrected; one that is newer says nothing about categories.

    Of one that shows something else at the same time nobody knows which of the two came later.
    """
    recent = RecentItems()
    recent.wrote("p", {"updated": NOW, "price": 2}, frozenset({"a"}))
    assert recent.corrected("p", read) == expected


def test_an_item_that_was_never_written_is_as_it_was_read() -> None:
    """Its categories are not known."""
    assert RecentItems().corrected("p", {"updated": OLD}) == KnownItem({"updated": OLD})


def test_an_item_that_was_deleted_or_whose_write_failed() -> None:
    """No read tells how it is, until a write is answered."""
    recent = RecentItems()
    recent.wrote("p", {"updated": OLD})
    recent.mark_unknown("p")
    assert recent.corrected("p", {"updated": NEW}) is None
    assert not recent.may_be_in("p", frozenset({"a"}))
    recent.wrote("p", {"updated": NEW}, frozenset({"a"}))
    assert recent.corrected("p", {"updated": NEW}) == KnownItem({"updated": NEW}, frozenset({"a"}))


def test_categories_of_an_item_that_was_written() -> None:
    """They cast doubt on what a list shows, also after a write that leaves them alone.

    After that they are no longer known: another instance may have moved the item in between.
    """
    recent = RecentItems()
    assert recent.may_be_in("p", frozenset({"a"}))
    recent.wrote("p", {"updated": OLD}, frozenset({"a", "b"}))
    assert recent.corrected("p", {"updated": OLD}) == KnownItem({"updated": OLD}, frozenset({"a", "b"}))
    recent.wrote("p", {"updated": NOW})
    assert recent.corrected("p", {"updated": NOW}) == KnownItem({"updated": NOW})
    assert recent.may_be_in("p", frozenset({"a", "b"}))
    assert not recent.may_be_in("p", frozenset({"a"}))
