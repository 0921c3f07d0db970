"""The failures of a run, one JSON line each: ids, reasons and codes, never a backend's text or personal data."""

import json
from pathlib import Path

from core.errors import DeadLetter, SyncError


class ErrorsFile:
    """Appends failures as they happen. A repeated page may append the same one again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        """Delete the lines of earlier runs."""
        self.path.unlink(missing_ok=True)

    def add(self, resource: str, pass_name: str, error: SyncError, since: str = "") -> None:
        """Append a resource and why it failed. `since`: when the first attempt that may have sent something began."""
        entry: dict[str, object] = {"resource": resource, "pass": pass_name, "reason": error.reason}
        entry |= {"since": since} if since else {}
        details = {name: getattr(error, name, None) for name in ("status", "code", "pointer")}
        details["part"] = error.part if isinstance(error, DeadLetter) else None
        entry |= {name: value for name, value in details.items() if value}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
