"""Klaviyo's events and metrics. The first event with a unique id wins; a metric is created by its first event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sandbox.klaviyo_content import parse_time
from sandbox.profiles import Profile, timestamp_now


@dataclass(frozen=True, slots=True)
class Event:
    """An event; `number` is its place in the order of arrival."""

    number: int
    metric: str
    profile_id: str
    unique_id: str
    time: datetime
    attributes: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The event in the state dump."""
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


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. Several integrations may each have one of the same name. `number` is the order of creation."""

    number: int
    name: str
    integration: Mapping[str, str]
    created: str

    @property
    def id(self) -> str:
        """The metric's Klaviyo id."""
        return f"M{self.number:05d}"

    def resource(self, origin: str) -> dict[str, Any]:
        """The metric as a JSON:API resource."""
        return {
            "type": "metric",
            "id": self.id,
            "attributes": {
                "name": self.name,
                "created": self.created,
                "updated": self.created,
                "integration": dict(self.integration),
            },
            "links": {"self": f"{origin}/api/metrics/{self.id}/"},
        }


def integration(name: str, key: str, category: str) -> dict[str, str]:
    """The `integration` attribute of a metric: where its events come from."""
    return {"object": "integration", "id": f"sandbox-{key}", "key": key, "name": name, "category": category}


API = integration("API", "api", "API")


class Events:
    """All events. They come from the API, so the metrics that they create belong to the integration `API`."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.metrics: dict[str, Metric] = {}
        self._ids: dict[str, str] = {}
        self._seen: set[tuple[str, str, str]] = set()
        self._last_number = 0

    def add(self, profile: Profile, attributes: Mapping[str, Any]) -> None:
        """Store an event, unless this profile already has one with the same metric and unique id."""
        metric = attributes["metric"]["data"]["attributes"]["name"]
        text = attributes.get("time")
        time = parse_time(text) if text else datetime.now(UTC).replace(microsecond=0)
        unique_id = attributes.get("unique_id") or str(int(time.timestamp()))
        if metric not in self._ids:
            self._ids[metric] = self.add_metric(metric, API).id
        key = (profile["id"], metric, unique_id)
        if key in self._seen:
            return
        self._seen.add(key)
        self._last_number += 1
        self.all.append(Event(self._last_number, metric, profile["id"], unique_id, time, attributes))
        profile["last_event_date"] = max(profile.get("last_event_date", ""), time.isoformat())

    def add_metric(self, name: str, source: Mapping[str, str]) -> Metric:
        """Create a metric; `source` is its integration."""
        metric = Metric(len(self.metrics) + 1, name, source, timestamp_now())
        self.metrics[metric.id] = metric
        return metric

    def metric_id(self, event: Event) -> str:
        """The id of an event's metric."""
        return self._ids[event.metric]

    def erase(self, profile_id: str) -> None:
        """Delete a profile's events."""
        self._remove([event for event in self.all if event.profile_id == profile_id])

    def drop(self, metric: str, day: date | None, most: int | None) -> int:
        """Delete events of a metric, optionally of one day (UTC), and at most `most`. Returns how many."""
        dropped = [event for event in self.all if event.metric == metric and day in (None, event.time.date())][:most]
        self._remove(dropped)
        return len(dropped)

    def _remove(self, events: list[Event]) -> None:
        numbers = {event.number for event in events}
        self.all = [event for event in self.all if event.number not in numbers]
        self._seen -= {(event.profile_id, event.metric, event.unique_id) for event in events}

    def counts(self) -> dict[str, int]:
        """Number of events by profile id."""
        counts: dict[str, int] = {}
        for event in self.all:
            counts[event.profile_id] = counts.get(event.profile_id, 0) + 1
        return counts

    def resource(self, event: Event, origin: str) -> dict[str, Any]:
        """An event as a JSON:API resource."""
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
                "metric": {"data": {"type": "metric", "id": self.metric_id(event)}},
            },
            "links": {"self": f"{origin}/api/events/{identity}/"},
        }
