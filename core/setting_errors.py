"""Describe a wrong setting to the person who wrote it: pydantic's own messages are for programmers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import AfterValidator, BaseModel, ValidationError

from core.errors import NOT_SET

Location = tuple[str | int, ...]
"""Path of a wrong setting: names of the tables and the key, then the index of a list's entry."""

_TYPE_NAMES = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "model": "a table",
    "string": "a string",
    "tuple": "a list",
}
"""Types by the start of pydantic's `<type>_type`, `<type>_parsing` and `<type>_from_float`."""
_LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Location and description of each mistake. The value is never shown, as it may be a secret."""
    for problem in error.errors(include_input=False, include_url=False):
        path = problem["loc"]
        yield path, NOT_SET if problem["type"] == "missing" else _description(problem, _keys_at(model, path[:-1]))


def like(pattern: str, example: str) -> AfterValidator:
    """Validate that a text matches the whole pattern. The error shows an example, which is easier to read."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"must look like {example}")
        return text

    return AfterValidator(check)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean orders?` if a known name is similar, else an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _description(problem: Mapping[str, Any], siblings: Iterable[str]) -> str:
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is not known{did_you_mean(str(problem['loc'][-1]), siblings)}"
    if kind in _LIMITS:
        return _LIMITS[kind].format_map(context)
    if kind == "literal_error":
        return f"must be {context['expected']}"
    expected = (
        _TYPE_NAMES.get(kind.split("_", maxsplit=1)[0]) if kind.endswith(("_type", "_parsing", "_from_float")) else None
    )
    return f"must be {expected}" if expected else str(problem["msg"]).removeprefix("Value error, ")


def _keys_at(model: type[BaseModel], path: Location) -> list[str]:
    """The keys that the table at this path may have."""
    for name in path:
        field = model.model_fields.get(str(name))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
