"""What a mapper returns, and the error it raises for a document that it can't map."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from core.errors import Unmappable

JsonObject = dict[str, Any]
"""A JSON object, as the SDKs accept and return it."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mapped:
    """A Klaviyo body, and what was cut from it.

    `cuts` lists the paths that were shortened or left out, each with the reason ("lineItems[].variant: too deep"). It
    never contains a value, so it can be logged.
    """

    body: JsonObject
    cuts: tuple[str, ...] = ()


def mapper(function: Callable[P, T]) -> Callable[P, T]:
    """Raise Unmappable when a malformed document makes the function fail. The code is the class of the error.

    The error itself is discarded, even as `__context__`: its text can quote the document, including personal data.
    """

    @wraps(function)
    def mapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            code = type(error).__name__
        # Raised outside the `except` block, so that Python does not attach the error as `__context__`.
        raise Unmappable(code)

    return mapped
