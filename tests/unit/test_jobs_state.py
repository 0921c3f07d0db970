"""The state file of a backfill: who owns it, how a run resumes from it, and that a kill leaves it intact."""

import errno
import json
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import jobs.atomic_file
import jobs.state
import jobs.state_claim
from jobs.outcome import INTERRUPTED, InterruptedRunError, LostStateError, RefusedStateError, StoppedError
from jobs.state import StateFile
from jobs.state_claim import claim
from tests.fake_clock import FakeClock

IDENTITY = {"project": "shop", "account": "A1", "rules": "r1"}
RESUME_KEY: dict[str, object] = {"since": None, "ids": None}
TIMES = {"since": "", "until": "2026-11-28T10:00:00.000Z"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of a state file that does not exist yet."""
    return tmp_path / "state.json"


def _claimed(path: Path, stop: threading.Event | None = None, **changed: Any) -> StateFile:
    return claim(path, IDENTITY, RESUME_KEY, TIMES, stop or threading.Event(), **changed)


def _set_other_owner(path: Path, monkeypatch: pytest.MonkeyPatch, **owner: Any) -> None:
    """Make the file look as if another process had claimed it."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found["owner"] = {**(found["owner"] or {}), **owner}
    path.write_text(json.dumps(found), encoding="utf-8")
    monkeypatch.setattr(jobs.state, "_CLAIM", "mine")


def test_a_run_resumes_from_its_file(path: Path) -> None:
    """Cursor and counts are kept, and so are the times with which the run began."""
    first = _claimed(path)
    first.pass_state("orders").after = "o7"
    first.pass_state("orders").count({"customer_gone": 1}, 1, 2, {"klaviyo": 3})
    first.release()
    again = claim(path, IDENTITY, RESUME_KEY, {"since": "", "until": "later"}, threading.Event())
    assert (again.run, again.is_new, again.times) == (first.run, False, TIMES)
    assert again.pass_state("orders") == first.pass_state("orders")
    assert again.pass_state("orders").read == 4


def test_a_kill_during_a_write_keeps_the_previous_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes are atomic: the file still has the content of the last complete write."""
    state = _claimed(path)
    state.write()
    before = path.read_text(encoding="utf-8")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        state.write()
    assert path.read_text(encoding="utf-8") == before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of the state file, for a run in Cloud Run."""
    monkeypatch.setenv("CLOUD_RUN_EXECUTION", "execution-1")
    clock = FakeClock()
    for module in (jobs.state, jobs.state_claim):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def written_at(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which the file was written. Every write takes a tenth of a second."""
    times: list[float] = []

    def recorded(write: Callable[[Path, str], None], path: Path, content: str) -> None:
        times.append(clock.monotonic())
        clock.sleep(0.1)
        write(path, content)

    for name in ("create", "replace"):
        monkeypatch.setattr(jobs.atomic_file, name, partial(recorded, getattr(jobs.atomic_file, name)))
    return times


def test_a_bucket_is_written_at_most_once_a_second(path: Path, clock: FakeClock, written_at: list[float]) -> None:
    """Faster pages wait for the next second. Each write has the newest state."""
    state = _claimed(path, clock)
    for number in range(3):
        state.pass_state("orders").after = f"o{number}"
        state.write()
        assert json.loads(path.read_text(encoding="utf-8"))["passes"]["orders"]["after"] == f"o{number}"
    clock.sleep(0.7)
    state.release()
    _claimed(path, clock)
    assert written_at == pytest.approx(
        [1000.0, 1001.0, 1002.0, 1003.0, 1004.0, 1004.1]
    )  # the last write is another run's


def _make_fail(monkeypatch: pytest.MonkeyPatch, target: object, name: str, times: int) -> None:
    """Make a file function fail this many times, and then work again."""
    left, function = iter(range(times)), getattr(target, name)

    def fail(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments, **named)

    monkeypatch.setattr(target, name, fail)


@pytest.mark.parametrize(("target", "name"), [(Path, "read_bytes"), (Path, "replace"), (os, "fsync")])
def test_a_failed_write_is_retried(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, target: object, name: str
) -> None:
    """A bucket that is unavailable for some seconds does not end the run."""
    state = _claimed(path, clock)
    state.pass_state("orders").after = "o7"
    began = clock.monotonic()
    _make_fail(monkeypatch, target, name, 5)
    state.write()
    assert json.loads(path.read_text(encoding="utf-8"))["passes"]["orders"]["after"] == "o7"
    assert clock.monotonic() - began < jobs.state.RETRY_WRITES_FOR


@pytest.mark.parametrize("is_asked_to_end", [False, True])
def test_a_file_that_stays_unwritable_ends_the_run(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, is_asked_to_end: bool
) -> None:
    """It stops after half a minute, or at once after a signal, and writes nothing more. The same command resumes it."""
    state = _claimed(path, clock)
    before = path.read_text(encoding="utf-8")
    if is_asked_to_end:
        clock.set()
    _make_fail(monkeypatch, Path, "replace", 9)
    began = clock.monotonic()
    with pytest.raises(StoppedError, match=r"can't be written: Input/output error\. Run") as stopped:
        state.write()
    assert (stopped.value.code, stopped.value.leaves_threads) == (INTERRUPTED, True)
    assert (clock.monotonic() - began <= 1.0) if is_asked_to_end else (20.0 < clock.monotonic() - began <= 30.0)
    monkeypatch.undo()
    state.release()
    assert path.read_text(encoding="utf-8") == before


def test_after_a_signal_the_file_is_written_once_more(path: Path, clock: FakeClock) -> None:
    """Heartbeats stop, so that the final write need not wait for the second after one."""
    state = _claimed(path, clock)
    clock.sleep(jobs.state.BEAT_EVERY)
    asked_at = clock.monotonic()
    clock.set()
    before = path.read_text(encoding="utf-8")
    state.beat()
    assert path.read_text(encoding="utf-8") == before
    state.release()
    assert path.read_text(encoding="utf-8") != before
    assert clock.monotonic() == asked_at


def test_a_kill_before_the_first_write_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file would be refused by every later run."""

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            _claimed(path)
    assert not path.exists()
    assert _claimed(path).is_new


def test_the_file_is_created_on_a_bucket_without_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a rename creates the file. A file that another run has created in the meantime is kept."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    assert _claimed(path).is_new
    before = path.read_text(encoding="utf-8")
    monkeypatch.setattr(jobs.state_claim, "read_state", lambda _: None)
    with pytest.raises(RefusedStateError, match="another run has just started"):
        _claimed(path)
    assert path.read_text(encoding="utf-8") == before
    assert list(path.parent.iterdir()) == [path]


def test_a_run_stops_when_another_has_taken_over_its_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was wrongly taken for dead stops at its next write, and leaves the file to the other run."""
    state = _claimed(path)
    before = path.read_text(encoding="utf-8")
    monkeypatch.setattr(jobs.state, "_CLAIM", "another's")
    with pytest.raises(LostStateError, match="was taken over by another run"):
        state.write()
    assert path.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("owner", "execution"),
    [
        ({"pid": 2**22 + 1}, ""),  # above any possible pid
        ({"host": "h1", "execution": "backfill-x7"}, "backfill-x7"),
    ],
    ids=["dead", "retry of an execution"],
)
def test_a_dead_owner_is_replaced_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any], execution: str
) -> None:
    """The owner is dead if its process has ended, or if it is an earlier attempt of the same Cloud Run execution."""
    _claimed(path)
    _set_other_owner(path, monkeypatch, **owner)
    monkeypatch.setenv("CLOUD_RUN_EXECUTION", execution)
    monkeypatch.setattr(jobs.state_claim, "DEAD_AFTER", 0.0)
    monkeypatch.setattr(jobs.state_claim, "_POLL_EVERY", 1e9)
    assert not _claimed(path).is_new


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, {}], ids=["other host", "container of the same name"])
def test_a_moving_heartbeat_means_the_owner_is_alive(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, str]
) -> None:
    """On another host the process can't be checked, and in another container the same pid may exist."""
    _claimed(path)
    _set_other_owner(path, monkeypatch, **owner)

    class Beating(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout
            found = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**found, "heartbeat": found["heartbeat"] + 1}), encoding="utf-8")
            return False

    with pytest.raises(RefusedStateError, match="is in use: another run"):
        _claimed(path, Beating())


