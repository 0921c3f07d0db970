"""Progress, for people who wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Task:
    """One line of the progress bar."""

    def __init__(self, progress: Progress, description: str, total: int) -> None:
        self._progress = progress
        self.own_id = progress.add_task(description, total=total)

    def reached(self, done: int) -> None:
        """So many are done."""
        self._progress.update(self.own_id, completed=done)

    def advanced(self, more: int) -> None:
        """So many more are done."""
        self._progress.advance(self.own_id, more)


class Bars:
    """The progress bar: a line for what is being done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        """A line that is there for as long as it takes."""
        task = Task(self._progress, description, total)
        yield task
        self._progress.remove_task(task.own_id)


@contextmanager
def progress() -> Iterator[Bars]:
    """On stderr, and gone when it is over."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bars(shown)
