"""The state file: whose it is, and that a kill leaves a whole one."""

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
from jobs.outcome import INTERRUPTED, InterruptedRunError, LostStateError, RefusedStateError, StoppedError
from jobs.state import StateFile, claim
from tests.fake_clock import FakeClock

IDENTITY = {"project": "shop", "account": "A1", "rules": "r1"}
SAID: dict[str, object] = {"since": None, "ids": None}
BEGAN = {"since": "", "until": "2026-11-28T10:00:00.000Z"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a state file that is not there yet."""
    return tmp_path / "state.json"


def _claimed(path: Path, stop: threading.Event | None = None, **changed: Any) -> StateFile:
    return claim(path, IDENTITY, SAID, BEGAN, stop or threading.Event(), **changed)


def _belongs_to(path: Path, monkeypatch: pytest.MonkeyPatch, **owner: Any) -> None:
    """The file is another process's, which claimed it before this one."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found["owner"] = {**(found["owner"] or {}), **owner}
    path.write_text(json.dumps(found), encoding="utf-8")
    monkeypatch.setattr(jobs.state, "_CLAIM", "mine")


def test_it_goes_on_where_it_was(path: Path) -> None:
    """Cursor, counts and the times at which the run began."""
    first = _claimed(path)
    first.pass_state("orders").after = "o7"
    first.pass_state("orders").count({"customer_gone": 1}, 1, 2, {"klaviyo": 3})
    first.release()
    again = claim(path, IDENTITY, SAID, {"since": "", "until": "later"}, threading.Event())
    assert (again.run, again.is_new, again.times) == (first.run, False, BEGAN)
    assert again.pass_state("orders") == first.pass_state("orders")
    assert again.pass_state("orders").read == 4


def test_a_write_leaves_a_whole_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of a write, the file is that of the write before."""
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
    """The clock of the state file, of a run in Cloud Run."""
    monkeypatch.setenv("CLOUD_RUN_EXECUTION", "execution-1")
    clock = FakeClock()
    monkeypatch.setattr(jobs.state, "time", clock)
    return clock


@pytest.fixture
def written_at(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the file was written; every write takes a tenth of a second."""
    times: list[float] = []

    def noted(write: Callable[[Path, str], None], path: Path, content: str) -> None:
        times.append(clock.monotonic())
        clock.sleep(0.1)
        write(path, content)

    for name in ("create", "replace"):
        monkeypatch.setattr(jobs.atomic_file, name, partial(noted, getattr(jobs.atomic_file, name)))
    return times


def test_a_bucket_takes_one_write_a_second(path: Path, clock: FakeClock, written_at: list[float]) -> None:
    """However little a page takes; and what is written is the newest."""
    state = _claimed(path, clock)
    for number in range(3):
        state.pass_state("orders").after = f"o{number}"
        state.write()
        assert json.loads(path.read_text(encoding="utf-8"))["passes"]["orders"]["after"] == f"o{number}"
    clock.sleep(0.7)
    state.release()
    _claimed(path, clock)
    assert written_at == pytest.approx([1000.0, 1001.0, 1002.0, 1003.0, 1004.0, 1004.1])  # the last is another run's


def _fails(monkeypatch: pytest.MonkeyPatch, target: object, name: str, times: int) -> None:
    """A function of files that fails so often."""
    left, function = iter(range(times)), getattr(target, name)

    def fail(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments, **named)

    monkeypatch.setattr(target, name, fail)


@pytest.mark.parametrize(("target", "name"), [(Path, "read_bytes"), (Path, "replace"), (os, "fsync")])
def test_a_write_that_fails_is_repeated(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, target: object, name: str
) -> None:
    """A bucket that does not answer for some seconds ends no run."""
    state = _claimed(path, clock)
    state.pass_state("orders").after = "o7"
    began = clock.monotonic()
    _fails(monkeypatch, target, name, 5)
    state.write()
    assert json.loads(path.read_text(encoding="utf-8"))["passes"]["orders"]["after"] == "o7"
    assert clock.monotonic() - began < jobs.state.RETRY_WRITES_FOR


@pytest.mark.parametrize("is_asked_to_end", [False, True])
def test_a_file_that_can_not_be_written_ends_the_run(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, is_asked_to_end: bool
) -> None:
    """After half a minute, or at once if it is asked to end; the same command goes on. Nothing is written then."""
    state = _claimed(path, clock)
    before = path.read_text(encoding="utf-8")
    if is_asked_to_end:
        clock.set()
    _fails(monkeypatch, Path, "replace", 9)
    began = clock.monotonic()
    with pytest.raises(StoppedError, match=r"can't be written: Input/output error\. Run") as stopped:
        state.write()
    assert (stopped.value.code, stopped.value.leaves_threads) == (INTERRUPTED, True)
    assert (clock.monotonic() - began <= 1.0) if is_asked_to_end else (20.0 < clock.monotonic() - began <= 30.0)
    monkeypatch.undo()
    state.release()
    assert path.read_text(encoding="utf-8") == before


def test_a_run_that_is_asked_to_end_writes_once_more(path: Path, clock: FakeClock) -> None:
    """When it ends: it must not wait then for the second after a heartbeat."""
    state = _claimed(path, clock)
    clock.sleep(jobs.state.BEAT_EVERY)
    asked_at = clock.monotonic()
    clock.set()
    before = path.read_text(encoding="utf-8")
    state.beat()
    assert path.read_text(encoding="utf-8") == before
    state.release()
    assert clock.monotonic() == asked_at


def test_a_kill_before_the_first_write_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one would be nobody's state file, and refused for ever."""

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            _claimed(path)
    assert not path.exists()
    assert _claimed(path).is_new


def test_a_mounted_bucket_has_no_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the file is renamed; one that is there by now stays."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    assert _claimed(path).is_new
    before = path.read_text(encoding="utf-8")
    monkeypatch.setattr(jobs.state, "_read", lambda _: None)
    with pytest.raises(RefusedStateError, match="another run has just begun"):
        _claimed(path)
    assert path.read_text(encoding="utf-8") == before
    assert list(path.parent.iterdir()) == [path]


def test_who_lost_it_writes_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was taken for dead and is not: it stops at its next write, and leaves the file to the other one."""
    state = _claimed(path)
    monkeypatch.setattr(jobs.state, "_CLAIM", "another's")
    with pytest.raises(LostStateError, match="was taken over by another run"):
        state.write()


@pytest.mark.parametrize(
    ("owner", "execution"),
    [
        ({"pid": 2**22 + 1}, ""),  # no process has it
        ({"host": "h1", "execution": "backfill-x7"}, "backfill-x7"),
    ],
    ids=["dead", "retry of an execution"],
)
def test_a_dead_owner_is_followed_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any], execution: str
) -> None:
    """A process that is no more, and the attempt before of the same Cloud Run execution."""
    _claimed(path)
    _belongs_to(path, monkeypatch, **owner)
    monkeypatch.setenv("CLOUD_RUN_EXECUTION", execution)
    monkeypatch.setattr(jobs.state, "DEAD_AFTER", 0.0)
    monkeypatch.setattr(jobs.state, "_POLL_EVERY", 1e9)
    assert not _claimed(path).is_new


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, {}], ids=["host", "container of the same name"])
def test_a_heartbeat_that_moves_is_anothers(path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, str]) -> None:
    """On another machine nobody can look for the process, and in another container it has the same id: watched."""
    _claimed(path)
    _belongs_to(path, monkeypatch, **owner)

    class Beating(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout
            found = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**found, "heartbeat": found["heartbeat"] + 1}), encoding="utf-8")
            return False

    with pytest.raises(RefusedStateError, match="is in use: another run"):
        _claimed(path, Beating())


def test_a_heartbeat_that_stands_still_is_followed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two minutes, here none; and a signal ends the watching."""
    _claimed(path)
    _belongs_to(path, monkeypatch, host="elsewhere")
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        _claimed(path, stop)
    monkeypatch.setattr(jobs.state, "DEAD_AFTER", 0.0)
    assert not _claimed(path).is_new


def test_of_two_that_begin_one_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw no file; the second one to write is refused."""
    _claimed(path)
    monkeypatch.setattr(jobs.state, "_read", lambda _: None)
    with pytest.raises(RefusedStateError, match="another run has just begun"):
        _claimed(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', "not json"])
def test_what_is_no_state_file(path: Path, content: str) -> None:
    """It is left as it is: it may be anything of anybody's."""
    path.write_text(content, encoding="utf-8")
    for restart in (False, True):
        with pytest.raises(RefusedStateError, match="is not the state file of a backfill"):
            _claimed(path, restart=restart)
    assert path.read_text(encoding="utf-8") == content


def test_beginning_anew_still_looks_for_the_erased(path: Path) -> None:
    """Of the same shop; another's customers are nobody here."""
    state = _claimed(path)
    state.pass_state("orders").unfinished = {"began": "2026-11-28T10:00:00+00:00", "customers": ["c1"]}
    state.pass_state("orders").after = "o7"
    state.release()
    anew = _claimed(path, restart=True)
    assert (anew.pass_state("orders").unfinished, anew.pass_state("orders").after) == (
        {"began": "2026-11-28T10:00:00+00:00", "customers": ["c1"]},
        "",
    )
    anew.release()
    other = claim(path, {**IDENTITY, "project": "other"}, SAID, BEGAN, threading.Event(), restart=True)
    assert other.passes == {}
