"""When another message's copy does what a message asks for."""

import pytest

from handlers.recent_copies import Copy, RecentCopies

ARRIVED = 100.0
BEFORE, AFTER = 99.0, 101.0


@pytest.mark.parametrize(
    ("copy", "version", "alone", "covered"),
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
def test_what_covers(copy: Copy, version: int | None, *, alone: bool, covered: bool) -> None:
    """It began after the message arrived and read its version; alone, one that was confirmed does as well."""
    copies = RecentCopies()
    copies.made("customer/1", copy)
    assert (copies.covering("customer/1", version, ARRIVED, alone=alone) is copy) is covered
    assert copies.covering("customer/2", version, ARRIVED, alone=alone) is None
