"""Copying the current state of a resource: late, repeated and reordered messages converge."""

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from core.errors import TryAgain
from handlers.services import Services
from mappers.mapped import mapper

Document = TypeVar("Document")

_ROUNDS = 3


def no_keys(_document: object) -> Collection[str]:
    """For a write that touches nothing but its own resource, which the pipeline holds already."""
    return ()


@mapper
def version(document: Any) -> object:
    """What tells one state of a resource from the next."""
    return document and document["version"]


def copy_current(
    services: Services,
    read: Callable[[], Document],
    write: Callable[[Document], None],
    *,
    keys: Callable[[Document], Collection[str]] = no_keys,
    state: Callable[[Document], object] = version,
    group: str = "Catalogs",
) -> None:
    """Read a resource and write it; again, when it moved on while that took long.

    `keys` names what the write shares with other resources' messages; they are held while it runs, and what was read
    before another message wrote them is read again. Between instances no lock helps, so after a slow write the
    resource is read once more and written again if its `state` is another. Raises TryAgain when it keeps changing.
    """
    services.prepare(group)
    stale_after = services.settings.sync.limits.stale_after
    read_at = time.monotonic()
    document = read()
    for _ in range(_ROUNDS):
        held = frozenset(keys(document))
        with services.one_at_a_time(held):
            if held and services.locks.released_since(held, read_at):
                read_at = time.monotonic()
                document = read()
                if not held.issuperset(keys(document)):
                    continue
            write(document)
        if time.monotonic() - read_at <= stale_after:
            return
        written = state(document)
        read_at = time.monotonic()
        document = read()
        if state(document) == written:
            return
    raise TryAgain("keeps_changing")
