"""What commands write besides their answer: files that name persons, and the log of the handlers that they run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import structlog


def write_private(data: bytes, file: Path) -> None:
    """Write a message, for its owner alone to read: it may name persons. Raises click.ClickException."""
    try:
        file.touch(0o600)
        file.write_bytes(data)
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
