"""Private files, and the log of handlers that a command runs."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import structlog


def write_private(data: bytes, file: Path) -> None:
    """Write a message to a file that only its owner can read, as it may hold personal data.

    An existing file loses its other permissions before it is written. Anything but a regular file, such as /dev/stdout,
    keeps its own. Raises click.ClickException.
    """
    try:
        with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                os.fchmod(stream.fileno(), 0o600)
            stream.write(data)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Send log lines to stderr inside the `with` block: stdout is for the command's own output, which may be JSON."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
