"""The state file of a backfill, from which a killed run resumes. It is written atomically.

The file may be on a mounted bucket, which has no locks. So its owner writes a heartbeat into it, and another run that
finds an owner watches whether the heartbeat moves.
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
"""Most seconds between two heartbeats while the run works."""
DEAD_AFTER = 120.0
"""Seconds without a heartbeat after which a run counts as dead."""
_POLL_EVERY = 0.5
_WRITE_EVERY = 1.0
"""Least seconds between two writes to a bucket. Source: Cloud Storage quotas, one write a second to one object."""
RETRY_WRITES_FOR = 30.0
"""Seconds for which a failing write is retried."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 5.0

_CLAIM = str(uuid.uuid4())
"""Identifies this process's claim: two processes may resume the same run."""


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "execution": os.environ.get("CLOUD_RUN_EXECUTION", "")}


@dataclass(slots=True)
class PassState:
    """The state of one pass. The cursor (`window`, `after`) and the counts cover the finished pages.

    `late` lists documents that changed after the run began; they are processed at the end. `unfinished` describes the
    page in progress: when it began, and the customers for whom it may have sent something.
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

    def as_report(self) -> dict[str, Any]:
        """The pass's part of the report. `seconds` adds up all attempts at the run."""
        counts = {name: getattr(self, name) for name in ("read", "sent", "skipped", "errors", "calls")}
        return {**counts, "seconds": round(self.seconds, 1)}

    def count(self, skipped: Mapping[str, int], errors: int, sent: int, calls: Mapping[str, int]) -> None:
        """Add the results of a page."""
        self.skipped = dict(Counter(self.skipped) + Counter(skipped))
        self.calls = dict(Counter(self.calls) + Counter(calls))
        self.errors += errors
        self.sent += sent
        self.read += sent + errors + sum(skipped.values())


@dataclass(slots=True)
class StateFile:
    """The state of this run and its file. Created by `claim`; not thread-safe: only the run's main thread uses it."""

    path: Path
    identity: Mapping[str, str]
    resume_key: Mapping[str, object]
    times: Mapping[str, str]
    stop: threading.Event
    passes: dict[str, PassState] = field(default_factory=dict)
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_new: bool = True
    _owner: dict[str, Any] | None = field(default_factory=_this_process)
    _beats: int = 0
    _last_write_at: float = float("-inf")
    _gave_up: bool = False

    def pass_state(self, name: str) -> PassState:
        """The state of a pass, created if needed."""
        return self.passes.setdefault(name, PassState())

    def beat(self) -> None:
        """Write a heartbeat if one is due. After a signal there are none: `release` writes the file at the end."""
        if time.monotonic() - self._last_write_at >= BEAT_EVERY and not self.stop.is_set():
            self.write()

    def release(self) -> None:
        """Write the final state, without an owner. Does nothing after a failed write. Raises as `write` does."""
        self._owner = None
        if not self._gave_up:
            self.write()

    def write(self) -> None:
        """Write the state. In Cloud Run this waits until a second has passed since the last write.

        Raises LostStateError if another run has taken over the file. Raises StoppedError if writing still fails after
        half a minute, or fails after a signal.
        """
        try:
            self._write_with_retries(self._require_own)
        except StoppedError as error:
            self._gave_up = error.leaves_threads = True  # a page may be in progress
            raise

    def create(self) -> None:
        """Create the file. Raises RefusedStateError if it exists by now, or can't be written."""
        self._last_write_at = time.monotonic()
        try:
            atomic_file.create(self.path, json.dumps(self.as_json()))
        except FileExistsError:
            raise RefusedStateError(f"{self.path} is in use: another run has just started.") from None
        except OSError as error:
            raise RefusedStateError(f"{self.path} can't be written: {error.strerror}.") from None

    def take_over(self) -> None:
        """Overwrite the file, whoever owns it. Raises StoppedError if writing still fails after half a minute."""
        self._write_with_retries(lambda: None)

    def _write_with_retries(self, require: Callable[[], None]) -> None:
        self._beats += 1
        until, wait = time.monotonic() + RETRY_WRITES_FOR, _FIRST_WAIT
        while True:
            if _this_process()["execution"]:  # in Cloud Run the file is in a bucket
                time.sleep(max(0.0, self._last_write_at + _WRITE_EVERY - time.monotonic()))
            self._last_write_at = time.monotonic()
            try:
                require()
                atomic_file.replace(self.path, json.dumps(self.as_json()))
            except OSError as error:
                log.warning("the state file can't be written", reason=error.strerror)
                if self.stop.is_set() or time.monotonic() + wait > until:
                    raise StoppedError(
                        INTERRUPTED,
                        f"{self.path} can't be written: {error.strerror}. Run the same command again to resume.",
                    ) from None
            else:
                return
            self.stop.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _require_own(self) -> None:
        content = _content(self.path)
        found = parse_state(content, str(self.path)) if content is not None else None
        if found and (found["run"], found["claim"]) != (self.run, _CLAIM):
            raise LostStateError(f"{self.path} was taken over by another run: this one stops.")

    def as_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "version": _VERSION,
            "run": self.run,
            "claim": _CLAIM,
            "owner": self._owner,
            "heartbeat": self._beats,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.identity,
            "said": dict(self.resume_key),
            "began": dict(self.times),
            "passes": {name: asdict(one) for name, one in self.passes.items()},
        }


