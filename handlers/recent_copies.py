"""Copies this instance made in the last minute, so that a burst of messages about one resource costs few writes."""

import threading
from dataclasses import dataclass

from cachetools import TTLCache

_TTL_SECONDS = 60.0
_MAX_RESOURCES = 20_000


@dataclass(frozen=True, slots=True)
class Copy:
    """A successful copy of a resource.

    `read_at` is when the resource was read (`time.monotonic`), `version` the version that was read. `confirmed` is True
    if the check after the write found the resource unchanged. `ignored` is the reason if there was nothing to write.
    """

    read_at: float
    version: int
    confirmed: bool = False
    ignored: str = ""


class RecentCopies:
    """The latest copy of each resource. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: TTLCache[str, Copy] = TTLCache(_MAX_RESOURCES, _TTL_SECONDS)

    def remember(self, resource: str, copy: Copy) -> None:
        """Remember a copy that succeeded; it replaces the resource's earlier one."""
        with self._lock:
            self._copies[resource] = copy

    def covering(self, resource: str, version: int | None, arrived_at: float, *, reuses_confirmed: bool) -> Copy | None:
        """The copy that did what a message asks for; None if the message has to copy for itself.

        The copy must have read at least the message's `version`, and must have read it after the message arrived
        (`arrived_at`, `time.monotonic`). With `reuses_confirmed`, an earlier copy counts too if it was confirmed and
        the message states a version.
        """
        with self._lock:
            copy = self._copies.get(resource)
        if not copy or (version is not None and copy.version < version):
            return None
        if copy.read_at >= arrived_at or (reuses_confirmed and copy.confirmed and version is not None):
            return copy
        return None
