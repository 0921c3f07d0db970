"""How far a run is, in a file that survives it: written whole, so a kill leaves the last one.

A file may lie on a mounted bucket, which has no locks. So whoever works on it writes its heartbeat, and a run that
finds a heartbeat watches whether it moves.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.logs import log
from jobs import atomic_file
from jobs.outcome import INTERRUPTED, InterruptedRunError, LostStateError, RefusedStateError, StoppedError

_VERSION = 1
BEAT_EVERY = 5.0
"""Seconds between two heartbeats, at most."""
STANDS_STILL = 120.0
"""Seconds without a heartbeat after which a run is taken for dead."""
_LOOK_EVERY = 0.5
_WRITE_EVERY = 1.0
"""Seconds between two writes to a bucket, at least. Source: Cloud Storage, quotas: one a second to the same object."""
REPEATED_FOR = 30.0
"""Seconds for which a write is tried that fails."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 5.0

_CLAIM = str(uuid.uuid4())
"""What tells this process's hold on a file from another's on the same run."""


def _myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "execution": os.environ.get("CLOUD_RUN_EXECUTION", "")}


@dataclass(slots=True)
class PassState:
    """One pass. The cursor (`window`, `after`) points behind pages that were done, and the counts are theirs.

    `late` are documents that changed since the run began, to be done at the end. `unfinished` is the page that was
    under way: when it began, and the customers whom it may have sent.
    """

    span: list[str] | None = None
    window: list[str] | None = None
    after: str = ""
    total: int | None = None
    read: int = 0
    sent: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    late: list[str] = field(default_factory=list)
    finished: bool = False
    unfinished: dict[str, Any] | None = None

    def reported(self) -> dict[str, Any]:
        """What is told of the pass at the end; seconds are those of all runs."""
        told = {name: getattr(self, name) for name in ("read", "sent", "skipped", "errors", "calls")}
        return {**told, "seconds": round(self.seconds, 1)}

    def count(self, skipped: Mapping[str, int], errors: int, sent: int, calls: Mapping[str, int]) -> None:
        """Add what became of a page."""
        self.skipped = dict(Counter(self.skipped) + Counter(skipped))
        self.calls = dict(Counter(self.calls) + Counter(calls))
        self.errors += errors
        self.sent += sent
        self.read += sent + errors + sum(skipped.values())


@dataclass(slots=True)
class StateFile:
    """The state of this run, and its file. Made by `claimed`; only the run's own thread uses it."""

    path: Path
    identity: Mapping[str, str]
    said: Mapping[str, object]
    began: Mapping[str, str]
    stop: threading.Event
    passes: dict[str, PassState] = field(default_factory=dict)
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_new: bool = True
    _owner: dict[str, Any] | None = field(default_factory=_myself)
    _beats: int = 0
    _tried_at: float = float("-inf")
    _is_left: bool = False

    def pass_state(self, name: str) -> PassState:
        """How far a pass is."""
        return self.passes.setdefault(name, PassState())

    def beat(self) -> None:
        """Show that this run is alive, if it is time to. One that is asked to end writes once more, when it does."""
        if time.monotonic() - self._tried_at >= BEAT_EVERY and not self.stop.is_set():
            self.write()

    def release(self) -> None:
        """Write the last state, which is nobody's; nothing after a write that raised. Raises as `write` does."""
        self._owner = None
        if not self._is_left:
            self.write()

    def write(self) -> None:
        """Write the state; in Cloud Run a second after the last write or later.

        Raises LostStateError if another run took the file over, and StoppedError if it can't be written for half a
        minute, or once the run is asked to end.
        """
        try:
            self._repeatedly(self._require_mine)
        except StoppedError as error:
            self._is_left = error.abandons = True  # a page may be under way
            raise

    def create(self) -> None:
        """Write the first state. Raises RefusedStateError if the file is there by now, or can't be written."""
        self._tried_at = time.monotonic()
        try:
            atomic_file.create(self.path, json.dumps(self.as_json()))
        except FileExistsError:
            raise RefusedStateError(f"{self.path} is in use: another run has just begun.") from None
        except OSError as error:
            raise RefusedStateError(f"{self.path} can't be written: {error.strerror}.") from None

    def take_over(self) -> None:
        """Write the state in place of what is there. Raises StoppedError if it can't be written for half a minute."""
        self._repeatedly(lambda: None)

    def _repeatedly(self, require: Callable[[], None]) -> None:
        self._beats += 1
        until, wait = time.monotonic() + REPEATED_FOR, _FIRST_WAIT
        while True:
            if _myself()["execution"]:  # in Cloud Run the file lies in a bucket
                time.sleep(max(0.0, self._tried_at + _WRITE_EVERY - time.monotonic()))
            self._tried_at = time.monotonic()
            try:
                require()
                atomic_file.replace(self.path, json.dumps(self.as_json()))
            except OSError as error:
                log.warning("the state file can't be written", reason=error.strerror)
                if self.stop.is_set() or time.monotonic() + wait > until:
                    raise StoppedError(
                        INTERRUPTED, f"{self.path} can't be written: {error.strerror}. Go on with the same command."
                    ) from None
            else:
                return
            self.stop.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _require_mine(self) -> None:
        content = _content(self.path)
        found = state_in(content, str(self.path)) if content is not None else None
        if found and (found["run"], found["claim"]) != (self.run, _CLAIM):
            raise LostStateError(f"{self.path} was taken over by another run: this one stops.")

    def as_json(self) -> dict[str, Any]:
        """What is in the file."""
        return {
            "version": _VERSION,
            "run": self.run,
            "claim": _CLAIM,
            "owner": self._owner,
            "heartbeat": self._beats,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.identity,
            "said": dict(self.said),
            "began": dict(self.began),
            "passes": {name: asdict(one) for name, one in self.passes.items()},
        }