def claim(
    path: Path,
    identity: Mapping[str, str],
    resume_key: Mapping[str, object],
    times: Mapping[str, str],
    stop: threading.Event,
    *,
    restart: bool = False,
    keep_rules: bool = False,
) -> StateFile:
    """Claim the state file for this run: resume the state in it, or start a new one.

    `identity` holds project, account and rules; `resume_key` the options that decide what the run covers. Raises
    RefusedStateError if the file belongs to another shop, account or configuration, if its run had other options and
    is unfinished, and if another run is working on it.
    """
    state = StateFile(path, identity, resume_key, times, stop)
    found = _read(path)
    if found is None:
        state.create()
        return state
    _require_no_owner_alive(path, found, stop)
    found = _read(path) or found
    if not restart:
        _require_same(path, found, identity, keep_rules=keep_rules)
        is_finished = all(one["finished"] for one in found["passes"].values())
        # A finished list of ids starts over: the cause of its failures may have been fixed.
        if found["said"] == resume_key and not (is_finished and resume_key["ids"]):
            state.run, state.times, state.is_new = found["run"], found["began"], False
            state.passes = {name: PassState(**one) for name, one in found["passes"].items()}
        elif not is_finished:
            raise RefusedStateError(
                f"{path} belongs to an unfinished run with other options"
                f" ({_changed_options(found['said'], resume_key)}): finish that run, name another --state, or"
                " --restart."
            )
    if state.is_new and all(found[name] == identity[name] for name in ("project", "account")):
        # Even if that run is not resumed: its unfinished page may have brought back a customer who was erased since.
        state.passes = {
            name: PassState(unfinished=one["unfinished"]) for name, one in found["passes"].items() if one["unfinished"]
        }
    state.take_over()
    return state


def _require_same(path: Path, found: Mapping[str, Any], identity: Mapping[str, str], *, keep_rules: bool) -> None:
    for name, what in (("project", "commercetools project"), ("account", "Klaviyo account")):
        if found[name] != identity[name]:
            raise RefusedStateError(
                f"{path} belongs to another {what} ({found[name]}, not {identity[name]}): name another --state, or"
                " --restart."
            )
    if found["rules"] != identity["rules"] and not keep_rules:
        raise RefusedStateError(
            f"{path} was written with other settings for what is sent: --restart, or --keep-rules to resume anyway."
        )


def _changed_options(found: Mapping[str, object], resume_key: Mapping[str, object]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in resume_key if found.get(name) != resume_key[name])


def _require_no_owner_alive(path: Path, found: Mapping[str, Any], stop: threading.Event) -> None:
    """Raise RefusedStateError if the file's owner is alive. Waits for up to two minutes to find out."""
    owner = found["owner"]
    if not owner or is_dead(owner):
        return
    log.info("the state file belongs to another run: waiting to see if that is alive", seconds=DEAD_AFTER)
    end = time.monotonic() + DEAD_AFTER
    while time.monotonic() < end:
        if stop.wait(_POLL_EVERY):
            raise InterruptedRunError(leaves_threads=False)
        current = _read(path)
        if current is None or not current["owner"] or is_dead(current["owner"]):
            return
        if (current["claim"], current["heartbeat"]) != (found["claim"], found["heartbeat"]):
            raise RefusedStateError(
                f"{path} is in use: another run (process {current['owner']['pid']} on {current['owner']['host']}) is"
                " working on it."
            )


def is_dead(owner: Mapping[str, Any]) -> bool:
    """True if the owner is known to be dead: an earlier attempt of this Cloud Run execution, or a process that ended.

    False if that can't be told from here, such as for a process on another host.
    """
    me = _this_process()
    if me["execution"] or owner["execution"]:
        return bool(me["execution"] == owner["execution"])
    if owner["host"] != me["host"]:
        return False
    try:
        os.kill(owner["pid"], 0)  # even for our own pid: a container of the same host name may have the same pid
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
    return None if content is None else parse_state(content, str(path))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def parse_state(content: bytes, name: str) -> dict[str, Any]:
    """Parse a state file. Raises RefusedStateError, which names it `name`, for anything else."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("version") != _VERSION or "claim" not in found:
        raise RefusedStateError(f"{name} is not the state file of a backfill: name another --state.")
    return found
