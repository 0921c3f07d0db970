"""Writing a file whole: a kill leaves the one before, or none. A mounted bucket will do, which knows no links."""

import os
import uuid
from pathlib import Path

_MINE = uuid.uuid4().hex
"""In the names of this process's temporary files: containers may share a host name and have one pid."""


def create(path: Path, content: str) -> None:
    """Make a file that is not there yet. Raises FileExistsError if it is, and OSError if it can't be written.

    Of two that try, one succeeds. Where there are no links the later one does.
    """
    temporary = _written(path, content)
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
    """Make a file, or replace the one that is there. Raises OSError if it can't be written."""
    _written(path, content).replace(path)


def _written(path: Path, content: str) -> Path:
    """A file beside that one which holds the content."""
    temporary = path.with_name(f"{path.name}.{_MINE}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
