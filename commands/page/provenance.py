"""Which values in a request to Klaviyo came from commercetools, found by comparing both.

A value in a request is marked if commercetools' JSON has it too: as the same text, the same moment in time, an amount
of money in major units, the same phone number in another spelling, or a text within a longer one. An event's properties
also contain the raw order. Values there that kept both name and value were copied, not mapped, so they are not marked.
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
"""Of a line; a `word` is true, false or null."""
Value = tuple[str, object]
"""A value normalized for comparison: the kind of comparison, and the value."""

_MIN_TEXT = 2
_MIN_SUBSTRING = 4
"""Characters. Shorter texts match by chance."""
_MIN_PHONE_DIGITS = 7
_STRUCTURAL_FIELDS = frozenset({"type", "typeid"})
"""Fields that give an object's type. They only match a field of the same name."""
_UNUSED_FIELDS = frozenset({"projectkey", "notificationtype"})
"""Fields of the message that are never sent on."""
_PROFILE_FIELDS = frozenset({"email", "external_id", "phone_number"})
"""Fields of an event's profile that share their names with fields of commercetools."""
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of pretty-printed JSON. `origins` are the numbers of the values that it shares with the other side.

    A line without origins is not marked.
    """

    depth: int
    key: str | None
    text: str
    kind: Kind
    comma: bool = False
    origins: tuple[int, ...] = ()
    encloses_marked: bool = False
    """True for a bracket that encloses a marked line."""


class Provenance:
    """Finds the values that requests share with commercetools' documents.

    Call `document` after `body` and `path`: a document marks only what the requests seen so far use.
    """

    def __init__(self, documents: Sequence[Any]) -> None:
        self._documents = documents
        self._numbers: dict[Value, int] = {}
        self._names: dict[Value, set[str]] = {}
        self._verbatim: set[tuple[str, str]] = set()
        self._used_numbers: set[int] = set()
        self._cache: dict[tuple[str, object], tuple[int, ...]] = {}
        for document in documents:
            for name, value, parent in _leaves(document):
                if name.casefold() in _UNUSED_FIELDS:
                    continue
                self._verbatim.add((name, repr(value)))
                for form in _forms(name, value, parent):
                    self._numbers.setdefault(form, len(self._numbers) + 1)
                    self._names.setdefault(form, set()).add(name.casefold())
        self._substrings = [
            (str(text), number)
            for (kind, text), number in self._numbers.items()
            if kind == "text" and len(str(text)) >= _MIN_SUBSTRING and not self._names[kind, text] <= _STRUCTURAL_FIELDS
        ]
        self._phones = [
            (digits, number)
            for (kind, text), number in self._numbers.items()
            if kind == "text" and len(digits := _significant_digits(str(text))) >= _MIN_PHONE_DIGITS
        ]

    def body(self, body: Any) -> list[Line]:
        """The lines of a request body, with the values from the documents marked."""
        match body:
            case {"data": {"type": "event"}}:
                return list(_lines(body, self._origins_in_event))
        return list(_lines(body, self._origins))

    def path(self, path: str) -> tuple[int, ...]:
        """The origins of the catalog id at the end of a request's path."""
        return self._origins("id", path.rsplit(":::", 1)[-1], {}) if ":::" in path else ()

    def document(self, index: int) -> list[Line]:
        """The lines of a document, with the values that the requests seen so far use marked."""

        def origins(name: str, value: Any, parent: Mapping[str, Any]) -> tuple[int, ...]:
            numbers = (self._numbers.get(form) for form in _forms(name, value, parent))
            return tuple(number for number in numbers if number in self._used_numbers)

        return list(_lines(self._documents[index], origins))

    def _origins_in_event(self, name: str, value: Any, parent: Mapping[str, Any]) -> tuple[int, ...]:
        is_copied = not name[:1].isupper() and name not in _PROFILE_FIELDS and (name, repr(value)) in self._verbatim
        return () if is_copied else self._origins(name, value, parent)

    def _origins(self, name: str, value: Any, _parent: Mapping[str, Any]) -> tuple[int, ...]:
        if (name, value) not in self._cache or isinstance(value, bool):  # True == 1
            self._cache[name, value] = tuple(dict.fromkeys(self._find(name, value)))
        found = self._cache[name, value]
        self._used_numbers.update(found)
        return found

    def _find(self, name: str, value: Any) -> Iterator[int]:
        forms = list(_forms(name, value, {}))
        if isinstance(value, int | float) and not isinstance(value, bool) and value:
            forms.append(("money", Decimal(str(value)).normalize()))
        equal = [form for form in forms if form in self._numbers and self._is_same_field(name, form)]
        yield from (self._numbers[form] for form in equal)
        if equal or not isinstance(value, str) or name.casefold() in _STRUCTURAL_FIELDS:
            return
        text = _text(value)
        if text.startswith("+") and text[1:].isdigit():
            yield from (number for digits, number in self._phones if text.endswith(digits))
        else:
            yield from (number for part, number in self._substrings if part in text and _is_whole_word(part, text))

    def _is_same_field(self, name: str, form: Value) -> bool:
        """True if equal values mean the same: an object's type must not match a field of another name."""
        names = self._names[form]
        structural = name.casefold() in _STRUCTURAL_FIELDS or names <= _STRUCTURAL_FIELDS
        return not structural or name.casefold() in names


