"""What this instance did lately to consent, which Klaviyo may not show yet, and markers that could not be left."""

import threading
from dataclasses import dataclass, replace

from cachetools import TTLCache

from core.rules_consent import Channel
from mappers.consent import Found, Marker

_SECONDS = 3600.0
_ADDRESSES = 20_000


@dataclass(frozen=True, slots=True)
class _Recent:
    profile_id: str
    marker: Marker
    is_left: bool


class RecentConsents:
    """The latest marker by address and profile, for an hour: an address may go to another person. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: TTLCache[tuple[Channel, str], _Recent] = TTLCache(_ADDRESSES, _SECONDS)

    def acted(self, channel: Channel, address: str, profile_id: str, marker: Marker, *, is_left: bool) -> None:
        """Consent was changed; `is_left` says whether the profile has the marker."""
        with self._lock:
            self._recent[channel, address.lower()] = _Recent(profile_id, marker, is_left)

    def seen(self, channel: Channel, address: str, profile_id: str, found: Found) -> Found:
        """What Klaviyo says, with the marker of this instance where that is the later one."""
        recent = self._of(channel, address, profile_id)
        if recent and (not found.marker or found.marker.at < recent.marker.at):
            return replace(found, marker=recent.marker)
        return found

    def not_left(self, channel: Channel, address: str, profile_id: str) -> Marker | None:
        """A marker that still has to be left at the profile."""
        recent = self._of(channel, address, profile_id)
        return recent.marker if recent and not recent.is_left else None

    def forget(self) -> None:
        """Start anew: what a preview did was not done."""
        with self._lock:
            self._recent.clear()

    def _of(self, channel: Channel, address: str, profile_id: str) -> _Recent | None:
        with self._lock:
            recent = self._recent.get((channel, address.lower()))
        return recent if recent and recent.profile_id == profile_id else None
