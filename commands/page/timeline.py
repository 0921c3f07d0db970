"""The calls of an attempt as a timeline in words. Similar calls are one step; an expected miss is no failure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal
from urllib.parse import unquote

from commands.outcome_words import counted, money
from commands.page.delivery import Attempt, Backend, Call
from commands.page.outcome_text import TIMES, resource_noun, shortened_list
from mappers.ids import external_id

StepKind = Literal["read", "write", "miss", "retried", "refused"]
"""`miss`: a failed call that the function expected. `retried`: it failed, but the message succeeded in the end."""

_SUCCESS_BELOW = 300
_CREATED = 201
_RETRYABLE = frozenset({0, 408, 429, *range(500, 600)})
_DENIED = frozenset({401, 403})
_NOT_FOUND, _CONFLICT = 404, 409
_CATALOG_VERBS = {"create": "Created", "update": "Changed", "delete": "Deleted"}
_OTHER_VERBS = {
    "create_event": "Sent",
    "create_or_update_profile": "Changed",
    "request_profile_deletion": "Asked Klaviyo to erase",
}
_CATALOG = re.compile(r"(create|update|delete)_catalog_(item|variant|category)")
_LOOKUP = re.compile(r"get_(?:(\w+)_for_)?catalog_(items?|variants?|categor(?:y|ies))")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. `numbers` are the indexes of its calls, `after` milliseconds since the first call."""

    kind: StepKind
    backend: Backend
    text: str
    after: int
    numbers: Sequence[int]


def steps(attempt: Attempt) -> list[Step]:
    """The timeline of an attempt. Consecutive calls of the same kind are one step."""
    numbered = list(enumerate(attempt.calls))
    if not numbered:
        return []
    start = numbered[0][1].record["at"]
    timeline = []
    for _, similar in groupby(numbered, key=lambda entry: _grouping_key(entry[1], attempt)):
        group = list(similar)
        calls = [call for _, call in group]
        kind = _kind(calls[0], attempt)
        after = round((calls[0].record["at"] - start) * 1000)
        timeline.append(Step(kind, calls[0].backend, _text(calls, kind), after, [number for number, _ in group]))
    return timeline


def _grouping_key(call: Call, attempt: Attempt) -> tuple[object, ...]:
    return call.backend, call.operation, call.status, _kind(call, attempt)


def _kind(call: Call, attempt: Attempt) -> StepKind:
    """The kind of step that a call is. A failed call is a miss if the function handled it and continued."""
    if 0 < call.status < _SUCCESS_BELOW:
        return "read" if call.record["method"] == "GET" else "write"
    if call.status in _RETRYABLE or call.status in _DENIED:
        return "retried" if attempt.outcome == "synced" else "refused"
    return "refused" if attempt.outcome == "dead-lettered" and call.status != _NOT_FOUND else "miss"


def _text(calls: Sequence[Call], kind: StepKind) -> str:
    status, backend = calls[0].status, calls[0].backend
    if kind in ("read", "write"):
        return _success_text(calls)
    if kind == "miss":
        why = {_NOT_FOUND: "not in Klaviyo yet", _CONFLICT: "already in Klaviyo"}.get(status, f"returned {status}")
        if backend == "commercetools" and status == _NOT_FOUND:
            why = "not found"
        elif status == _NOT_FOUND and calls[0].operation.startswith("create_"):
            why = "what it belongs to is not in Klaviyo yet"
        return f"{_success_text(calls) if _is_lookup(calls[0]) else f'Tried to write {_object(calls)}'}: {why}"
    failure = f"returned {status}" if status else "did not respond"
    if kind == "refused" and status not in _RETRYABLE | _DENIED:
        return f"{backend} rejected {_object(calls)} ({status})"
    return f"{backend} {failure}: {_object(calls)}" + (", retried" if kind == "retried" else "")


def _is_lookup(call: Call) -> bool:
    return str(call.record["method"]) == "GET"


def _success_text(calls: Sequence[Call]) -> str:
    """What successful calls did."""
    first = calls[0]
    if first.backend == "commercetools":
        return f"Read {_object(calls)}" + (f", {len(calls)} times" if len(calls) > 1 else "")
    if _is_lookup(first):
        return f"Looked up {_object(calls)}"
    verb = _CATALOG_VERBS.get(first.operation.partition("_catalog_")[0]) or _OTHER_VERBS.get(first.operation, "")
    if first.operation == "create_or_update_profile" and first.status == _CREATED:
        verb = "Created"
    return f"{verb} {_object(calls)}" if verb else _object(calls).capitalize()


def _object(calls: Sequence[Call]) -> str:
    """The object of the calls, for the end of a sentence."""
    first = calls[0]
    if first.backend == "commercetools":
        return f"the {resource_noun(first.operation)}"
    if found := _CATALOG.fullmatch(first.operation):
        return _catalog_names(calls, found[2])
    if found := _LOOKUP.fullmatch(first.operation):
        return f"the {found[2]}" + (f"'s {found[1].replace('_', ' ')}" if found[1] else "")
    match first.operation:
        case "create_event":
            return shortened_list([*_event_names(calls)])
        case "create_or_update_profile" | "request_profile_deletion" | "get_profiles" | "get_profile":
            return f"the profile {_attributes(first).get('email') or ''}".rstrip()
    return first.operation.replace("_", " ")


def _catalog_names(calls: Sequence[Call], kind: str) -> str:
    """`the item Vase` for one call, `12 variants` for several."""
    if len(calls) > 1:
        return counted(len(calls), kind)
    attributes = _attributes(calls[0])
    own_id = external_id(unquote(calls[0].record["path"]).rsplit("/", 1)[-1])
    title = attributes.get("sku") if kind == "variant" else attributes.get("title") or attributes.get("name")
    name = title or attributes.get("external_id") or own_id
    return f"the {kind} {name}"


def _event_names(calls: Sequence[Call]) -> Iterator[str]:
    """Each metric with the number of its events; a single event with its value."""
    by_metric: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        attributes = _attributes(call)
        # If the connection broke early, the sandbox has recorded no body.
        name = attributes["metric"]["data"]["attributes"]["name"] if attributes else "an event"
        by_metric.setdefault(name, []).append(attributes)
    for name, events in by_metric.items():
        value = events[0].get("value")
        worth = f" ({money(value, events[0].get('value_currency'))})" if value is not None and len(events) == 1 else ""
        yield f"{name}{worth}" if len(events) == 1 else f"{len(events)} {TIMES} {name}"


def _attributes(call: Call) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = ((call.record["body"] or {}).get("data") or {}).get("attributes") or {}
    return attributes
