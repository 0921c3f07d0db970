"""Describe writes to Klaviyo: a label for each call, and a line for each value it changes."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any, Literal

from commands.klaviyo_recorder import Write
from mappers.ids import external_id

Sign = Literal["+", "-", "~"]

_MAX_LENGTH = 200
"""Characters shown of a value; a description may have thousands."""
_COLLAPSE_FROM = 4
"""Collapse neighbours with the same value into one line from this many on."""

_EVENTS = "/api/events"
_PROFILES = "/api/profiles/"
_SUBSCRIPTIONS = "/api/profile-subscription-bulk-"
_VERBS = {"POST": "create", "PATCH": "update", "DELETE": "delete"}
_KINDS = {
    "/api/catalog-items": "item",
    "/api/catalog-variants": "variant",
    "/api/catalog-categories": "category",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call to Klaviyo. `label` says what it does, and which earlier attempts were refused."""

    label: str
    write: Write


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that would be added (+), removed (-) or replaced (~), with its path."""

    sign: Sign
    path: str
    shown: str

    def __str__(self) -> str:
        return f"{self.sign} {self.path} = {self.shown}"


def calls_in_words(writes: Sequence[Write]) -> list[Call]:
    """The calls that Klaviyo would accept, each with its refused attempts, and the calls that it would never accept."""
    calls: list[Call] = []
    refused: dict[str, list[Write]] = {}
    for number, write in enumerate(writes):
        is_tried_again = any(later.target == write.target for later in writes[number + 1 :])
        if write.is_refused and write.target and is_tried_again:
            refused.setdefault(write.target, []).append(write)
            continue
        notes = [_refusal(before) for before in refused.pop(write.target, [])]
        if write.is_refused:
            notes.append(_refusal(write))
        calls.append(Call(_label(write) + (f" ({'; '.join(notes)})" if notes else ""), write))
    return calls


def differences(write: Write) -> list[Difference]:
    """What a write would change, a line per value. Replaced and removed values come first, an order's raw fields last.

    Values that stay as they are in Klaviyo are not listed. JSON inside a string, as in `custom_metadata`, is compared
    value by value too. Neighbours with the same value, such as a price in each country of a currency, become one line.
    """
    is_event = write.path == _EVENTS
    found = sorted(_differences(write), key=lambda one: (one.sign == "+", is_event and _is_raw(one), _is_nested(one)))
    lines: list[Difference] = []
    for (sign, shown, place), alike in groupby(found, key=lambda one: (one.sign, one.shown, _parent_path(one))):
        several = list(alike)
        if len(several) < _COLLAPSE_FROM or not place:
            lines += several
        else:
            last = several[-1].path.rpartition(".")[2]
            lines.append(Difference(sign, f"{several[0].path} … {last} ({len(several)} of these)", shown))
    return lines


def json_differences(old: Any, new: Any) -> list[Difference]:
    """The differences between two JSON documents, a line per value."""
    return list(_compared("", old, new, replaces=True))


def changes_something(write: Write) -> bool:
    """True if Klaviyo would accept the write and its data would change."""
    return not write.is_refused and (write.body is None or bool(differences(write)))


def _is_raw(difference: Difference) -> bool:
    """True for a raw field of the commercetools order. Properties made for Klaviyo start with a capital letter."""
    return bool(re.match(r"properties\.[a-z]", difference.path))


def _is_nested(difference: Difference) -> bool:
    return len(re.findall(r"[.[]", difference.path)) > 1


def _parent_path(difference: Difference) -> str:
    """Path of the object that holds the value, if that object is nested itself."""
    return difference.path.rpartition(".")[0] if _is_nested(difference) else ""


def _differences(write: Write) -> Iterator[Difference]:
    if write.body is None:
        return
    data = write.body["data"]
    wanted = {name: _unwrapped(value) for name, value in data.get("attributes", {}).items()}
    categories = (data.get("relationships") or {}).get("categories")
    if categories:
        wanted["categories"] = sorted(external_id(one["id"]) for one in categories["data"])
    current = write.current or {}
    for name, value in wanted.items():
        yield from _compared(name, current.get(name), value, replaces=False)


def _label(write: Write) -> str:
    attributes: Mapping[str, Any] = (write.body or {}).get("data", {}).get("attributes", {})
    match write.path:
        case "/api/profile-import":
            verb = "create" if write.current is None else "update"
            return f"{verb} profile {attributes.get('external_id') or attributes.get('email') or ''}".rstrip()
        case path if path == _EVENTS:
            metric = attributes["metric"]["data"]["attributes"]["name"]
            return f"send event {metric} {attributes.get('unique_id', '')}".rstrip()
        case "/api/data-privacy-deletion-jobs":
            return f"erase profile {attributes['profile']['data']['id']}"
        case path if path.startswith((_SUBSCRIPTIONS, _PROFILES)):
            return _consent_label(path, attributes)
    collection = next((one for one in _KINDS if write.path.startswith(one)), "")
    if not collection:
        return f"{write.method} {write.path}"
    own_id = attributes.get("external_id") or external_id(write.path.removeprefix(f"{collection}/"))
    return f"{_VERBS[write.method]} {_KINDS[collection]} {own_id}"


def _consent_label(path: str, attributes: Mapping[str, Any]) -> str:
    if path.startswith(_PROFILES):
        return f"save the decision on profile {path.removeprefix(_PROFILES)}"
    (profile,) = attributes["profiles"]["data"]
    person = profile["attributes"]
    verb = "subscribe" if "create" in path else "unsubscribe"
    return f"{verb} {person.get('email') or person['phone_number']} ({' and '.join(person['subscriptions'])})"


def _refusal(write: Write) -> str:
    return f"{write.refused_because}: {_VERBS.get(write.method, write.method)} answered {write.status}"


def _unwrapped(value: Any) -> Any:
    """A nested resource without its JSON:API wrapping."""
    match value:
        case {"data": {"attributes": dict(attributes), **rest}}:
            own = {name: rest[name] for name in ("id",) if name in rest}
            return own | {name: _unwrapped(inner) for name, inner in attributes.items()}
    return value


def _compared(path: str, old: Any, new: Any, *, replaces: bool) -> Iterator[Difference]:
    """`replaces`: keys missing from the new value are removed; otherwise Klaviyo keeps them."""
    replaces = replaces or isinstance(new, str)
    old, new = _parsed(old), _parsed(new)
    if old == new:
        return
    match old, new:
        case _, None:
            yield from _leaves("-", path, old)
        case None, _:
            yield from _leaves("+", path, new)
        case dict(), dict():
            yield from _of_objects(path, old, new, replaces=replaces)
        case list(), list():
            yield from _of_lists(path, old, new)
        case (dict() | list(), _) | (_, dict() | list()):
            yield from _leaves("-", path, old)
            yield from _leaves("+", path, new)
        case _:
            yield Difference("~", path, f"{_as_text(old)} -> {_as_text(new)}")


def _of_objects(path: str, old: Mapping[str, Any], new: Mapping[str, Any], *, replaces: bool) -> Iterator[Difference]:
    for name, value in new.items():
        yield from _compared(f"{path}.{name}", old.get(name), value, replaces=replaces)
    for name in (name for name in old if replaces and name not in new):
        yield from _leaves("-", f"{path}.{name}", old[name])


def _of_lists(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
    """Compare by index if elements are nested, as their paths have the index; else by elements added and removed."""
    if any(isinstance(one, dict | list) for one in [*old, *new]):
        for index, (before, after) in enumerate(zip_longest(old, new)):
            yield from _compared(f"{path}[{index}]", before, after, replaces=True)
        return
    removed, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
    for value in removed.elements():
        yield Difference("-", f"{path}[]", _as_text(value))
    for value in added.elements():
        yield Difference("+", f"{path}[]", _as_text(value))
    if not removed and not added:
        yield Difference("~", path, f"reordered to {_as_text(list(new))}")


def _leaves(sign: Sign, path: str, value: Any) -> Iterator[Difference]:
    opened = _parsed(value)
    match opened:
        case dict() if opened:
            for name, inner in opened.items():
                yield from _leaves(sign, f"{path}.{name}", inner)
        case list() if any(isinstance(one, dict | list) for one in opened):
            for index, inner in enumerate(opened):
                yield from _leaves(sign, f"{path}[{index}]", inner)
        case list() if opened:
            for inner in opened:
                yield Difference(sign, f"{path}[]", _as_text(inner))
        case _:
            yield Difference(sign, path, _as_text(value))


def _parsed(value: Any) -> Any:
    """The parsed value of a string that holds a JSON object or list; any other value unchanged."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _as_text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}… ({len(text):,} characters)"
