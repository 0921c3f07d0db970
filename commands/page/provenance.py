"""Which values of a request came from commercetools: found by comparing both, as a reader would.

A value of the request counts as taken over when commercetools' JSON holds it too: the same text, the same moment, an
amount of money in major units, a phone number in another spelling, or a text that stands inside a longer one.
An event's properties also hold the order as it is: what keeps its name and its value was not mapped, and is not marked.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

from mappers.documents import Money
from mappers.money import optional_amount

Kind = Literal["string", "number", "word", "bracket"]
Value = tuple[str, object]
"""A value in the form in which both sides are compared: a kind of comparison, and what is compared."""

_SHORTEST_TEXT = 2
_SHORTEST_PART = 4
_SHORTEST_NUMBER = 7
"""Digits of a phone number."""
_STRUCTURE = frozenset({"type", "typeid"})
"""Fields that say what an object is: equal only to a field of the same name."""
_NOBODYS = frozenset({"projectkey", "notificationtype"})
"""Fields of the delivery that never go anywhere."""
_OF_EVENTS = frozenset({"email", "external_id", "phone_number"})
"""Names that an event's own fields share with commercetools' documents."""
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of pretty-printed JSON. `origins` are numbers of values that both sides share; empty: not marked."""

    depth: int
    key: str | None
    text: str
    kind: Kind
    comma: bool = False
    origins: tuple[int, ...] = ()
    leads_to_marked: bool = False
    """A bracket, or what it encloses has a marked line."""


class Comparison:
    """Compares requests with commercetools' documents. Ask for the documents' lines last: requests mark them."""

    def __init__(self, documents: Sequence[Any]) -> None:
        self._documents = documents
        self._numbers: dict[Value, int] = {}
        self._names: dict[Value, set[str]] = {}
        self._verbatim: set[tuple[str, str]] = set()
        self._used: set[int] = set()
        self._known: dict[tuple[str, object], tuple[int, ...]] = {}
        for document in documents:
            for name, value, parent in _leaves(document):
                if name.casefold() in _NOBODYS:
                    continue
                self._verbatim.add((name, repr(value)))
                for form in _forms(name, value, parent):
                    self._numbers.setdefault(form, len(self._numbers) + 1)
                    self._names.setdefault(form, set()).add(name.casefold())
        self._parts = [
            (str(text), number)
            for (kind, text), number in self._numbers.items()
            if kind == "text" and len(str(text)) >= _SHORTEST_PART and not self._names[kind, text] <= _STRUCTURE
        ]
        self._phones = [
            (digits, number)
            for (kind, text), number in self._numbers.items()
            if kind == "text" and len(digits := _national(str(text))) >= _SHORTEST_NUMBER
        ]

    def body(self, body: Any) -> list[Line]:
        """The lines of a request's body, with what came from the documents marked."""
        match body:
            case {"data": {"type": "event"}}:
                return list(_lines(body, self._origins_in_event))
        return list(_lines(body, self._origins))

    def path(self, path: str) -> tuple[int, ...]:
        """The origins of the id at the end of a request's path."""
        return self._origins("id", path.rsplit(":::", 1)[-1], {}) if ":::" in path else ()

    def document(self, index: int) -> list[Line]:
        """The lines of a document, with what went into the requests so far marked."""

        def origins(name: str, value: Any, parent: Mapping[str, Any]) -> tuple[int, ...]:
            found = (self._numbers.get(form) for form in _forms(name, value, parent))
            return tuple(number for number in found if number in self._used)

        return list(_lines(self._documents[index], origins))

    def _origins_in_event(self, name: str, value: Any, parent: Mapping[str, Any]) -> tuple[int, ...]:
        is_raw = not name[:1].isupper() and name not in _OF_EVENTS and (name, repr(value)) in self._verbatim
        return () if is_raw else self._origins(name, value, parent)

    def _origins(self, name: str, value: Any, _parent: Mapping[str, Any]) -> tuple[int, ...]:
        if (name, value) not in self._known or isinstance(value, bool):  # True == 1
            self._known[name, value] = tuple(dict.fromkeys(self._find(name, value)))
        found = self._known[name, value]
        self._used.update(found)
        return found

    def _find(self, name: str, value: Any) -> Iterator[int]:
        forms = list(_forms(name, value, {}))
        if isinstance(value, int | float) and not isinstance(value, bool) and value:
            forms.append(("money", Decimal(str(value)).normalize()))
        equal = [form for form in forms if form in self._numbers and self._is_same_field(name, form)]
        yield from (self._numbers[form] for form in equal)
        if equal or not isinstance(value, str) or name.casefold() in _STRUCTURE:
            return
        text = _text(value)
        if text.startswith("+") and text[1:].isdigit():
            yield from (number for digits, number in self._phones if text.endswith(digits))
        else:
            yield from (number for part, number in self._parts if part in text and _stands_alone(part, text))

    def _is_same_field(self, name: str, form: Value) -> bool:
        """Whether equal values mean the same: what an object is says little about a field with another name."""
        names = self._names[form]
        structural = name.casefold() in _STRUCTURE or names <= _STRUCTURE
        return not structural or name.casefold() in names


