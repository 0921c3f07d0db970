"""The variants that this instance wrote count until Klaviyo shows newer ones."""

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
    ids=["not shown yet", "older", "same", "different at the same time", "newer", "next to another"],
)
def test_a_read_of_a_written_variant_is_corrected(read: Any, expected: Any) -> None:
    """A read older than the write is corrected. If it lacks the variant, the variant's state is unknown.

    It is also unknown if the read differs from the write at the same `updated`, as either may be newer.
    """
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW, 2), "item")
    assert recent.corrected("item", read) == expected
    if "A" in read:
        assert recent.corrected_one("A", read["A"]) == expected["A"]


@pytest.mark.parametrize(
    ("read", "expected"),
    [({}, {}), ({"A": _variant(NOW)}, {}), ({"A": _variant(NEW)}, {"A": _variant(NEW)})],
    ids=["missing", "still shown", "re-created"],
)
def test_a_deleted_variant_is_left_out(read: Any, expected: Any) -> None:
    """It counts again if Klaviyo shows one that is newer than the deleted one."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.deleted("A", NOW)
    assert recent.corrected("item", read) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [({}, {"A": {"updated": ""}}), ({"A": _variant(NEW)}, {"A": {"updated": NEW}})],
    ids=["not shown", "shown"],
)
def test_after_a_failed_write_the_state_is_unknown(read: Any, expected: Any) -> None:
    """The write may have taken effect or not, whatever Klaviyo shows. The next successful write settles it."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent.may_have_written("A", "item")
    assert recent.corrected("item", read) == expected
    recent.wrote("A", _variant(NOW, 2), "item")
    assert recent.corrected("item", {"A": _variant(OLD)}) == {"A": _variant(NOW, 2)}


def test_a_stock_write_corrects_reads_but_adds_no_variant() -> None:
    """A stock message knows only the SKU, not the item that it belongs to."""
    recent = RecentVariants()
    recent.changed("A", _variant(NOW, 2))
    assert recent.corrected("item", {}) == {}
    assert recent.corrected("item", {"A": _variant(OLD)}) == {"A": _variant(NOW, 2)}


def test_a_variant_that_moved_leaves_its_first_item() -> None:
    """Once written for another product, it no longer counts as a variant of the first one."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.wrote("A", _variant(NOW), "other")
    recent.changed("A", _variant(NOW, 3))
    assert recent.corrected("item", {"A": _variant(OLD)}) == {}


def test_an_item_that_was_deleted_has_no_variants() -> None:
    """A list may still show them, but only newer ones count. Variants of other items are not affected."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent.wrote("B", _variant(NOW), "other")
    recent.deleted_item("item")
    assert recent.corrected("item", {}) == {}
    assert recent.corrected("item", {"A": _variant(NOW)}) == {}
    assert recent.corrected("item", {"A": _variant(NEW)}) == {"A": _variant(NEW)}
    assert recent.corrected("other", {}) == {"B": {"updated": NOW}}


def test_deleting_an_item_keeps_variants_that_moved_before() -> None:
    """A variant that was written for another product since is still remembered."""
    recent = RecentVariants()
    recent.wrote("A", _variant(OLD), "item")
    recent.wrote("A", _variant(NOW), "other")
    recent.deleted_item("item")
    assert recent.corrected("other", {}) == {"A": {"updated": NOW}}


def test_the_read_is_not_modified() -> None:
    """The correction is a new dictionary."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    read: dict[str, Any] = {}
    recent.corrected("item", read)
    assert read == {}


def test_writes_are_remembered_for_a_minute() -> None:
    """By then Klaviyo's reads are up to date."""
    recent = RecentVariants()
    recent.wrote("A", _variant(NOW), "item")
    recent._variants.expire(recent._variants.timer() + 61)
    assert recent.corrected("item", {}) == {}
