"""Copies that this instance made lately, so that a burst of messages about one resource costs a few writes."""

import threading
from dataclasses import dataclass

from cachetools import TTLCache

_SECONDS = 60.0
_RESOURCES = 20_000


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that succeeded: `began_at` is the time of its read (`time.monotonic`), `version` what that returned.

    `confirmed` says whether a second look found the same, `ignored` is the reason where there was nothing to write.
    """

    began_at: float
    version: int
    confirmed: bool = False
    ignored: str = ""


class RecentCopies:
    """The latest copy by resource, for a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: TTLCache[str, Copy] = TTLCache(_RESOURCES, _SECONDS)

    def made(self, resource: str, copy: Copy) -> None:
        """A copy succeeded."""
        with self._lock:
            self._copies[resource] = copy

    def covering(self, resource: str, version: int | None, arrived_at: float, *, alone: bool) -> Copy | None:
        """The copy that did what a message asks for; None when it has to copy for itself.

        That is one that began after the message arrived and read at least its `version`. Where the resource `alone`
        decides what is written, one that its second look confirmed will do as well, whenever it began.
        """
        with self._lock:
            copy = self._copies.get(resource)
        if not copy or (version is not None and copy.version < version):
            return None
        if copy.began_at >= arrived_at or (alone and copy.confirmed and version is not None):
            return copy
        return None
