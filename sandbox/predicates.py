"""commercetools query predicates: `masterVariant(sku="S") or variants(sku in ("T", "U"))` to a function.

or-expression   and-expression ("or" and-expression)*
and-expression  term ("and" term)*
term            "not" "(" or-expression ")" | "(" or-expression ")" | field test
test            "(" or-expression ")" | operator value | ["not"] "in" values
                | "contains" ("any" | "all") values | "is" ["not"] ("defined" | "empty")
value           "text" | number | true | false | :variable
values          "(" value ("," value)* ")" | :variable
"""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

Test = Callable[[Any], bool]
"""Says whether a value (of a field, or a whole document) matches."""

Variables = tuple[tuple[str, tuple[str, ...]], ...]
"""Input variables and their values, as `var.<name>` gave them."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<variable>:[A-Za-z_]\w*)
      | (?P<quoted>`[^`]+`)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign><>|!=|<=|>=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_UNEQUAL = ("<>", "!=")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")


class PredicateError(ValueError):
    """The predicate can't be read; the text says where."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A compiled predicate, and the fields of the document that it names."""

    matches: Test
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class _FromUrl:
    """A variable's value: text in the URL, whatever type the field has."""

    text: str


@lru_cache(maxsize=1024)
def compiled(text: str, variables: Variables = ()) -> Predicate:
    """The predicate; raises PredicateError."""
    parser = _Parser(text, dict(variables))
    matches = parser.expression()
    parser.end()
    return Predicate(matches, frozenset(parser.fields))


def _same_kind(value: Any, told: Any) -> tuple[bool, Any]:
    """Whether both can be compared, and `told` in the field's type."""
    if isinstance(told, _FromUrl):
        told = told.text
        if not isinstance(value, str):
            try:
                told = json.loads(told)
            except ValueError:
                return False, None
    if isinstance(value, bool) or isinstance(told, bool):
        return isinstance(value, bool) and isinstance(told, bool), told
    number = int | float
    return (isinstance(value, str) and isinstance(told, str)) or (
        isinstance(value, number) and isinstance(told, number)
    ), told


def _compares(sign: str, told: Any) -> Test:
    compare = _ORDER[sign]
    text = told.text if isinstance(told, _FromUrl) else told
    moment = _moment(text)

    def matches(value: Any) -> bool:
        if isinstance(value, list):
            return any(matches(element) for element in value)
        at = _moment(value) if moment else None
        if moment and at:
            return compare(at, moment)
        comparable, other = _same_kind(value, told)
        return comparable and compare(value, other)

    return matches


def _moment(value: Any) -> datetime | None:
    """The time that a text is: as texts, `…00Z` would be later than `…00.500Z`."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _inside(test: Test) -> Test:
    """A test of an object's fields, or of any object in an array."""

    def matches(value: Any) -> bool:
        if isinstance(value, list):
            return any(matches(element) for element in value)
        return isinstance(value, dict) and test(value)

    return matches


class _Parser:
    """Reads one predicate from left to right."""

    def __init__(self, text: str, variables: dict[str, tuple[str, ...]]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._depth = 0
        self.fields: set[str] = set()
        self._kind = self._token = ""
        self._next()

    def _next(self) -> str:
        """Go on by one token; the one that was current is returned."""
        token = self._token
        match = _TOKEN.match(self._text, self._at)
        if match:
            self._kind, self._token = str(match.lastgroup), match[str(match.lastgroup)]
            self._at = match.end()
        elif self._text[self._at :].strip():
            raise self._error(f"unexpected character '{self._text[self._at :].strip()[0]}'")
        else:
            self._kind = self._token = ""
        return token

    def _error(self, what: str) -> PredicateError:
        return PredicateError(f"Syntax error while parsing 'where' at position {self._at}: {what}.")

    def _expect(self, *tokens: str) -> str:
        if self._token not in tokens or self._kind == "text":
            raise self._error(f"expected '{tokens[0]}' but found '{self._token or 'the end'}'")
        return self._next()

    def _found(self, token: str) -> bool:
        if self._token == token and self._kind in ("word", "sign"):
            self._next()
            return True
        return False

    def end(self) -> None:
        if self._token:
            raise self._error(f"expected the end but found '{self._token}'")

    def expression(self) -> Test:
        tests = [self._conjunction()]
        while self._found("or"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self._found("and"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _group(self) -> Test:
        test = self.expression()
        self._expect(")")
        return test

    def _term(self) -> Test:
        if self._found("("):
            return self._group()
        if self._found("not"):
            self._expect("(")
            test = self._group()
            return lambda value: not test(value)
        if self._kind not in ("word", "quoted"):
            raise self._error(f"expected a field but found '{self._token or 'the end'}'")
        name = self._next().strip("`")
        if not self._depth:
            self.fields.add(name)
        test = self._test()
        return lambda document: test(document.get(name))

    def _test(self) -> Test:
        if self._found("("):
            self._depth += 1
            inner = self._group()
            self._depth -= 1
            return _inside(inner)
        if self._found("is"):
            return self._presence()
        if self._found("contains"):
            every = self._expect("any", "all") == "all"
            wanted = [_compares("=", value) for value in self._values()]
            check = all if every else any
            return lambda value: check(test(value) for test in wanted)
        if self._token in ("in", "not") and self._kind == "word":
            return self._membership()
        sign = self._expect(*_ORDER, *_UNEQUAL)
        test = _compares("=" if sign in _UNEQUAL else sign, self._value())
        return (lambda value: not test(value)) if sign in _UNEQUAL else test

    def _presence(self) -> Test:
        negated = self._found("not")
        if self._expect("defined", "empty") == "empty":
            return lambda value: bool(value) if negated else value == []
        return lambda value: (value is not None) is not negated

    def _membership(self) -> Test:
        negated = self._found("not")
        self._expect("in")
        values = self._values()
        texts = frozenset(value.text if isinstance(value, _FromUrl) else value for value in values)
        tests = [_compares("=", value) for value in values if not isinstance(value, str)]

        def matches(value: Any) -> bool:
            if isinstance(value, list):
                return any(matches(element) for element in value)
            return value in texts if isinstance(value, str) else any(test(value) for test in tests)

        return (lambda value: not matches(value)) if negated else matches

    def _values(self) -> list[Any]:
        if self._kind == "variable":
            return self._variable()
        self._expect("(")
        values = self._variable() if self._kind == "variable" else [self._value()]
        while self._found(","):
            values.append(self._value())
        self._expect(")")
        return values

    def _variable(self) -> list[Any]:
        name = self._next()[1:]
        if name not in self._variables:
            raise self._error(f"there is no value for the variable '{name}'")
        return [_FromUrl(text) for text in self._variables[name]]

    def _value(self) -> Any:
        if self._kind == "variable":
            values = self._variable()
            if len(values) != 1:
                raise self._error("one value is expected")
            return values[0]
        literal = self._kind in ("text", "number") or (self._kind == "word" and self._token in ("true", "false"))
        if not literal:
            raise self._error(f"expected a value but found '{self._token or 'the end'}'")
        token = self._next()
        try:
            return json.loads(token, strict=False)
        except ValueError as error:
            raise self._error(f"{token} is no value") from error
