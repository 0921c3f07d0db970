"""Klaviyo's events: the first of a unique id is kept, and metrics come into being with their first event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.klaviyo_content import moment
from sandbox.profiles import Profile


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `number` counts them in the order in which they came."""

    number: int
    metric: str
    profile_id: str
    unique_id: str
    time: datetime
    attributes: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The event in the state's dump."""
        return {
            "metric": self.metric,
            "profile_id": self.profile_id,
            "unique_id": self.unique_id,
            "time": self.time.isoformat(),
            "value": self.attributes.get("value"),
            "value_currency": self.attributes.get("value_currency"),
            "backfill": bool(self.attributes.get("backfill")),
            "properties": self.attributes["properties"],
        }


class Events:
    """All events."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.metrics: dict[str, str] = {}
        self._known: set[tuple[str, str, str]] = set()
        self._made = 0

    def add(self, profile: Profile, attributes: Mapping[str, Any]) -> None:
        """Keep an event, unless this profile has one of the same metric and unique id."""
        metric = attributes["metric"]["data"]["attributes"]["name"]
        told = attributes.get("time")
        time = moment(told) if told else datetime.now(UTC).replace(microsecond=0)
        unique_id = attributes.get("unique_id") or str(int(time.timestamp()))
        self.metrics.setdefault(metric, f"M{len(self.metrics) + 1:05d}")
        key = (profile["id"], metric, unique_id)
        if key in self._known:
            return
        self._known.add(key)
        self._made += 1
        self.all.append(Event(self._made, metric, profile["id"], unique_id, time, attributes))
        profile["last_event_date"] = max(profile.get("last_event_date", ""), time.isoformat())

    def erase(self, profile_id: str) -> None:
        """Forget a profile's events."""
        self.all = [event for event in self.all if event.profile_id != profile_id]
        self._known = {key for key in self._known if key[0] != profile_id}

    def counts(self) -> dict[str, int]:
        """Events by profile."""
        counts: dict[str, int] = {}
        for event in self.all:
            counts[event.profile_id] = counts.get(event.profile_id, 0) + 1
        return counts

    def resource(self, event: Event, origin: str) -> dict[str, Any]:
        """An event as JSON:API shows it."""
        value = {name: event.attributes[name] for name in ("value", "value_currency") if event.attributes.get(name)}
        properties = {**event.attributes["properties"], "$event_id": event.unique_id}
        if "value" in value:
            properties["$value"] = value["value"]
        if "value_currency" in value:
            properties["$value_currency"] = value["value_currency"]
        identity = f"E{event.number:010d}"
        return {
            "type": "event",
            "id": identity,
            "attributes": {
                "timestamp": int(event.time.timestamp()),
                "event_properties": properties,
                "datetime": event.time.isoformat(),
                "uuid": f"00000000-0000-1000-8000-{event.number:012d}",
            },
            "relationships": {
                "profile": {"data": {"type": "profile", "id": event.profile_id}},
                "metric": {"data": {"type": "metric", "id": self.metrics[event.metric]}},
            },
            "links": {"self": f"{origin}/api/events/{identity}/"},
        }

    def metric_resource(self, name: str, origin: str) -> dict[str, Any]:
        """A metric as JSON:API shows it."""
        identity = self.metrics[name]
        return {
            "type": "metric",
            "id": identity,
            "attributes": {"name": name, "created": None, "updated": None, "integration": {"name": "API"}},
            "links": {"self": f"{origin}/api/metrics/{identity}/"},
        }
