"""Judging failures: what a backend's answer, or the lack of one, means for the message. docs/failures.md lists it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import Refused, SyncError, TryAgain, Unavailable

BACKEND_COMMERCETOOLS = "commercetools"
BACKEND_KLAVIYO = "klaviyo"

CONTENT_REFUSED = frozenset({400, 404, 409, 413, 422})
"""The backend understood the request and does not want its content: a redelivery changes nothing."""

ACCESS_DENIED = frozenset({401, 403})
"""A wrong key or a missing scope: somebody will mend it, so the message must not be lost."""

TOO_LARGE = 413
TIMED_OUT = 408
THROTTLED = 429
SERVER_ERROR = 500
QUERY_TIMED_OUT = "QueryTimedOut"
"""commercetools answers 400 with this code when it could not answer a query in time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is no success. `readable` says whether the body was the backend's own JSON."""

    backend: str
    operation: str
    status: int
    retry_after: float | None = None
    readable: bool = False
    code: str = ""
    pointer: str = ""
    details: dict[str, str] = field(default_factory=dict)


def judged(failure: Failure) -> SyncError:
    """The error that a failure is: Unavailable (worth another attempt), TryAgain (nack at once) or Refused."""
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
    if not failure.readable:  # a proxy or an edge answered in the backend's place
        return not_json(backend, status)
    return TryAgain(f"{backend}_unexpected", status=status, code=failure.code)


def not_json(backend: str, status: int) -> Unavailable:
    """A body that is not what the backend speaks."""
    return Unavailable(f"{backend}_not_json", status=status)


def unreachable(backend: str, code: str) -> Unavailable:
    """No answer: connection refused or reset, TLS, timeout. `code` is the error's name, never its text."""
    return Unavailable(f"{backend}_unreachable", code=code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a backend asks to wait, as the transport tells them; None when it does not ask."""
    return float(headers.get("retry-after", 0)) or None
