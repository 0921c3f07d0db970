"""Structured logging: one line of JSON per entry on stdout, in the format of Cloud Logging.

Log ids and counts only: no personal data, no body, no secret. An SDK's exception text can contain all three, so log
the class of an exception, never its text.
"""

import json
import os
import re
from typing import Any

import structlog

from core.wire import encoded

_MAX_CHARACTERS = 1024
"""Longer fields are truncated: ids and types come from outside and may have any length."""

_TRACE = re.compile(r"^(?:00-)?([0-9a-f]{32})\b")


def _severity(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Rename the fields as Cloud Logging expects: `severity` for the level, `message` for the text."""
    event["severity"] = method.upper()
    event["message"] = event.pop("event")
    return event


def _writable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Shorten texts, and replace lone surrogates: stdout can't encode them, and the line would be lost."""
    return {name: _short(value) if isinstance(value, str) else value for name, value in event.items()}


def _short(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS and text.isascii():
        return text
    return text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _line(event: structlog.typing.EventDict, **_: object) -> str:
    try:
        return encoded(event).decode()
    except (TypeError, ValueError):  # a field that is not JSON must not cost the whole line
        return json.dumps(event, default=repr)


structlog.configure(
    processors=[_severity, _writable, structlog.processors.JSONRenderer(serializer=_line)],
    # Writes each line in one call: with LOG_EXECUTION_ID the runtime turns every write into a log entry.
    logger_factory=structlog.WriteLoggerFactory(),
    cache_logger_on_first_use=False,
)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def trace_fields(header: str | None) -> dict[str, Any]:
    """The log field that links a line to its request, from `traceparent` or `X-Cloud-Trace-Context`."""
    found = _TRACE.match(header or "")
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not found or not project:
        return {}
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{found[1]}"}
