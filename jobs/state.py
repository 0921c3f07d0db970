"""The state file of a backfill, from which a killed run resumes. It is written atomically.

The file may be on a mounted bucket, which has no locks. So the run that owns it writes a heartbeat into it, and other
runs watch whether that moves (`jobs.state_claim`).
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
from jobs.outcome import INTERRUPTED, LostStateError, RefusedStateError, StoppedError

_VERSION = 1
BEAT_EVERY = 5.0
"""Maximum seconds between two heartbeats while the run works."""
_WRITE_EVERY = 1.0
"""Minimum seconds between two writes to a bucket. Source: Cloud Storage quotas, one write a second to one object."""
RETRY_WRITES_FOR = 30.0
"""Seconds for which a failing write is retried."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 5.0

_CLAIM = str(uuid.uuid4())
"""Identifies this process's claim: two processes may resume the same run."""


def this_process() -> dict[str, Any]:
    """This process as the owner of a state file. `execution` is empty outside Cloud Run."""
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
    """The state of this run and its file, created by `state_claim.claim`.

    Not thread-safe: only the run's main thread uses it.
    """

    path: Path
    identity: Mapping[str, str]
    resume_key: Mapping[str, object]
    times: Mapping[str, str]
    stop: threading.Event
    passes: dict[str, PassState] = field(default_factory=dict)
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_new: bool = True
    _owner: dict[str, Any] | None = field(default_factory=this_process)
    _beats: int = 0
    _last_write_at: float = float("-inf")
    _has_failed: bool = False

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
        if not self._has_failed:
            self.write()

    def write(self) -> None:
        """Write the state. In Cloud Run this waits until a second has passed since the last write.

        Raises LostStateError if another run has taken over the file. Raises StoppedError if writing still fails after
        half a minute, or fails after a signal.
        """
        try:
            self._write_with_retries(self._require_own)
        except StoppedError as error:
            self._has_failed = error.leaves_threads = True  # a page may be in progress
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
            if this_process()["execution"]:  # in Cloud Run the file is in a bucket
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
        """Raise LostStateError if the file belongs to another run, and OSError if it can't be read."""
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


def read_state(path: Path) -> dict[str, Any] | None:
    """Read and parse a state file; None if it does not exist. Raises RefusedStateError."""
    try:
        content = _content(path)
    except OSError as error:
        raise RefusedStateError(f"{path} can't be read: {error.strerror}.") from None
    return None if content is None else parse_state(content, str(path))


def parse_state(content: bytes, name: str) -> dict[str, Any]:
    """Parse a state file. For anything else raises RefusedStateError, which calls it `name`."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("version") != _VERSION or "claim" not in found:
        raise RefusedStateError(f"{name} is not the state file of a backfill: name another --state.")
    return found


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
