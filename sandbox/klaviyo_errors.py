"""Klaviyo's errors in JSON:API format."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.messages import Answer

JSON_API = "application/vnd.api+json"

_CODES_AND_TITLES = {
    400: ("invalid", "Invalid input."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    405: ("method_not_allowed", "Method not allowed."),
    409: ("conflict", "Conflict."),
    413: ("payload_too_large", "Payload too large."),
    415: ("unsupported_media_type", "Unsupported media type."),
    429: ("throttled", "Request was throttled."),
    503: ("service_unavailable", "Service unavailable."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a body: JSON pointer and description."""

    pointer: str
    detail: str


class Refused(Exception):  # noqa: N818 - becomes an answer
    """A request that Klaviyo rejects."""

    def __init__(self, status: int, detail: str = "", **more: Any) -> None:
        """`more` may hold code, pointer, parameter, meta and headers."""
        super().__init__(detail)
        self._status = status
        self._problems: list[dict[str, Any]] = [{"detail": detail, **more}]
        self._headers: dict[str, str] = more.get("headers", {})

    @classmethod
    def for_problems(cls, problems: Sequence[Problem]) -> "Refused":
        """A 400 that lists every problem of a body."""
        refused = cls(400)
        refused._problems = [{"detail": problem.detail, "pointer": problem.pointer} for problem in problems]
        return refused

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors in JSON:API format."""
        code, title = _CODES_AND_TITLES.get(self._status, ("error", "A server error occurred."))
        return [
            {
                "id": str(uuid.uuid4()),
                "status": self._status,
                "code": problem.get("code", code),
                "title": title,
                "detail": problem["detail"] or title,
                "source": {name: problem[name] for name in ("pointer", "parameter") if name in problem},
                "links": {},
                "meta": problem.get("meta", {}),
            }
            for problem in self._problems
        ]

    def answer(self) -> Answer:
        """The errors as an HTTP answer."""
        return Answer(self._status, {"errors": self.errors}, self._headers, JSON_API)
