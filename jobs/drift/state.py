"""What one comparison leaves for the next: how much the shop had, how often it drifted, and what a stopped run did."""

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
_WHAT = "reconcile"
_STALE = timedelta(hours=12)
"""After which a run that was stopped is not gone on with."""


@dataclass(slots=True)
class ReconcileState:
    """The state file of `reconcile`; `project` is the shop's, `counts` are of the last run that ended, by kind.

    `drifting_runs` is how many in a row had more drift than `[reconcile]` allows, by the kinds that they compared.
    `unfinished` is what a stopped run had done, by phase, and how it was called.
    """

    path: Path
    project: str
    counts: dict[str, int] = field(default_factory=dict)
    drifting_runs: dict[str, int] = field(default_factory=dict)
    unfinished: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, project: str) -> "ReconcileState":
        """What is in the file; nothing where there is none. Raises RefusedStateError for another file, or project's."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known = (found["version"], found["command"]) == (_VERSION, _WHAT)
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
            raise RefusedStateError(f"{path} is of the project {state.project}: name another --state.")
        return state

    def finished_phases(self, resume_key: Mapping[str, object]) -> dict[str, Any]:
        """What a run that was called the same, and stopped less than twelve hours ago, found in the phases it ended."""
        with suppress(LookupError, ValueError, TypeError, AttributeError):
            is_young = datetime.now(UTC) - datetime.fromisoformat(self.unfinished["began"]) < _STALE
            if is_young and self.unfinished["said"] == resume_key:
                phases = {name: dict(found) for name, found in self.unfinished["phases"].items()}
                for found in phases.values():  # another release may have kept something else
                    [Findings.restored(stored) for stored in found.values()]
                return phases
        return {}

    def write(self) -> None:
        """Write the file. Raises RefusedStateError where that is not possible."""
        content = {
            "version": _VERSION,
            "command": _WHAT,
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
