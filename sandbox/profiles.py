"""Klaviyo's profiles: matched by identifiers, created, merged field by field, erased."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.klaviyo_errors import Refused
from sandbox.lag import History, Lag

Profile = dict[str, Any]

IDENTIFIERS = ("external_id", "email", "phone_number", "anonymous_id", "_kx")
"""Strongest first. A profile's own id is stronger than any of them."""

_SHOWN = (
    "email", "phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title", "image",
)  # fmt: skip


def timestamp_now() -> str:
    """The current time in Klaviyo's format."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def normalized(name: str, value: str) -> tuple[str, str]:
    """An identifier in the form used for comparison: e-mail addresses in lower case."""
    return name, value.lower() if name == "email" else value


class Profiles:
    """All profiles by id. Each holds its attributes at the top level, plus `id`, `created` and `updated`."""

    def __init__(self, lag: Lag) -> None:
        self.by_id: dict[str, Profile] = {}
        self._lag = lag
        self._history: History[dict[str, Profile]] = History()
        self._owners: dict[tuple[str, str], str] = {}
        self._last_number = 0

    def find(self, identifier: str, value: str) -> Profile | None:
        """The profile with this identifier, if any."""
        owner = value if identifier == "id" else self._owners.get(normalized(identifier, value))
        return self.by_id.get(owner) if owner else None

    def listed(self) -> list[Profile]:
        """The profiles that the list shows, possibly an older state."""
        return list(self._history.as_of(self._lag.draw(), self.by_id).values())

    def create(self, attributes: Mapping[str, Any]) -> Profile:
        """Create a profile; raises Refused (409) if an identifier is taken."""
        self._refuse_taken(attributes, "")
        return self._write(self._new(), attributes, {})

    def update(self, profile_id: str, attributes: Mapping[str, Any], meta: Mapping[str, Any] | None) -> Profile:
        """Change the given attributes; raises Refused (404, 409)."""
        if profile_id not in self.by_id:
            raise Refused(404, f"A profile with id {profile_id} does not exist.")
        self._refuse_taken(attributes, profile_id)
        return self._write(self.by_id[profile_id], attributes, meta or {})

    def upsert(
        self, profile_id: str | None, attributes: Mapping[str, Any], meta: Mapping[str, Any] | None
    ) -> tuple[Profile, bool]:
        """Update the profile that the strongest identifier matches, or create one (True). Raises Refused."""
        if profile_id:
            return self.update(profile_id, attributes, meta), False
        found = self._match(attributes)
        if found is None:
            return self._write(self._new(), attributes, meta or {}), True
        return self.update(found["id"], attributes, meta), False

    def upsert_for_event(
        self, profile_id: str | None, attributes: Mapping[str, Any], meta: Mapping[str, Any] | None
    ) -> Profile | None:
        """Upsert the profile of an event with the attributes in the event. None if its id is unknown.

        The strongest identifier decides; weaker ones that belong to other profiles are ignored. Null leaves a field as
        it is.
        """
        if profile_id and profile_id not in self.by_id:
            return None
        found = self.by_id[profile_id] if profile_id else self._match(attributes)
        profile = found if found is not None else self._new()
        given = {
            name: value
            for name, value in attributes.items()
            if value is not None
            and not (name in IDENTIFIERS and self._owners.get(normalized(name, value), profile["id"]) != profile["id"])
        }
        return self._write(profile, given, meta or {})

    def put(self, attributes: Mapping[str, Any]) -> Profile:
        """Create a profile even if identifiers are taken. They still match the profile that had them first."""
        owners = dict(self._owners)
        profile = self._write(self._new(), attributes, {})
        self._owners |= owners
        return profile

    def replace(self, profile_id: str, fields: Mapping[str, Any]) -> Profile:
        """Set fields of a profile that the profile calls don't write, such as its consent."""
        self._save_snapshot()
        profile = self.by_id[profile_id] = {**self.by_id[profile_id], **fields, "updated": timestamp_now()}
        return profile

    def erase(self, identifier: str, value: str) -> Profile | None:
        """Delete a profile and return it; None if there is none."""
        profile = self.find(identifier, value)
        if profile is not None:
            self._save_snapshot()
            del self.by_id[profile["id"]]
            self._owners = {key: owner for key, owner in self._owners.items() if owner != profile["id"]}
        return profile

    def _match(self, attributes: Mapping[str, Any]) -> Profile | None:
        for name in IDENTIFIERS:
            value = attributes.get(name)
            found = self.find(name, value) if value else None
            if found is not None:
                return found
        return None

    def _new(self) -> Profile:
        self._last_number += 1
        moment = timestamp_now()
        return {"id": f"01SANDBOXPROFILE{self._last_number:010d}", "created": moment, "updated": moment}

    def _save_snapshot(self) -> None:
        if self._lag.maximum:
            self._history.keep(dict(self.by_id), self._lag.maximum)

    def _refuse_taken(self, attributes: Mapping[str, Any], profile_id: str) -> None:
        for name in IDENTIFIERS:
            value = attributes.get(name)
            owner = self._owners.get(normalized(name, value), profile_id) if value else profile_id
            if owner != profile_id:
                raise Refused(
                    409,
                    "A profile already exists with one of these identifiers.",
                    code="duplicate_profile",
                    pointer="/data/attributes",
                    meta={"duplicate_profile_id": owner},
                )

    def _write(self, found: Profile, attributes: Mapping[str, Any], meta: Mapping[str, Any]) -> Profile:
        self._save_snapshot()
        profile = self.by_id[found["id"]] = dict(found)
        for name, value in attributes.items():
            if name in IDENTIFIERS:
                self._set_identifier(profile, name, value)
            if name in ("location", "properties") and value is not None:
                merged = {**profile.get(name, {}), **value}
                profile[name] = {key: part for key, part in merged.items() if name == "properties" or part is not None}
            elif value is None:
                profile.pop(name, None)
            else:
                profile[name] = value
        patch = meta.get("patch_properties")
        if patch:
            profile["properties"] = _patched(profile.get("properties", {}), patch)
        profile["updated"] = timestamp_now()
        return profile

    def _set_identifier(self, profile: Profile, name: str, value: str | None) -> None:
        if profile.get(name) and self._owners.get(normalized(name, profile[name])) == profile["id"]:
            del self._owners[normalized(name, profile[name])]
        if value:
            self._owners[normalized(name, value)] = profile["id"]


def _patched(properties: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The properties after applying `append`, `unappend` and `unset`."""
    result = dict(properties)
    for name, value in (patch.get("append") or {}).items():
        result[name] = [*_as_list(result.get(name)), *_as_list(value)]
    for name, value in (patch.get("unappend") or {}).items():
        removed = _as_list(value)
        result[name] = [entry for entry in _as_list(result.get(name)) if entry not in removed]
    for name in _as_list(patch.get("unset")):
        result.pop(name, None)
    return result


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def resource(profile: Profile, origin: str) -> dict[str, Any]:
    """The profile as a JSON:API resource."""
    attributes: dict[str, Any] = {name: profile.get(name) for name in _SHOWN}
    location: Mapping[str, Any] = profile.get("location", {})
    names: Iterable[str] = (
        "address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip",
    )  # fmt: skip
    attributes |= {
        "created": profile["created"],
        "updated": profile["updated"],
        "last_event_date": profile.get("last_event_date"),
        "location": {name: location.get(name) for name in names},
        "properties": profile.get("properties", {}),
    }
    return {
        "type": "profile",
        "id": profile["id"],
        "attributes": attributes,
        "links": {"self": f"{origin}/api/profiles/{profile['id']}/"},
    }
