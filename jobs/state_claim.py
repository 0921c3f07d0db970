"""Claims a state file: finds out if another run is working on it, and if this run may resume it."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.logs import log
from jobs.outcome import InterruptedRunError, RefusedStateError
from jobs.state import PassState, StateFile, read_state, this_process

DEAD_AFTER = 120.0
"""Seconds without a heartbeat after which a run counts as dead."""
_POLL_EVERY = 0.5


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

    `identity` holds project, account and rules; `resume_key` the options that decide what the run covers. With
    `restart` the run starts over, with `keep_rules` it may have other rules. Raises RefusedStateError if

    - another run is working on the file, or it can't be read or is something else,
    - it belongs to another project or account, or was written with other rules,
    - its run is unfinished and had other options.
    """
    state = StateFile(path, identity, resume_key, times, stop)
    found = read_state(path)
    if found is None:
        state.create()
        return state
    _require_no_owner_alive(path, found, stop)
    found = read_state(path) or found
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
        current = read_state(path)
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
    me = this_process()
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
