"""Atomic file writes: a kill leaves the previous file, or none. Works on a mounted bucket too, which has no links."""

import os
import uuid
from pathlib import Path

_PROCESS_ID = uuid.uuid4().hex
"""Part of this process's temporary file names. Host name and pid would not do: containers may share both."""


def create(path: Path, content: str) -> None:
    """Create a file. Raises FileExistsError if it exists, and OSError if it can't be written.

    If two processes try at once, one succeeds. On a file system without links, both may, and the later file stays.
    """
    temporary = _write_temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(path: Path, content: str) -> None:
    """Create or replace a file. Raises OSError if it can't be written."""
    _write_temporary(path, content).replace(path)


def _write_temporary(path: Path, content: str) -> Path:
    """Write the content to a temporary file next to `path`, and return its path."""
    temporary = path.with_name(f"{path.name}.{_PROCESS_ID}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
