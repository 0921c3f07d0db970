"""The state file of `reconcile`: the shop's counts, runs with drift, and the finished phases of a stopped run."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs import atomic_file
from jobs.drift.findings import Findings
from jobs.outcome import RefusedStateError

_VERSION = 1
_COMMAND = "reconcile"
_STALE = timedelta(hours=12)
"""A run that was stopped longer ago is not resumed."""


@dataclass(slots=True)
class ReconcileState:
    """The state file of `reconcile`. `counts` is what the shop had in the last finished run, by kind.

    `drifting_runs` counts the runs in a row with more drift than `[reconcile] max_drift`, by the kinds they compared.
    `unfinished` holds the finished phases of a stopped run, and its options.
    """

    path: Path
    project: str
    counts: dict[str, int] = field(default_factory=dict)
    drifting_runs: dict[str, int] = field(default_factory=dict)
    unfinished: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, project: str) -> "ReconcileState":
        """Read the file; empty if there is none.

        Raises RefusedStateError if it can't be read, is no state file of `reconcile`, or belongs to another project.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known = (found["version"], found["command"]) == (_VERSION, _COMMAND)
            state = cls(path, found["project"], found["counts"], found["drifting_runs"], found["unfinished"])
            known = known and all(
                isinstance(one, dict) for one in (state.counts, state.drifting_runs, state.unfinished)
            )
        except FileNotFoundError:
            return cls(path, project)
        except OSError as error:
            raise RefusedStateError(f"{path} can't be read: {error.strerror}.") from None
        except (ValueError, LookupError, TypeError):
            known = False
        if not known:
            raise RefusedStateError(f"{path} is not the state file of a reconcile: name another --state.")
        if state.project != project:
            raise RefusedStateError(f"{path} belongs to the project {state.project}: name another --state.")
        return state

    def finished_phases(self, resume_key: Mapping[str, object]) -> dict[str, Any]:
        """The finished phases of a run with the same options that was stopped less than twelve hours ago."""
        with suppress(LookupError, ValueError, TypeError, AttributeError):
            is_young = datetime.now(UTC) - datetime.fromisoformat(self.unfinished["began"]) < _STALE
            if is_young and self.unfinished["said"] == resume_key:
                phases = {name: dict(found) for name, found in self.unfinished["phases"].items()}
                for found in phases.values():  # another release may have stored other fields
                    [Findings.restored(stored) for stored in found.values()]
                return phases
        return {}

    def write(self) -> None:
        """Write the file. Raises RefusedStateError if that fails."""
        content = {
            "version": _VERSION,
            "command": _COMMAND,
            "project": self.project,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "counts": self.counts,
            "drifting_runs": self.drifting_runs,
            "unfinished": self.unfinished,
        }
        try:
            atomic_file.replace(self.path, json.dumps(content))
        except OSError as error:
            raise RefusedStateError(f"{self.path} can't be written: {error.strerror}.") from None
