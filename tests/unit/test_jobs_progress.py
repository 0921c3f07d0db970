"""The progress of a run: a line of JSON every 30 seconds, or a bar."""

import io
import json
import time

import pytest
from rich.console import Console

from commands.backfill import ProgressBar
from jobs.progress import LoggedProgress, Snapshot


def _snapshot(done: int = 50, *, total: int | None = 200, is_capped: bool = False, rate: float = 25.0) -> Snapshot:
    return Snapshot("orders", done, total, is_capped, rate, errors=2, throttled=1)


@pytest.mark.parametrize(
    ("snapshot", "minutes"),
    [
        (_snapshot(), 6.0),
        (_snapshot(300), 0.0),
        (_snapshot(rate=0.0), None),
        (_snapshot(total=None), None),
        (_snapshot(total=10_000, is_capped=True), None),
    ],
)
def test_time_left(snapshot: Snapshot, minutes: float | None) -> None:
    """The time left at the current rate. It is unknown without a rate or an exact total."""
    assert snapshot.minutes_left == minutes


def test_a_line_every_30_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line is logged every 30 seconds, however often progress is shown."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = LoggedProgress("backfill")
    for _ in range(240):
        now += 0.25
        progress.show(_snapshot())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert lines[0] == {
        "severity": "INFO", "message": "backfill: orders", "done": 50, "total": 200, "total_is_capped": False,
        "per_minute": 25.0, "minutes_left": 6.0, "errors": 2, "throttled": 1,
    }  # fmt: skip


def test_a_bar_on_a_terminal() -> None:
    """The bar shows the count, the total, the rate, the time left, and the errors and throttled calls."""
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, force_terminal=True, width=120))
    bar.show(_snapshot())
    bar.close()
    for text in ("orders", "50/200", "25/min", "6 min left", "2 errors", "1 throttled"):
        assert text in screen.getvalue()