def test_an_owner_without_heartbeats_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as dead after two minutes (zero in this test). A signal ends the wait."""
    _claimed(path)
    _set_other_owner(path, monkeypatch, host="elsewhere")
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        _claimed(path, stop)
    monkeypatch.setattr(jobs.state_claim, "DEAD_AFTER", 0.0)
    assert not _claimed(path).is_new


def test_of_two_runs_that_start_together_one_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found no file. The second one to create it is refused."""
    _claimed(path)
    monkeypatch.setattr(jobs.state_claim, "read_state", lambda _: None)
    with pytest.raises(RefusedStateError, match="another run has just started"):
        _claimed(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', "not json"])
def test_any_other_file_is_refused(path: Path, content: str) -> None:
    """It is not overwritten, even with --restart: it may be any other document."""
    path.write_text(content, encoding="utf-8")
    for restart in (False, True):
        with pytest.raises(RefusedStateError, match="is not the state file of a backfill"):
            _claimed(path, restart=restart)
    assert path.read_text(encoding="utf-8") == content


def test_a_restart_still_checks_for_erased_customers(path: Path) -> None:
    """The unfinished page of the earlier run is kept, unless the file belongs to another shop."""
    state = _claimed(path)
    state.pass_state("orders").unfinished = {"began": "2026-11-28T10:00:00+00:00", "customers": ["c1"]}
    state.pass_state("orders").after = "o7"
    state.release()
    restarted = _claimed(path, restart=True)
    assert (restarted.pass_state("orders").unfinished, restarted.pass_state("orders").after) == (
        {"began": "2026-11-28T10:00:00+00:00", "customers": ["c1"]},
        "",
    )
    restarted.release()
    other = claim(path, {**IDENTITY, "project": "other"}, RESUME_KEY, TIMES, threading.Event(), restart=True)
    assert other.passes == {}
