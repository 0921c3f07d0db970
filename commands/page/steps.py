"""The calls of an attempt as a timeline in words: alike ones together, expected misses quiet."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal
from urllib.parse import unquote

from commands.page.delivery import Attempt, Backend, Call
from commands.page.words import resource_noun, titles
from commands.telling import counted, money
from mappers.ids import external_id

Look = Literal["read", "write", "miss", "again", "refused"]

_OK = 300
_CREATED = 201
_AGAIN = frozenset({0, 408, 429, *range(500, 600)})
_DENIED = frozenset({401, 403})
_NOT_FOUND, _CONFLICT = 404, 409
_VERBS = {"create": "Created", "update": "Changed", "delete": "Deleted"}
_CATALOG = re.compile(r"(create|update|delete)_catalog_(item|variant|category)")
_LOOKUP = re.compile(r"get_(?:\w+_for_)?catalog_(items?|variants?|categor(?:y|ies))")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. `numbers` are the calls behind it, `after` milliseconds since the first call."""

    look: Look
    backend: Backend
    text: str
    detail: str
    after: int
    numbers: Sequence[int]


def steps(attempt: Attempt) -> list[Step]:
    """The timeline of an attempt; calls that follow each other and do the same are one step."""
    numbered = list(enumerate(attempt.calls))
    if not numbered:
        return []
    start = numbered[0][1].record["at"]
    found = []
    for _, alike in groupby(numbered, key=lambda entry: _kind(entry[1], attempt)):
        several = list(alike)
        calls = [call for _, call in several]
        look = _look(calls[0], attempt)
        after = round((calls[0].record["at"] - start) * 1000)
        found.append(
            Step(look, calls[0].backend, _text(calls, look), _detail(calls[0]), after, [one for one, _ in several])
        )
    return found


def _kind(call: Call, attempt: Attempt) -> tuple[object, ...]:
    return call.backend, call.operation, call.status, _look(call, attempt)


def _look(call: Call, attempt: Attempt) -> Look:
    """A refusal is expected where the message went on and had its effect all the same."""
    if 0 < call.status < _OK:
        return "read" if call.record["method"] == "GET" else "write"
    if call.status in _AGAIN or call.status in _DENIED:
        return "again" if attempt.outcome == "synced" else "refused"
    return "refused" if attempt.outcome == "dead-lettered" and call.status != _NOT_FOUND else "miss"


def _text(calls: Sequence[Call], look: Look) -> str:
    what = _what(calls)
    status = calls[0].status
    match look:
        case "again":
            said = "did not answer" if not status else f"answered {status}"
            return f"{calls[0].backend} {said}: asked again ({what[:1].lower()}{what[1:]})"
        case "refused":
            said = "did not answer" if not status else f"answered {status}"
            return f"{calls[0].backend} {said}: {what[:1].lower()}{what[1:]}"
        case "miss":
            why = {_NOT_FOUND: "not there yet", _CONFLICT: "there already"}.get(status, f"answered {status}")
            if calls[0].backend == "commercetools":
                why = {_NOT_FOUND: "gone"}.get(status, why)
            return f"{_tried(calls, what)}: {why}"
    return what


def _tried(calls: Sequence[Call], what: str) -> str:
    """`Created the item` did not happen where it missed."""
    found = _CATALOG.fullmatch(calls[0].operation)
    return f"Tried to {found[1]} {_names(calls, found[2])}" if found else what


def _what(calls: Sequence[Call]) -> str:
    first = calls[0]
    if first.backend == "commercetools":
        return f"Read the {resource_noun(first.operation)}" + (f", {len(calls)} times" if len(calls) > 1 else "")
    if found := _CATALOG.fullmatch(first.operation):
        return f"{_VERBS[found[1]]} {_names(calls, found[2])}"
    if found := _LOOKUP.fullmatch(first.operation):
        return f"Looked up the {_singular(found[1])}"
    match first.operation:
        case "create_event":
            return "Sent " + titles([*_events(calls)])
        case "create_or_update_profile":
            verb = "Created" if first.status == _CREATED else "Changed"
            return f"{verb} the profile {_attributes(first).get('email') or ''}".rstrip()
        case "request_profile_deletion":
            return "Asked to erase the profile"
        case "get_profiles" | "get_profile":
            return "Looked for the profile"
    return first.operation.replace("_", " ").capitalize()


def _names(calls: Sequence[Call], kind: str) -> str:
    """`the item “Vase”`, `12 variants`."""
    if len(calls) > 1:
        return counted(len(calls), kind)
    attributes = _attributes(calls[0])
    own_id = external_id(unquote(calls[0].record["path"]).rsplit("/", 1)[-1])
    own = attributes.get("sku") if kind == "variant" else attributes.get("title") or attributes.get("name")
    name = own or attributes.get("external_id") or own_id
    return f"the {kind} {name}"


def _events(calls: Sequence[Call]) -> Iterator[str]:
    counts: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        attributes = _attributes(call)
        counts.setdefault(attributes["metric"]["data"]["attributes"]["name"], []).append(attributes)
    for name, events in counts.items():
        value = events[0].get("value")
        worth = f" ({money(value, events[0].get('value_currency'))})" if value is not None and len(events) == 1 else ""
        yield f"{name}{worth}" if len(events) == 1 else f"{len(events)} × {name}"


def _attributes(call: Call) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = ((call.record["body"] or {}).get("data") or {}).get("attributes") or {}
    return attributes


def _singular(noun: str) -> str:
    return {"categories": "categories", "category": "category"}.get(noun, noun)


def _detail(call: Call) -> str:
    path = unquote(call.record["path"])
    return f"{call.record['method']} {path} · {call.status or 'no answer'}"
