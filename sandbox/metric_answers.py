"""Klaviyo's metric calls: the list, and the number of events per day."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.events import Events
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.pages import Row, filters, matches, page, sparse_fields

METRICS_PAGE = 200
MEASUREMENTS = ("count", "sum_value", "unique")
MAX_ROWS = 500
_FILTERS = {"integration.name": ("equals",), "integration.category": ("equals",)}
_FIELDS = ("id", "name", "created", "updated", "integration")
_BOUND = re.compile(r"(greater-or-equal|less-than)\(datetime, *([^)]+)\)")
_AT = "/data/attributes/"


class MetricAnswers:
    """Answers one account's metric calls. Rejected requests raise Refused."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def answer(self, operation: str, request: Request, data: Any) -> Answer:
        """Carry out a call whose body has already passed the schema check."""
        if operation == "get_metrics":
            return self._list(request)
        attributes = self._aggregate(data["attributes"])
        links = {"self": request.origin + request.target}
        resource = {"type": "metric-aggregate", "id": "sandbox", "attributes": attributes, "links": links}
        return Answer(200, {"data": resource, "links": links})

    def _list(self, request: Request) -> Answer:
        conditions = filters(request, _FILTERS)
        select = sparse_fields(request, "metric", _FIELDS)
        rows = [
            Row(metric.number, lambda metric=metric: select(metric.resource(request.origin)))  # type: ignore[misc]
            for metric in self._events.metrics.values()
            if all(
                matches(condition, metric.integration[condition.field.partition(".")[2]]) for condition in conditions
            )
        ]
        return Answer(200, page(request, rows, default=METRICS_PAGE, largest=METRICS_PAGE))

    def _aggregate(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Number of events per day, as one row; days without events are 0."""
        _check(query)
        if query["metric_id"] not in self._events.metrics:
            raise Refused(404, f"A metric with id {query['metric_id']} does not exist.", pointer=f"{_AT}metric_id")
        zone = _zone(query.get("timezone") or "UTC")
        since, until = _time_range(query["filter"], zone)
        counts: dict[datetime, int] = {}
        day = since.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < until:
            counts[day] = 0
            day += timedelta(days=1)
        for event in self._events.all:
            if self._events.metric_id(event) == query["metric_id"] and since <= event.time < until:
                counts[event.time.astimezone(zone).replace(hour=0, minute=0, second=0)] += 1
        row = {"dimensions": [], "measurements": {"count": list(counts.values())}}
        return {"dates": [day.isoformat() for day in counts], "data": [row]}


def _check(query: Mapping[str, Any]) -> None:
    """Raise Refused for what Klaviyo rejects, and for what Klaviyo accepts but the sandbox does not implement."""
    if wrong := [name for name in query["measurements"] if name not in MEASUREMENTS]:
        raise Refused(400, f"'{wrong[0]}' is not a measurement.", pointer=f"{_AT}measurements")
    size = query.get("page_size")
    if size is not None and not 1 <= size <= MAX_ROWS:
        raise Refused(400, f"page_size must be between 1 and {MAX_ROWS}.", pointer=f"{_AT}page_size")
    if query["measurements"] != ["count"]:
        raise Refused(400, "The sandbox supports only the measurement count.", pointer=f"{_AT}measurements")
    if query.get("interval") not in (None, "day"):
        raise Refused(400, "The sandbox supports only the interval day.", pointer=f"{_AT}interval")
    for name in ("by", "return_fields", "sort", "page_cursor"):
        if query.get(name):
            raise Refused(400, f"The sandbox does not support {name}.", pointer=_AT + name)


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise Refused(400, f"'{name}' is not a timezone.", pointer=f"{_AT}timezone") from error


def _time_range(conditions: list[str], zone: tzinfo) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of the range; times without a zone are in `zone`."""
    found: dict[str, datetime] = {}
    for text in conditions:
        bound = _BOUND.fullmatch(text)
        try:
            moment = datetime.fromisoformat(bound[2] if bound else "")
        except ValueError as error:
            raise Refused(400, f"Invalid filter provided: '{text}'", pointer=f"{_AT}filter") from error
        if bound:
            found[bound[1]] = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    try:
        return found["greater-or-equal"], found["less-than"]
    except KeyError as error:
        raise Refused(400, f"The time range lacks {error}.", pointer=f"{_AT}filter") from error
