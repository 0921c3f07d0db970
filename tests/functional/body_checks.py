"""Checks of all bodies that reached Klaviyo, run after every test."""

import threading
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from clients.klaviyo_calls import KlaviyoCalls
from sandbox.control import Control
from tests.contract import IS_CHECKED, validator

_SUCCESS = range(200, 300)


class RecordingControl(Control):
    """A control that still has the requests after a test clears the record."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._cleared: list[dict[str, Any]] = []

    def forget_requests(self) -> None:
        """Clear the record; `all_requests` still returns its requests."""
        self._cleared += self.requests()
        super().forget_requests()

    def reset(self) -> None:
        """Restore the initial state; `all_requests` still returns the requests so far."""
        self._cleared += self.requests()
        super().reset()

    def all_requests(self) -> list[dict[str, Any]]:
        """All requests of the test, including the cleared ones."""
        return self._cleared + self.requests()


@dataclass(slots=True)
class SdkBodies:
    """Bodies passed to the SDK in calls that succeeded, each with its operation."""

    bodies: list[tuple[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record all bodies from now on."""
        send = KlaviyoCalls.send

        def recording_send(calls: KlaviyoCalls, group: str, operation: str, *arguments: Any, **options: Any) -> Any:
            given = [deepcopy(argument) for argument in arguments if isinstance(argument, dict)]
            answer = send(calls, group, operation, *arguments, **options)
            with self._lock:
                self.bodies += [(operation, body) for body in given]
            return answer

        monkeypatch.setattr(KlaviyoCalls, "send", recording_send)


def assert_nothing_dropped(given: SdkBodies, record: list[dict[str, Any]]) -> None:
    """Check that Klaviyo received everything passed to the SDK: the SDK silently drops keys it does not know."""
    received: dict[str, list[Any]] = {}
    for entry in _accepted(record):
        received.setdefault(entry["operation"], []).append(entry["body"])
    for operation, body in given.bodies:
        arrived = received.get(operation, [])
        found = next((index for index, other in enumerate(arrived) if contains(other, body)), None)
        assert found is not None, f"{operation}: the SDK dropped a part of {body}"
        del arrived[found]


def assert_contract_kept(record: list[dict[str, Any]]) -> None:
    """Check every body that Klaviyo accepted against its operation's schema, if the contract is available."""
    if not IS_CHECKED:
        return
    for entry in _accepted(record):
        problems = [
            f"{entry['operation']} {error.json_path}: {error.message}"
            for error in validator(entry["operation"]).iter_errors(entry["body"])
        ]
        assert problems == []


def contains(received: Any, given: Any) -> bool:
    """True if `received` has everything in `given`. Times are compared as instants, numbers by value."""
    match given:
        case Mapping():
            return isinstance(received, Mapping) and all(
                name in received and contains(received[name], value) for name, value in given.items()
            )
        case list():
            return (
                isinstance(received, list)
                and len(received) == len(given)
                and all(contains(one, other) for one, other in zip(received, given, strict=True))
            )
        case str() if isinstance(received, str) and received != given:
            return _instant(received) is not None and _instant(received) == _instant(given)
    return bool(received == given)


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _accepted(record: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (entry for entry in record if entry["status"] in _SUCCESS and isinstance(entry["body"], dict))
