"""Which recent copy covers a message, so that the message need not copy the resource again."""

import pytest

from handlers.recent_copies import Copy, RecentCopies

ARRIVED = 100.0
BEFORE, AFTER = 99.0, 101.0


@pytest.mark.parametrize(
    ("copy", "version", "reuses_confirmed", "covered"),
    [
        (Copy(AFTER, 5), 5, False, True),
        (Copy(AFTER, 6), 5, False, True),
        (Copy(AFTER, 4), 5, False, False),
        (Copy(AFTER, 5), None, False, True),
        (Copy(AFTER, 5, ignored="no_email"), 5, False, True),
        (Copy(BEFORE, 5), 5, False, False),
        (Copy(BEFORE, 5, confirmed=True), 5, False, False),
        (Copy(BEFORE, 5), 5, True, False),
        (Copy(BEFORE, 5, confirmed=True), 5, True, True),
        (Copy(BEFORE, 5, confirmed=True), 4, True, True),
        (Copy(BEFORE, 5, confirmed=True), 6, True, False),
        (Copy(BEFORE, 5, confirmed=True), None, True, False),
    ],
)
def test_a_covering_copy_is_new_enough(
    copy: Copy, version: int | None, *, reuses_confirmed: bool, covered: bool
) -> None:
    """It read the message's version or a later one, after the message arrived. A confirmed copy may be older."""
    copies = RecentCopies()
    copies.remember("customer/1", copy)
    assert (copies.covering("customer/1", version, ARRIVED, reuses_confirmed=reuses_confirmed) is copy) is covered
    assert copies.covering("customer/2", version, ARRIVED, reuses_confirmed=reuses_confirmed) is None
