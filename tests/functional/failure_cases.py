"""What the tests of failures share: the tables of docs/failures.md, the faults they name, and a topic for letters."""

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
import pytest

import clients.commercetools_session
from clients.dead_letter import DeadLetters
from commands.processes import ROOT
from sandbox.control import Control

IMPORTED = (klaviyo_api, openapi_client, clients.commercetools_session)
"""What a cold start imports: done here, so that no short message pays for it."""

FAILURES_PAGE: Path = ROOT / "docs" / "failures.md"
TOPIC = "projects/shop/topics/dead"

LIMITS = """[limits]
connect_timeout = 1.0
read_timeout = 0.3
message_seconds = 2.0
backoff = 0.01
stale_after = 30
"""
"""Bounds of a tenth, so that a test need not wait; `message_seconds` is the one that an answer is held against."""
MESSAGE_SECONDS = 2.0
SLACK_SECONDS = 2.0


def table_rows(*columns: str) -> list[list[str]]:
    """The cells of the page's table whose header begins with these columns, without their code marks."""
    wanted = "| " + " | ".join(columns)
    lines = FAILURES_PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(wanted)) + 2
    end = next((number for number in range(start, len(lines)) if not lines[number].startswith("|")), len(lines))
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[start:end]]


def fault_options(case: str) -> dict[str, Any]:
    """What `Control.fail` is told for a case of the page: its status, its body, its headers, or the wire's fault."""
    wire: dict[str, dict[str, Any]] = {
        "hangs": {"delay": 120},
        "a byte at a time": {"trickle": 0.1},
        "reset while sending": {"reset": "sending"},
        "reset while answering": {"reset": "answering"},
    }
    if case in wire:
        return wire[case]
    found = re.fullmatch(
        r"(?P<status>\d{3})(?: (?P<body>HTML|empty|other JSON|QueryTimedOut)| without Retry-After"
        r"| of a resource| of a query)?(?:, Retry-After: (?P<wait>.+))?",
        case,
    )
    assert found, f"no fault for the case {case!r}"
    told: dict[str, Any] = {"status": int(found["status"])}
    if found["body"]:
        told["body"] = {
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
        told["headers"] = {"Retry-After": waits.get(found["wait"], found["wait"])}
    if told["status"] == 302:
        told["headers"] = {"Location": "/elsewhere"}
    return told


@dataclass(frozen=True, slots=True)
class Published:
    """What was published to the dead-letter topic."""

    topic: str
    data: bytes
    attributes: Mapping[str, str]


@dataclass(slots=True)
class FakeTopic:
    """Stands in for Pub/Sub, which the sandbox can't; the real one is proven against its emulator."""

    published: list[Published] = field(default_factory=list)
    error: Exception | None = None

    def publish(self, topic: str, data: bytes, *, timeout: float, **attributes: str) -> "Future[str]":
        """What `PublisherClient.publish` does with a letter."""
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
        """Nothing to stop."""


def fake_topic(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """A topic that takes every letter of the function servers in this process."""
    topic = FakeTopic()
    monkeypatch.setenv("DEAD_LETTER_TOPIC", TOPIC)
    monkeypatch.setattr(DeadLetters, "_publisher", lambda _: topic)
    return topic


def all_requests(*backends: Control) -> list[dict[str, Any]]:
    """Every request on record, tokens among them."""
    return [entry for backend in backends for entry in backend.requests()]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Until now."""
        return time.monotonic() - self._started
