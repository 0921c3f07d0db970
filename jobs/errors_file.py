"""What a run could not do, one JSON line each: ids, reasons and codes, never a backend's text or anything personal."""

import json
from pathlib import Path

from core.errors import DeadLetter, SyncError


class ErrorsFile:
    """Lines are added as they come; a page that is repeated may add one again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        """Begin without the lines of the last run."""
        self.path.unlink(missing_ok=True)

    def add(self, resource: str, pass_name: str, error: SyncError, since: str = "") -> None:
        """Note a resource, what decided against it, and since when something may have been sent for it, if so."""
        entry: dict[str, object] = {"resource": resource, "pass": pass_name, "reason": error.reason}
        entry |= {"since": since} if since else {}
        details = {name: getattr(error, name, None) for name in ("status", "code", "pointer")}
        details["part"] = error.part if isinstance(error, DeadLetter) else None
        entry |= {name: value for name, value in details.items() if value}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
