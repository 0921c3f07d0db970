"""What is wrong with a setting, in words for whoever wrote it: pydantic's are for programmers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import AfterValidator, BaseModel, ValidationError

from core.errors import NOT_SET

Place = tuple[str | int, ...]
"""Where a mistake is: the names of the tables and of the key, then the number of an entry of a list."""

_KINDS = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "model": "a table",
    "string": "a text",
    "tuple": "a list of texts",
}
"""By what pydantic's `<kind>_type` and `<kind>_parsing` begin with; all lists of the settings are of texts."""
_SIZES = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Place, str]]:
    """Where each mistake is, and what is wrong there. Never the value: it may be a secret."""
    for problem in error.errors(include_input=False, include_url=False):
        path = problem["loc"]
        yield path, NOT_SET if problem["type"] == "missing" else _said(problem, _named(model, path[:-1]))


def like(pattern: str, example: str) -> AfterValidator:
    """A text that matches the whole pattern; the mistake is told by an example, as nobody reads patterns."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"must be such as {example}")
        return text

    return AfterValidator(check)


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean orders?` where a name that is known is close to it, else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _said(problem: Mapping[str, Any], siblings: Iterable[str]) -> str:
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is not known{meant(str(problem['loc'][-1]), siblings)}"
    if kind in _SIZES:
        return _SIZES[kind].format_map(context)
    if kind == "literal_error":
        return f"must be {context['expected']}"
    asked = _KINDS.get(kind.split("_", maxsplit=1)[0]) if kind.endswith(("_type", "_parsing", "_from_float")) else None
    return f"must be {asked}" if asked else str(problem["msg"]).removeprefix("Value error, ")


def _named(model: type[BaseModel], path: Place) -> list[str]:
    """The keys of the table at a path."""
    for name in path:
        field = model.model_fields.get(str(name))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
