"""Structured logging: one JSON line to stdout per message, as Cloud Logging reads it.

Ids and counts only: no personal data, no body, no secret. The text of an exception that an SDK raised can hold all
three, so its class is logged, never its text.
"""

import json
import os
import re
from typing import Any

import structlog

from core.wire import encoded

_LONGEST_TEXT = 1024
"""Characters of one field: ids and types come from outside and may be of any length."""

_TRACE = re.compile(r"^(?:00-)?([0-9a-f]{32})\b")


def _severity(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Cloud Logging's names: `severity` for the level, `message` for the text."""
    event["severity"] = method.upper()
    event["message"] = event.pop("event")
    return event


def _writable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Short texts that stdout can encode: half of a surrogate pair can't be written, and the line would be lost."""
    return {name: _short(value) if isinstance(value, str) else value for name, value in event.items()}


def _short(text: str) -> str:
    if len(text) <= _LONGEST_TEXT and text.isascii():
        return text
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")


def _line(event: structlog.typing.EventDict, **_: object) -> str:
    try:
        return encoded(event).decode()
    except (TypeError, ValueError):  # a field that is no JSON is not to lose the line
        return json.dumps(event, default=repr)


structlog.configure(
    processors=[_severity, _writable, structlog.processors.JSONRenderer(serializer=_line)],
    # One write a line: with LOG_EXECUTION_ID the runtime makes an entry of every write.
    logger_factory=structlog.WriteLoggerFactory(),
    cache_logger_on_first_use=False,
)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def trace_fields(header: str | None) -> dict[str, Any]:
    """The log field that joins a line to its request, from `traceparent` or `X-Cloud-Trace-Context`."""
    found = _TRACE.match(header or "")
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not found or not project:
        return {}
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{found[1]}"}
