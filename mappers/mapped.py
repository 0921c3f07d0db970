"""What a mapper returns, and what becomes of a document it can't map."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from core.errors import Unmappable

JsonObject = dict[str, Any]
"""A JSON object as the SDKs take and give it."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mapped:
    """A Klaviyo body and what did not fit into it.

    `cuts` says which paths were shortened or left out and why ("lineItems[].variant: too deep"); never a value, so it
    can be logged.
    """

    body: JsonObject
    cuts: tuple[str, ...] = ()


def mapper(function: Callable[P, T]) -> Callable[P, T]:
    """Turn what a malformed document makes Python raise into Unmappable, with the class of the error as its code.

    The error itself is not kept, not even as context: its text can quote the document, and so personal data.
    """

    @wraps(function)
    def mapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            code = type(error).__name__
        # Raised outside the handler, so that the cause is not attached as `__context__`.
        raise Unmappable(code)

    return mapped
