"""What this instance wrote counts, until Klaviyo shows something newer."""

from typing import Any

import pytest

from clients.recent_variants import RecentVariants

OLD, NOW, NEW = "2026-05-01T10:00:00+00:00", "2026-05-01T10:00:01+00:00", "2026-05-01T10:00:02+00:00"


def _variant(updated: str, price: int = 1) -> dict[str, Any]:
    return {"updated": updated, "price": price}


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({}, {"A": {"updated": NOW}}),
        ({"A": _variant(OLD)}, {"A": _variant(NOW, 2)}),
        ({"A": _variant(NOW, 2)}, {"A": _variant(NOW, 2)}),
        ({"A": _variant(NOW, 3)}, {"A": {"updated": NOW}}),
        ({"A": _variant(NEW, 3)}, {"A": _variant(NEW, 3)}),
        ({"B": _variant(OLD)}, {"A": {"updated": NOW}, "B": _variant(OLD)}),
    ],
    ids=["not shown yet", "older", "same", "another at the same time", "newer", "beside another"],
)
def test_a_variant_that_was_written(read: Any, expected: Any) -> None:
    """A read that is older than the write is corrected; where it lacks the variant, what it holds is not known.

    Nor is it where the read shows something else at the same time: nobody knows which of the two came later.
    """
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW, 2), "item")
    assert recent.corrected("item", read) == expected
    if "A" in read:
        assert recent.corrected_one("A", read["A"]) == expected["A"]


@pytest.mark.parametrize(
    ("read", "expected"),
    [({}, {}), ({"A": _variant(NOW)}, {}), ({"A": _variant(NEW)}, {"A": _variant(NEW)})],
    ids=["gone", "still shown", "created again"],
)
def test_a_variant_that_was_deleted(read: Any, expected: Any) -> None:
    """It is gone, unless Klaviyo shows one that is newer than the deleted one."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.deleted("A", NOW)
    assert recent.corrected("item", read) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [({}, {"A": {"updated": ""}}), ({"A": _variant(NEW)}, {"A": {"updated": NEW}})],
    ids=["not shown", "shown"],
)
def test_a_variant_whose_write_failed(read: Any, expected: Any) -> None:
    """It may be there or not, as it was or not, whatever is shown; a write that is answered ends that."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent.may_have_written("A", "item")
    assert recent.corrected("item", read) == expected
    recent.wrote("A", _variant(NOW, 2), "item")
    assert recent.corrected("item", {"A": _variant(OLD)}) == {"A": _variant(NOW, 2)}


def test_stock_alone_belongs_to_no_item_until_it_is_read() -> None:
    """A stock message knows only the SKU: it corrects what is read, and adds nothing."""
    recent = RecentVariants()
    recent.changed("A", _variant(NOW, 2))
    assert recent.corrected("item", {}) == {}
    assert recent.corrected("item", {"A": _variant(OLD)}) == {"A": _variant(NOW, 2)}


def test_a_variant_that_moved_is_no_longer_the_first_items() -> None:
    """Written for another product, it is not shown among the first one's."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.wrote("A", _variant(NOW), "other")
    recent.changed("A", _variant(NOW, 3))
    assert recent.corrected("item", {"A": _variant(OLD)}) == {}


def test_an_item_that_was_deleted_has_no_variants() -> None:
    """None of them counts, though a list may still show them, until Klaviyo shows a newer one; other items' do."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent.wrote("B", _variant(NOW), "other")
    recent.deleted_item("item")
    assert recent.corrected("item", {}) == {}
    assert recent.corrected("item", {"A": _variant(NOW)}) == {}
    assert recent.corrected("item", {"A": _variant(NEW)}) == {"A": _variant(NEW)}
    assert recent.corrected("other", {}) == {"B": {"updated": NOW}}


def test_a_deleted_item_takes_no_variant_along_that_moved_before() -> None:
    """What was written for another product stays known."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.wrote("A", _variant(NOW), "other")
    recent.deleted_item("item")
    assert recent.corrected("other", {}) == {"A": {"updated": NOW}}


def test_what_was_read_is_not_changed() -> None:
    """The correction is a new table."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    read: dict[str, Any] = {}
    recent.corrected("item", read)
    assert read == {}


def test_what_was_written_is_forgotten_after_a_minute() -> None:
    """By then Klaviyo's reads show it; what they show is right."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent._variants.expire(recent._variants.timer() + 61)
    assert recent.corrected("item", {}) == {}
