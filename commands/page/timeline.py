"""The calls of an attempt as a timeline in words: alike ones together, expected misses quiet."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal
from urllib.parse import unquote

from commands.outcome_words import counted, money
from commands.page.delivery import Attempt, Backend, Call
from commands.page.outcome_text import TIMES, resource_noun, titles
from mappers.ids import external_id

Look = Literal["read", "write", "miss", "again", "refused"]

_OK = 300
_CREATED = 201
_AGAIN = frozenset({0, 408, 429, *range(500, 600)})
_DENIED = frozenset({401, 403})
_NOT_FOUND, _CONFLICT = 404, 409
_VERBS = {"create": "Created", "update": "Changed", "delete": "Deleted"}
_DEEDS = {
    "create_event": "Sent",
    "create_or_update_profile": "Changed",
    "request_profile_deletion": "Asked to erase",
}
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
    status, backend = calls[0].status, calls[0].backend
    if look in ("read", "write"):
        return _done(calls)
    if look == "miss":
        why = {_NOT_FOUND: "not there yet", _CONFLICT: "there already"}.get(status, f"answered {status}")
        if backend == "commercetools" and status == _NOT_FOUND:
            why = "gone"
        return f"{_done(calls) if _is_lookup(calls[0]) else f'Tried to write {_object(calls)}'}: {why}"
    said = f"answered {status}" if status else "did not answer"
    if look == "refused" and status not in _AGAIN | _DENIED:
        return f"{backend} refused {_object(calls)} ({status})"
    return f"{backend} {said}: {_object(calls)}" + (", asked again" if look == "again" else "")


def _is_lookup(call: Call) -> bool:
    return str(call.record["method"]) == "GET"


def _done(calls: Sequence[Call]) -> str:
    """What calls that were answered did."""
    first = calls[0]
    if first.backend == "commercetools":
        return f"Read {_object(calls)}" + (f", {len(calls)} times" if len(calls) > 1 else "")
    if _is_lookup(first):
        return f"Looked up {_object(calls)}"
    verb = _VERBS.get(first.operation.partition("_catalog_")[0]) or _DEEDS.get(first.operation, "")
    if first.operation == "create_or_update_profile" and first.status == _CREATED:
        verb = "Created"
    return f"{verb} {_object(calls)}" if verb else _object(calls).capitalize()


def _object(calls: Sequence[Call]) -> str:
    """What calls are about."""
    first = calls[0]
    if first.backend == "commercetools":
        return f"the {resource_noun(first.operation)}"
    if found := _CATALOG.fullmatch(first.operation):
        return _names(calls, found[2])
    if found := _LOOKUP.fullmatch(first.operation):
        return f"the {found[1]}"
    match first.operation:
        case "create_event":
            return titles([*_events(calls)])
        case "create_or_update_profile" | "request_profile_deletion" | "get_profiles" | "get_profile":
            return f"the profile {_attributes(first).get('email') or ''}".rstrip()
    return first.operation.replace("_", " ")


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
        # A connection that broke early has no body in the record.
        name = attributes["metric"]["data"]["attributes"]["name"] if attributes else "an event"
        counts.setdefault(name, []).append(attributes)
    for name, events in counts.items():
        value = events[0].get("value")
        worth = f" ({money(value, events[0].get('value_currency'))})" if value is not None and len(events) == 1 else ""
        yield f"{name}{worth}" if len(events) == 1 else f"{len(events)} {TIMES} {name}"


def _attributes(call: Call) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = ((call.record["body"] or {}).get("data") or {}).get("attributes") or {}
    return attributes


def _detail(call: Call) -> str:
    path = unquote(call.record["path"])
    return f"{call.record['method']} {path} · {call.status or 'no answer'}"