def _forms(name: str, value: Any, parent: Mapping[str, Any]) -> Iterator[Value]:
    """A value as it is compared. Numbers and truths are common: they count only in fields whose names end alike."""
    if isinstance(value, str):
        if _MOMENT.match(value):
            try:
                yield "moment", datetime.fromisoformat(value)
            except ValueError:
                yield "text", value
        elif len(value.strip()) >= _SHORTEST_TEXT:
            yield "text", _text(value)
    elif isinstance(value, bool):
        yield "truth", (_last_word(name), value)
    elif isinstance(value, int | float):
        yield "number", (_last_word(name), value)
        is_amount = name == ("preciseAmount" if "preciseAmount" in parent else "centAmount")
        money = optional_amount(cast("Money", parent)) if is_amount else None
        if money:
            yield "money", money.normalize()


def _leaves(value: Any, name: str = "", parent: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Any, Any]]:
    """Every scalar with the name of its field and the object it stands in."""
    match value:
        case dict():
            for key, below in value.items():
                yield from _leaves(below, key, value)
        case list():
            for below in value:
                yield from _leaves(below, name, {})
        case _:
            yield name, value, parent or {}


def _lines(value: Any, origins: Any, depth: int = 0, key: str | None = None, name: str = "") -> Iterator[Line]:
    """Pretty-printed JSON, a line at a time; commas stand in a second step, when it is known what follows."""
    is_object = isinstance(value, dict)
    if not value and isinstance(value, dict | list):
        yield Line(depth, key, "{}" if is_object else "[]", "bracket")
        return
    entries = list(value.items()) if is_object else [(None, one) for one in value]
    inside: list[Line] = []
    for number, (own_key, one) in enumerate(entries):
        own_name = own_key if own_key is not None else name
        if isinstance(one, dict | list):
            below = list(_lines(one, origins, depth + 1, own_key, own_name))
        else:
            found = origins(own_name, one, value if is_object else {})
            below = [Line(depth + 1, own_key, json.dumps(one, ensure_ascii=False), _kind(one), origins=found)]
        if number < len(entries) - 1:
            below[-1] = _with_comma(below[-1])
        inside += below
    leads = any(line.origins for line in inside)
    opening, closing = "{}" if is_object else "[]"
    yield Line(depth, key, opening, "bracket", leads_to_marked=leads)
    yield from inside
    yield Line(depth, None, closing, "bracket", leads_to_marked=leads)


def _with_comma(line: Line) -> Line:
    return Line(line.depth, line.key, line.text, line.kind, True, line.origins, line.leads_to_marked)


def _kind(value: Any) -> Kind:
    if isinstance(value, str):
        return "string"
    return "word" if value is None or isinstance(value, bool) else "number"


def _text(value: str) -> str:
    """A text as it is compared: e-mail addresses have no capitals that count."""
    return value.strip().casefold() if "@" in value else value.strip()


def _last_word(name: str) -> str:
    """`quantity` of availableQuantity and of inventory_quantity."""
    words = _WORD.findall(name)
    return words[-1].casefold() if words else name.casefold()


def _national(text: str) -> str:
    """The digits of a phone number without what stands for abroad or for long distance; empty for other texts."""
    return re.sub(r"\D", "", text).lstrip("0") if re.fullmatch(r"[+\d][\d\s()/.-]+", text) else ""


def _stands_alone(part: str, text: str) -> bool:
    """Whether the text holds the part as words of its own."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
