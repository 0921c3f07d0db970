"""What must hold of every body that reached Klaviyo, whatever the test was about."""

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
    """A control that keeps the requests that a test has forgotten."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._forgotten: list[dict[str, Any]] = []

    def forget_requests(self) -> None:
        """Empty the record, and keep what was in it."""
        self._forgotten += self.requests()
        super().forget_requests()

    def reset(self) -> None:
        """Back to the state after the start; the record is kept."""
        self._forgotten += self.requests()
        super().reset()

    def every_request(self) -> list[dict[str, Any]]:
        """All requests of the test, those that it has forgotten too."""
        return self._forgotten + self.requests()


@dataclass(slots=True)
class SdkBodies:
    """What the clients gave to the SDK, by operation, of the calls that succeeded."""

    bodies: list[tuple[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Remember every body from now on."""
        send = KlaviyoCalls.send

        def remembering(calls: KlaviyoCalls, group: str, operation: str, *arguments: Any, **options: Any) -> Any:
            given = [deepcopy(argument) for argument in arguments if isinstance(argument, dict)]
            answer = send(calls, group, operation, *arguments, **options)
            with self._lock:
                self.bodies += [(operation, body) for body in given]
            return answer

        monkeypatch.setattr(KlaviyoCalls, "send", remembering)


def assert_nothing_dropped(given: SdkBodies, record: list[dict[str, Any]]) -> None:
    """Klaviyo got all of what the SDK was given: it drops keys that it does not know, in silence."""
    received: dict[str, list[Any]] = {}
    for entry in _taken(record):
        received.setdefault(entry["operation"], []).append(entry["body"])
    for operation, body in given.bodies:
        arrived = received.get(operation, [])
        found = next((index for index, one in enumerate(arrived) if contains(one, body)), None)
        assert found is not None, f"{operation}: the SDK dropped a part of {body}"
        del arrived[found]


def assert_contract_kept(record: list[dict[str, Any]]) -> None:
    """Every body that Klaviyo took fits the contract's schema of its operation, where the contract is there."""
    if not IS_CHECKED:
        return
    for entry in _taken(record):
        problems = [
            f"{entry['operation']} {error.json_path}: {error.message}"
            for error in validator(entry["operation"]).iter_errors(entry["body"])
        ]
        assert problems == []


def contains(received: Any, given: Any) -> bool:
    """Whether `received` has all of `given`: times as instants, numbers by value."""
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


def _taken(record: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (entry for entry in record if entry["status"] in _SUCCESS and isinstance(entry["body"], dict))
