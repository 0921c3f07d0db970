"""The state file: whose it is, and that a kill leaves a whole one."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import jobs.state
from jobs.ending import InterruptedRunError, LostStateError, RefusedStateError
from jobs.state import StateFile, claimed

IDENTITY = {"project": "shop", "account": "A1", "rules": "r1"}
SAID: dict[str, object] = {"since": None, "ids": None}
BEGAN = {"since": "", "until": "2026-11-28T10:00:00.000Z"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a state file that is not there yet."""
    return tmp_path / "state.json"


def _claimed(path: Path, stop: threading.Event | None = None, **changed: Any) -> StateFile:
    return claimed(path, IDENTITY, SAID, BEGAN, stop or threading.Event(), **changed)


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
    again = claimed(path, IDENTITY, SAID, {"since": "", "until": "later"}, threading.Event())
    assert (again.run, again.is_new, again.began) == (first.run, False, BEGAN)
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
    monkeypatch.setattr(jobs.state, "STANDS_STILL", 0.0)
    monkeypatch.setattr(jobs.state, "_LOOK_EVERY", 1e9)
    assert not _claimed(path).is_new


def test_a_heartbeat_that_moves_is_anothers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine nobody can look for the process: it is watched."""
    _claimed(path)
    _belongs_to(path, monkeypatch, host="elsewhere")

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
    monkeypatch.setattr(jobs.state, "STANDS_STILL", 0.0)
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
    other = claimed(path, {**IDENTITY, "project": "other"}, SAID, BEGAN, threading.Event(), restart=True)
    assert other.passes == {}
