"""The failure cases of docs/failures.md as faults of the sandbox, and a fake dead-letter topic."""

import re
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import klaviyo_api
import openapi_client.api.catalogs_api
import openapi_client.api.events_api
import openapi_client.api.profiles_api

import clients.commercetools_session
from commands.processes import ROOT
from sandbox.control import Control

IMPORTED = (klaviyo_api, openapi_client, clients.commercetools_session)
"""SDK modules that a first message would import. Imported here, so that no test's short deadline includes it."""

FAILURES_PAGE: Path = ROOT / "docs" / "failures.md"
TOPIC = "projects/shop/topics/dead"

LIMITS = """[limits]
connect_timeout = 1.0
read_timeout = 0.3
message_seconds = 2.0
backoff = 0.01
stale_after = 30
"""
"""Limits far below the defaults, so that tests need not wait."""
MESSAGE_SECONDS = 2.0
"""`message_seconds` in LIMITS: an answer must arrive within it."""
SLACK_SECONDS = 2.0
"""Extra seconds that a busy machine may take."""


def table_rows(*columns: str) -> list[list[str]]:
    """The cells of the page's table whose header starts with these columns, without backticks."""
    wanted = "| " + " | ".join(columns)
    lines = FAILURES_PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(wanted)) + 2
    end = next((number for number in range(start, len(lines)) if not lines[number].startswith("|")), len(lines))
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[start:end]]


def fault_options(case: str) -> dict[str, Any]:
    """Arguments for `Control.fail` that produce a case of the page: status, body and headers, or a connection fault."""
    connection_faults: dict[str, dict[str, Any]] = {
        "hangs": {"delay": 120},
        "a byte at a time": {"trickle": 0.1},
        "reset while sending": {"reset": "sending"},
        "reset while answering": {"reset": "answering"},
    }
    if case in connection_faults:
        return connection_faults[case]
    found = re.fullmatch(
        r"(?P<status>\d{3})(?: (?P<body>HTML|empty|other JSON|QueryTimedOut)| without Retry-After"
        r"| of a resource| of a query)?(?:, Retry-After: (?P<wait>.+))?",
        case,
    )
    assert found, f"no fault for the case {case!r}"
    options: dict[str, Any] = {"status": int(found["status"])}
    if found["body"]:
        options["body"] = {
            "HTML": "html",
            "empty": "empty",
            "other JSON": {"message": "not yours"},
            "QueryTimedOut": {"statusCode": 400, "message": "", "errors": [{"code": "QueryTimedOut", "message": ""}]},
        }[found["body"]]
    waits = {
        "a date in an hour": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True),
        "no number": "soon",
    }
    if found["wait"]:
        options["headers"] = {"Retry-After": waits.get(found["wait"], found["wait"])}
    if options["status"] == 302:
        options["headers"] = {"Location": "/elsewhere"}
    return options


@dataclass(frozen=True, slots=True)
class Published:
    """A message published to the dead-letter topic."""

    topic: str
    data: bytes
    attributes: Mapping[str, str]


@dataclass(slots=True)
class FakeTopic:
    """Stands in for Pub/Sub's publisher. test_emulator.py tests the real one against the Pub/Sub emulator."""

    published: list[Published] = field(default_factory=list)
    error: Exception | None = None

    def publish(self, topic: str, data: bytes, *, timeout: float, **attributes: str) -> "Future[str]":
        """Record the message like `PublisherClient.publish`, or fail with `error`."""
        assert timeout > 0
        sent: Future[str] = Future()
        if self.error:
            sent.set_exception(self.error)
        else:
            assert all(isinstance(value, str) and value for value in attributes.values())
            self.published.append(Published(topic, data, attributes))
            sent.set_result(str(len(self.published)))
        return sent

    def stop(self) -> None:
        """Do nothing: there is no thread to stop."""


def all_requests(*backends: Control) -> list[dict[str, Any]]:
    """All recorded requests of these backends, including token requests."""
    return [entry for backend in backends for entry in backend.requests()]


class Stopwatch:
    """Measures the seconds since it was created."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._started
