"""What a run covers: times, windows and lists of ids. Also the size of its pages."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
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
def test_times_are_parsed(text: str, time: datetime) -> None:
    """A date, a time or a span before now is accepted. Without a time zone it is UTC."""
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "soon", "30", "30w", "-3d", "2026-02-30"])
def test_an_invalid_time_is_a_value_error(text: str) -> None:
    """The command turns it into an error about the option."""
    with pytest.raises(ValueError, match=r".*"):
        parse_time(text, NOW)


@given(
    first=st.datetimes(datetime(2010, 1, 1), datetime(2026, 11, 1)),  # noqa: DTZ001 - made aware below
    days=st.integers(1, 400),
    since=st.none() | st.datetimes(datetime(2010, 1, 1), datetime(2026, 11, 1)),  # noqa: DTZ001
    newest_first=st.booleans(),
)
def test_windows_cover_the_span_without_gap_or_overlap(
    first: datetime, days: int, since: datetime | None, *, newest_first: bool
) -> None:
    """Each moment is in exactly one window. The newest window is read first, unless the options say otherwise."""
    first = first.replace(tzinfo=UTC)
    since = since and since.replace(tzinfo=UTC)
    windows = _selection(days, since, newest_first=newest_first).windows(first)
    rising = windows[::-1] if newest_first else windows
    assert rising[0][0] == (max(first, since) if since else first)
    assert rising[-1][1] == NOW
    assert all(end == begin for (_, end), (begin, _) in pairwise(rising))
    assert all(timedelta() < end - begin <= timedelta(days=days) for begin, end in windows)


def test_no_window_without_orders() -> None:
    """A shop without orders has nothing to read."""
    assert _selection().windows(NOW) == []


def test_ids_of_an_errors_file(tmp_path: Path) -> None:
    """Each line names its pass. The first line of an id counts. Ids are sorted, and other passes' lines are skipped."""
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
    ("line", "message"),
    [
        ('{"resource":"order/o1"}', "line 1 is not a line of an errors file"),
        ('{"resource":5,"pass":"orders"}', "line 1 is not a line of an errors file"),
        ('{"resource":"order/o1","pass":"orders","since":"then"}', "line 1 is not a line of an errors file"),
        ("{", "line 1 is not a line of an errors file"),
        ('{"resource":"order/","pass":"orders"}', "line 1 names no resource"),
        ('a")or(id="b', "line 1 names no resource"),
    ],
)
def test_an_invalid_line_of_ids_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    """The error names the line."""
    file = tmp_path / "ids"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_ids(file, ["orders"])


def test_pages_shrink_and_grow() -> None:
    """A page that times out is halved, down to one document. After 20 good pages it doubles, up to its first size."""
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
