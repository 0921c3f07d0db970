"""commercetools query predicates, compiled to functions: `masterVariant(sku="S") or variants(sku in ("T", "U"))`.

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
"""True if a value (of a field, or a whole document) matches."""

Variables = tuple[tuple[str, tuple[str, ...]], ...]
"""Input variables with their values from `var.<name>`."""

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
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_UNEQUAL = ("<>", "!=")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")


class PredicateError(ValueError):
    """The predicate can't be parsed; the text says where."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A compiled predicate, and the top-level fields that it names."""

    matches: Test
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class _UrlText:
    """The value of a variable. It is text in the URL, whatever the type of the field."""

    text: str


@lru_cache(maxsize=1024)
def compile_predicate(text: str, variables: Variables = ()) -> Predicate:
    """Parse and compile a predicate; raises PredicateError."""
    parser = _Parser(text, dict(variables))
    matches = parser.expression()
    parser.end()
    return Predicate(matches, frozenset(parser.fields))


def _comparable(value: Any, operand: Any) -> tuple[bool, Any]:
    """True if the two can be compared, and the operand converted to the type of the field's value."""
    if isinstance(operand, _UrlText):
        operand = operand.text
        if not isinstance(value, str):
            try:
                operand = json.loads(operand)
            except ValueError:
                return False, None
    if isinstance(value, bool) or isinstance(operand, bool):
        return isinstance(value, bool) and isinstance(operand, bool), operand
    number = int | float
    return (isinstance(value, str) and isinstance(operand, str)) or (
        isinstance(value, number) and isinstance(operand, number)
    ), operand


def _comparison(sign: str, operand: Any) -> Test:
    compare = _COMPARISONS[sign]
    text = operand.text if isinstance(operand, _UrlText) else operand
    moment = _parse_time(text)

    def matches(value: Any) -> bool:
        if isinstance(value, list):
            return any(matches(element) for element in value)
        at = _parse_time(value) if moment else None
        if moment and at:
            return compare(at, moment)
        comparable, converted = _comparable(value, operand)
        return comparable and compare(value, converted)

    return matches


def _parse_time(value: Any) -> datetime | None:
    """Parse a time, else None. Compared as texts, `…00Z` would come after `…00.500Z`."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _inside(test: Test) -> Test:
    """Apply a test to an object, or to each object of an array: one match is enough."""

    def matches(value: Any) -> bool:
        if isinstance(value, list):
            return any(matches(element) for element in value)
        return isinstance(value, dict) and test(value)

    return matches


class _Parser:
    """A recursive descent parser for one predicate."""

    def __init__(self, text: str, variables: dict[str, tuple[str, ...]]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._depth = 0
        self.fields: set[str] = set()
        self._kind = self._token = ""
        self._next()

    def _next(self) -> str:
        """Advance by one token and return the previous one."""
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

    def _accept(self, token: str) -> bool:
        if self._token == token and self._kind in ("word", "sign"):
            self._next()
            return True
        return False

    def end(self) -> None:
        if self._token:
            raise self._error(f"expected the end but found '{self._token}'")

    def expression(self) -> Test:
        tests = [self._conjunction()]
        while self._accept("or"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self._accept("and"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _group(self) -> Test:
        test = self.expression()
        self._expect(")")
        return test

    def _term(self) -> Test:
        if self._accept("("):
            return self._group()
        if self._accept("not"):
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
        if self._accept("("):
            self._depth += 1
            inner = self._group()
            self._depth -= 1
            return _inside(inner)
        if self._accept("is"):
            return self._presence()
        if self._accept("contains"):
            every = self._expect("any", "all") == "all"
            wanted = [_comparison("=", value) for value in self._values()]
            check = all if every else any
            return lambda value: check(test(value) for test in wanted)
        if self._token in ("in", "not") and self._kind == "word":
            return self._membership()
        sign = self._expect(*_COMPARISONS, *_UNEQUAL)
        test = _comparison("=" if sign in _UNEQUAL else sign, self._value())
        return (lambda value: not test(value)) if sign in _UNEQUAL else test

    def _presence(self) -> Test:
        negated = self._accept("not")
        if self._expect("defined", "empty") == "empty":
            return lambda value: bool(value) if negated else value == []
        return lambda value: (value is not None) is not negated

    def _membership(self) -> Test:
        negated = self._accept("not")
        self._expect("in")
        values = self._values()
        texts = frozenset(value.text if isinstance(value, _UrlText) else value for value in values)
        tests = [_comparison("=", value) for value in values if not isinstance(value, str)]

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
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return values

    def _variable(self) -> list[Any]:
        name = self._next()[1:]
        if name not in self._variables:
            raise self._error(f"there is no value for the variable '{name}'")
        return [_UrlText(text) for text in self._variables[name]]

    def _value(self) -> Any:
        if self._kind == "variable":
            values = self._variable()
            if len(values) != 1:
                raise self._error("expected one value")
            return values[0]
        literal = self._kind in ("text", "number") or (self._kind == "word" and self._token in ("true", "false"))
        if not literal:
            raise self._error(f"expected a value but found '{self._token or 'the end'}'")
        token = self._next()
        try:
            return json.loads(token, strict=False)
        except ValueError as error:
            raise self._error(f"{token} is not a value") from error
