"""Progress bars on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Task:
    """A progress bar."""

    def __init__(self, progress: Progress, description: str, total: int) -> None:
        self._progress = progress
        self.own_id = progress.add_task(description, total=total)

    def update(self, done: int) -> None:
        """Set the number of completed steps."""
        self._progress.update(self.own_id, completed=done)

    def advance(self, steps: int) -> None:
        """Add completed steps."""
        self._progress.advance(self.own_id, steps)


class Bars:
    """Progress bars, one per running task."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        """Show a progress bar until the block ends."""
        task = Task(self._progress, description, total)
        yield task
        self._progress.remove_task(task.own_id)


@contextmanager
def progress() -> Iterator[Bars]:
    """Show progress bars on stderr, and remove them when the block ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bars(shown)
