"""Which error a failed call raises, and so what happens to its message. docs/failures.md lists the cases."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import Refused, SyncError, TryAgain, Unavailable

BACKEND_COMMERCETOOLS = "commercetools"
BACKEND_KLAVIYO = "klaviyo"

CONTENT_REFUSED = frozenset({400, 404, 409, 413, 422})
"""The backend understood the request and refused its content, so a redelivery would not help."""

ACCESS_DENIED = frozenset({401, 403})
"""A wrong key or a missing scope: a person will fix it, so the message must not be lost."""

TOO_LARGE = 413
TIMED_OUT = 408
THROTTLED = 429
SERVER_ERROR = 500
QUERY_TIMED_OUT = "QueryTimedOut"
"""Code of commercetools' 400 for a query that took too long."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is not a success. `readable` is True if the body is the backend's own JSON."""

    backend: str
    operation: str
    status: int
    retry_after: float | None = None
    readable: bool = False
    code: str = ""
    pointer: str = ""
    details: dict[str, str] = field(default_factory=dict)


def error_for(failure: Failure) -> SyncError:
    """The error to raise: Unavailable (retry the call), TryAgain (nack at once) or Refused (dead letter)."""
    backend, status = failure.backend, failure.status
    if status in ACCESS_DENIED:
        return TryAgain(f"{backend}_denied", status=status, code=failure.code)
    if status == THROTTLED:
        return Unavailable("throttled", status=status, code=failure.code, retry_after=failure.retry_after)
    if status >= SERVER_ERROR or status == TIMED_OUT or failure.code == QUERY_TIMED_OUT:
        return Unavailable(f"{backend}_error", status=status, code=failure.code, retry_after=failure.retry_after)
    if status == TOO_LARGE or (status in CONTENT_REFUSED and failure.readable):
        return Refused(
            backend,
            failure.operation,
            status=status,
            code=failure.code,
            pointer=failure.pointer,
            details=failure.details,
        )
    if not failure.readable:  # a proxy or CDN answered instead of the backend
        return not_json(backend, status)
    return TryAgain(f"{backend}_unexpected", status=status, code=failure.code)


def not_json(backend: str, status: int) -> Unavailable:
    """The error for a body that is not the JSON the backend should send."""
    return Unavailable(f"{backend}_not_json", status=status)


def unreachable(backend: str, code: str) -> Unavailable:
    """The error for no answer: connection refused or reset, TLS, timeout. `code` is libcurl's name, never its text."""
    return Unavailable(f"{backend}_unreachable", code=code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the backend asks to wait, in the form the transport gives them; None if it does not ask."""
    return float(headers.get("retry-after", 0)) or None