def claimed(
    path: Path,
    identity: Mapping[str, str],
    said: Mapping[str, object],
    began: Mapping[str, str],
    stop: threading.Event,
    *,
    restart: bool = False,
    keep_rules: bool = False,
) -> StateFile:
    """The state to go on with, or a new one; it is this run's from now on.

    `identity` holds project, account and rules, `said` the options that decide what is covered. Raises
    RefusedStateError for a file of another shop, account or configuration, and for one that another run is at work on.
    """
    state = StateFile(path, identity, said, began, stop)
    found = _read(path)
    if found is None:
        state.create()
        return state
    _require_nobody(path, found, stop)
    found = _read(path) or found
    if not restart:
        _require_same(path, found, identity, keep_rules=keep_rules)
        is_finished = all(one["finished"] for one in found["passes"].values())
        # A list of ids is done again, as what was wrong with them may have been mended.
        if found["said"] == said and not (is_finished and said["ids"]):
            state.run, state.began, state.is_new = found["run"], found["began"], False
            state.passes = {name: PassState(**one) for name, one in found["passes"].items()}
        elif not is_finished:
            raise RefusedStateError(
                f"{path} is of a run with other options ({_difference(found['said'], said)}) that is not done: finish"
                " that, name another --state, or --restart."
            )
    if state.is_new and all(found[name] == identity[name] for name in ("project", "account")):
        # Somebody may have been erased while that run was killed: it is looked into all the same.
        state.passes = {
            name: PassState(unfinished=one["unfinished"]) for name, one in found["passes"].items() if one["unfinished"]
        }
    state.take_over()
    return state


def _require_same(path: Path, found: Mapping[str, Any], identity: Mapping[str, str], *, keep_rules: bool) -> None:
    for name, what in (("project", "commercetools project"), ("account", "Klaviyo account")):
        if found[name] != identity[name]:
            raise RefusedStateError(
                f"{path} is of another {what} ({found[name]}, not {identity[name]}): name another --state, or"
                " --restart."
            )
    if found["rules"] != identity["rules"] and not keep_rules:
        raise RefusedStateError(
            f"{path} was made with another configuration of what is sent: --restart, or --keep-rules to go on."
        )


def _difference(found: Mapping[str, object], said: Mapping[str, object]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in said if found.get(name) != said[name])


def _require_nobody(path: Path, found: Mapping[str, Any], stop: threading.Event) -> None:
    """Raise RefusedStateError if the file's owner is at work; wait until that is clear."""
    owner = found["owner"]
    if not owner or is_gone(owner):
        return
    log.info("the state file is another run's: watching whether it is alive", seconds=STANDS_STILL)
    end = time.monotonic() + STANDS_STILL
    while time.monotonic() < end:
        if stop.wait(_LOOK_EVERY):
            raise InterruptedRunError(abandons=False)
        now = _read(path)
        if now is None or not now["owner"] or is_gone(now["owner"]):
            return
        if (now["claim"], now["heartbeat"]) != (found["claim"], found["heartbeat"]):
            raise RefusedStateError(
                f"{path} is in use: another run (process {now['owner']['pid']} on {now['owner']['host']}) is at work."
            )


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Whether the owner is known to be dead: an earlier attempt of this execution, or a process that is no more."""
    me = _myself()
    if me["execution"] or owner["execution"]:
        return bool(me["execution"] == owner["execution"])
    if owner["host"] != me["host"]:
        return False
    try:
        os.kill(owner["pid"], 0)  # also of this process's own id: that may be one in another container of this name
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = _content(path)
    except OSError as error:
        raise RefusedStateError(f"{path} can't be read: {error.strerror}.") from None
    return None if content is None else state_in(content, str(path))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def state_in(content: bytes, name: str) -> dict[str, Any]:
    """What a state file of this name holds. Raises RefusedStateError for any other file."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("version") != _VERSION or "claim" not in found:
        raise RefusedStateError(f"{name} is not the state file of a backfill: name another --state.")
    return found
