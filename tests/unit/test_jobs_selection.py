"""Times, windows, lists of ids, and the sizes of pages."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.reading import PageSize
from jobs.selection import Selection, parse_time, read_ids

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


def _selection(days: int = 30, since: datetime | None = None, *, newest_first: bool = True) -> Selection:
    return Selection(("orders",), since, NOW, NOW, days, newest_first)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("26h", NOW - timedelta(hours=26)),
        ("30d", NOW - timedelta(days=30)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2026-03-29T02:30:00+02:00", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("2026-03-29T02:30:00Z", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    ],
)
def test_moments(text: str, time: datetime) -> None:
    """A date, a time or a span; without a zone it is UTC."""
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "soon", "30", "30w", "-3d", "2026-02-30"])
def test_what_is_no_moment(text: str) -> None:
    """A ValueError, for the option's own message."""
    with pytest.raises(ValueError, match=r".*"):
        parse_time(text, NOW)


@settings(deadline=None)
@given(
    first=st.datetimes(datetime(2010, 1, 1), datetime(2026, 11, 1)),  # noqa: DTZ001 - made aware below
    days=st.integers(1, 400),
    since=st.none() | st.datetimes(datetime(2010, 1, 1), datetime(2026, 11, 1)),  # noqa: DTZ001
    newest_first=st.booleans(),
)
def test_windows_cover_the_time_without_gap_or_overlap(
    first: datetime, days: int, since: datetime | None, *, newest_first: bool
) -> None:
    """Whatever the calendar does: each moment is in one window, and the newest are read first unless told otherwise."""
    first = first.replace(tzinfo=UTC)
    since = since and since.replace(tzinfo=UTC)
    windows = _selection(days, since, newest_first=newest_first).windows(first)
    rising = windows[::-1] if newest_first else windows
    assert rising[0][0] == (max(first, since) if since else first)
    assert rising[-1][1] == NOW
    assert all(end == begin for (_, end), (begin, _) in pairwise(rising))
    assert all(timedelta() < end - begin <= timedelta(days=days) for begin, end in windows)


def test_no_window_without_orders() -> None:
    """A shop whose first order is yet to come."""
    assert _selection().windows(NOW) == []


def test_ids_of_an_errors_file(tmp_path: Path) -> None:
    """Each line names its pass; an id that is there twice counts once; passes that are not asked for are left out."""
    file = tmp_path / "errors.jsonl"
    since = "2026-05-01T08:00:00+00:00"
    file.write_text(
        f'{{"resource":"order/o2","pass":"orders","since":"{since}"}}\n{{"resource":"order/o1","pass":"orders"}}\n'
        '{"resource":"order/o2","pass":"orders"}\n\n{"resource":"customer/c1","pass":"customers"}\n',
        encoding="utf-8",
    )
    ids = read_ids(file, ["orders", "products"])
    assert ids == {"orders": {"o1": None, "o2": datetime.fromisoformat(since)}}
    assert list(ids["orders"]) == ["o1", "o2"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"resource":"order/o1"}', "line 1 is not a line of an errors file"),
        ('{"resource":5,"pass":"orders"}', "line 1 is not a line of an errors file"),
        ('{"resource":"order/o1","pass":"orders","since":"then"}', "line 1 is not a line of an errors file"),
        ("{", "line 1 is not a line of an errors file"),
        ('{"resource":"order/","pass":"orders"}', "line 1 names no resource"),
        ('a")or(id="b', "line 1 names no resource"),
    ],
)
def test_what_is_no_list_of_ids(tmp_path: Path, line: str, said: str) -> None:
    """The line is named, so that it can be found."""
    file = tmp_path / "ids"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_ids(file, ["orders"])


def test_pages_shrink_and_grow() -> None:
    """Halved down to one document, doubled again after twenty that arrived, up to what they were."""
    size = PageSize(100)
    for _ in range(9):
        size.halve()
    assert size.size == 1
    for _ in range(20):
        size.grow_back()
    assert size.size == 2
    for _ in range(20 * 6):
        size.grow_back()
    assert size.size == 100
    for _ in range(20):
        size.grow_back()
    assert size.size == 100
