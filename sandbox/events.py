"""Klaviyo's events: the first of a unique id is kept, and metrics come into being with their first event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sandbox.klaviyo_content import moment
from sandbox.profiles import Profile, moment_now


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


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; other integrations may have one of the same name. `number` counts them as they came."""

    number: int
    name: str
    integration: Mapping[str, str]
    created: str

    @property
    def id(self) -> str:
        """Klaviyo's id of it."""
        return f"M{self.number:05d}"

    def resource(self, origin: str) -> dict[str, Any]:
        """The metric as JSON:API shows it."""
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
    """What a metric tells of where its events come from."""
    return {"object": "integration", "id": f"sandbox-{key}", "key": key, "name": name, "category": category}


API = integration("API", "api", "API")


class Events:
    """All events. They are the API's, as are the metrics that they bring with them."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.metrics: dict[str, Metric] = {}
        self._ids: dict[str, str] = {}
        self._known: set[tuple[str, str, str]] = set()
        self._made = 0

    def add(self, profile: Profile, attributes: Mapping[str, Any]) -> None:
        """Keep an event, unless this profile has one of the same metric and unique id."""
        metric = attributes["metric"]["data"]["attributes"]["name"]
        told = attributes.get("time")
        time = moment(told) if told else datetime.now(UTC).replace(microsecond=0)
        unique_id = attributes.get("unique_id") or str(int(time.timestamp()))
        if metric not in self._ids:
            self._ids[metric] = self.add_metric(metric, API).id
        key = (profile["id"], metric, unique_id)
        if key in self._known:
            return
        self._known.add(key)
        self._made += 1
        self.all.append(Event(self._made, metric, profile["id"], unique_id, time, attributes))
        profile["last_event_date"] = max(profile.get("last_event_date", ""), time.isoformat())

    def add_metric(self, name: str, of: Mapping[str, str]) -> Metric:
        """A new metric of an integration."""
        metric = Metric(len(self.metrics) + 1, name, of, moment_now())
        self.metrics[metric.id] = metric
        return metric

    def metric_id(self, event: Event) -> str:
        """The id of an event's metric."""
        return self._ids[event.metric]

    def erase(self, profile_id: str) -> None:
        """Forget a profile's events."""
        self._forget([event for event in self.all if event.profile_id == profile_id])

    def drop(self, metric: str, day: date | None, most: int | None) -> int:
        """Lose events of a metric, on one day (UTC) if told, `most` of them if told. Returns how many."""
        lost = [event for event in self.all if event.metric == metric and day in (None, event.time.date())][:most]
        self._forget(lost)
        return len(lost)

    def _forget(self, lost: list[Event]) -> None:
        gone = {event.number for event in lost}
        self.all = [event for event in self.all if event.number not in gone]
        self._known -= {(event.profile_id, event.metric, event.unique_id) for event in lost}

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
                "metric": {"data": {"type": "metric", "id": self.metric_id(event)}},
            },
            "links": {"self": f"{origin}/api/events/{identity}/"},
        }
