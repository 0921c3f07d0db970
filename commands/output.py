"""What commands write besides their answer: files that name persons, and the log of the handlers that they run."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import structlog


def write_private(data: bytes, file: Path) -> None:
    """Write a message, for its owner alone to read: it may name persons. Raises click.ClickException.

    A file that is there is taken from the others first; what is no file, as /dev/stdout, keeps its rights.
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
    """Log lines of handlers go to stderr inside: stdout is the command's own, and may be read as JSON."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
