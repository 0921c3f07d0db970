"""Consent changes this instance made in the last hour: Klaviyo may not show them yet, and a marker may be missing.

A marker is a property of the profile that says what this package did last to its consent (`mappers.consent.Marker`).
"""

import threading
from dataclasses import dataclass, replace

from cachetools import TTLCache

from core.rules_consent import Channel
from mappers.consent import KlaviyoConsent, Marker

_TTL_SECONDS = 3600.0
_MAX_ADDRESSES = 20_000


@dataclass(frozen=True, slots=True)
class _Change:
    """The marker of the last change. `is_stored` is True if the profile has it in Klaviyo."""

    profile_id: str
    marker: Marker
    is_stored: bool


class RecentConsents:
    """The latest change of each address. Safe to share between threads.

    An entry counts only for its own profile, as an address may pass to another person.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: TTLCache[tuple[Channel, str], _Change] = TTLCache(_MAX_ADDRESSES, _TTL_SECONDS)

    def remember(self, channel: Channel, address: str, profile_id: str, marker: Marker, *, is_stored: bool) -> None:
        """Remember a change of consent. `is_stored` is True once the marker has been written to the profile."""
        with self._lock:
            self._changes[channel, address.lower()] = _Change(profile_id, marker, is_stored)

    def corrected(self, channel: Channel, address: str, profile_id: str, found: KlaviyoConsent) -> KlaviyoConsent:
        """What Klaviyo says, with the marker that this instance remembers if that one is later."""
        change = self._latest(channel, address, profile_id)
        if change and (not found.marker or found.marker.at < change.marker.at):
            return replace(found, marker=change.marker)
        return found

    def unstored_marker(self, channel: Channel, address: str, profile_id: str) -> Marker | None:
        """The marker that still has to be written to the profile; None if there is none."""
        change = self._latest(channel, address, profile_id)
        return change.marker if change and not change.is_stored else None

    def forget(self) -> None:
        """Forget all changes, after a preview: it did not really make them."""
        with self._lock:
            self._changes.clear()

    def _latest(self, channel: Channel, address: str, profile_id: str) -> _Change | None:
        with self._lock:
            change = self._changes.get((channel, address.lower()))
        return change if change and change.profile_id == profile_id else None