def _forms(name: str, value: Any, parent: Mapping[str, Any]) -> Iterator[Value]:
    """The forms in which a value is compared.

    Plain numbers and booleans are often equal by chance, so they only match fields whose names end in the same word.
    """
    if isinstance(value, str):
        if _TIMESTAMP.match(value):
            try:
                yield "timestamp", datetime.fromisoformat(value)
            except ValueError:
                yield "text", value
        elif len(value.strip()) >= _MIN_TEXT:
            yield "text", _text(value)
    elif isinstance(value, bool):
        yield "boolean", (_last_word(name), value)
    elif isinstance(value, int | float):
        yield "number", (_last_word(name), value)
        is_amount = name == ("preciseAmount" if "preciseAmount" in parent else "centAmount")
        money = optional_amount(cast("Money", parent)) if is_amount else None
        if money:
            yield "money", money.normalize()


def _leaves(value: Any, name: str = "", parent: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Any, Any]]:
    """Every scalar with its field name and the object that contains it. List elements have the name of their list."""
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
    """Pretty-printed JSON, line by line. Commas are added to an entry's last line once another entry follows."""
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
    has_marked = any(line.origins for line in inside)
    opening, closing = "{}" if is_object else "[]"
    yield Line(depth, key, opening, "bracket", encloses_marked=has_marked)
    yield from inside
    yield Line(depth, None, closing, "bracket", encloses_marked=has_marked)


def _with_comma(line: Line) -> Line:
    return Line(line.depth, line.key, line.text, line.kind, True, line.origins, line.encloses_marked)


def _kind(value: Any) -> Kind:
    if isinstance(value, str):
        return "string"
    return "word" if value is None or isinstance(value, bool) else "number"


def _text(value: str) -> str:
    """A text normalized for comparison: trimmed, and e-mail addresses in lower case."""
    return value.strip().casefold() if "@" in value else value.strip()


def _last_word(name: str) -> str:
    """The last word of a field name: `quantity` for both availableQuantity and inventory_quantity."""
    words = _WORD.findall(name)
    return words[-1].casefold() if words else name.casefold()


def _significant_digits(text: str) -> str:
    """The digits of a phone number without its leading zeros (international or trunk prefix); empty for other texts."""
    return re.sub(r"\D", "", text).lstrip("0") if re.fullmatch(r"[+\d][\d\s()/.-]+", text) else ""


def _is_whole_word(part: str, text: str) -> bool:
    """True if the part occurs in the text as whole words."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
