"""Shared by both stand-ins: the request record, injected failures, and the control API."""

import threading
import time
import traceback
from abc import ABC, abstractmethod
from typing import Any

from sandbox.faults import Failure, Failures
from sandbox.lag import Lag
from sandbox.messages import Answer, Request

CONTROL = "_control"
FIRST_NON_SUCCESS = 300

Entry = dict[str, Any]
"""A recorded request."""


class ControlCallError(Exception):
    """A bad call to the control API; the text says what is wrong with it."""


class Backend(ABC):
    """A backend's state behind one lock, and its answers to requests. Does no I/O."""

    LAGS: tuple[str, ...] = ()
    """Names of the reads that can lag behind writes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.failures = Failures()
        self.lags = {name: Lag() for name in self.LAGS}
        self._record: list[Entry] = []
        self._number = 0

    @abstractmethod
    def operation(self, request: Request) -> str:
        """The operation's name, also for a request that will be rejected."""

    @abstractmethod
    def is_authorized(self, request: Request) -> bool:
        """True if the request carries a valid key or token."""

    @abstractmethod
    def respond(self, request: Request) -> Answer:
        """Apply the request to the state and return the answer."""

    @abstractmethod
    def error_answer(self, status: int) -> Answer:
        """The error that the real backend would answer with this status."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """A dump of the whole state."""

    @abstractmethod
    def clear(self) -> None:
        """Restore the initial, empty state."""

    @abstractmethod
    def backend_control(self, request: Request, path: list[str]) -> Any:
        """Handle the control calls that only this backend has; NotImplemented for an unknown call."""

    def begin(self, request: Request) -> tuple[Entry, Failure | None]:
        """Record a request as soon as its head is read. Returns its entry and the failure that hits it, if any."""
        with self.lock:
            self._number += 1
            entry = {
                "number": self._number,
                "at": time.time(),
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "body": None,
                "status": 0,
                "credentials": "authorization" in request.headers,
                "user_agent": request.headers.get("user-agent", ""),
                "authorized": self.is_authorized(request),
                "kind": "token" if request.path == "/oauth/token" else "api",
                "operation": self.operation(request),
                "answer": None,
            }
            self._record.append(entry)
            return entry, self.failures.match(request.method, request.path)

    def finish(self, request: Request, entry: Entry, failure: Failure | None) -> Answer:
        """Answer a fully read request, and record the answer before it is sent."""
        body = request.json_or_none()
        with self.lock:
            entry["body"] = body
            # Checked again, because a token request may have its client credentials in the body.
            entry["authorized"] = self.is_authorized(request)
            if failure is None:
                answer = self._respond(request)
            else:
                real_answer = self._respond(request) if failure.apply or not failure.replaces_answer else None
                answer = failure.answer(real_answer, self.error_answer)
            if failure is None or failure.reset is None:
                entry["status"] = answer.status
                if answer.status >= FIRST_NON_SUCCESS and not isinstance(answer.body, bytes):
                    entry["answer"] = answer.body
            return answer

    def _respond(self, request: Request) -> Answer:
        try:
            return self.respond(request)
        except Exception:  # noqa: BLE001 - show the caller every bug of the sandbox
            return Answer(500, {"sandbox": traceback.format_exc()})

    def control(self, request: Request) -> Answer:
        """Answer a call to `/_control/...`."""
        with self.lock:
            try:
                result = self._control(request, request.segments[1:])
            except (ControlCallError, ValueError, KeyError, TypeError) as error:
                return Answer(400, {"error": str(error) or type(error).__name__})
            if result is NotImplemented:
                return Answer(404, {"error": f"there is no control call {request.method} {request.path}"})
            return Answer(200, result)

    def _control(self, request: Request, path: list[str]) -> Any:
        match path:
            case ["state"] if request.method == "GET":
                return self.state()
            case ["requests"]:
                return self._control_record(request)
            case ["failures"]:
                return self._control_failures(request)
            case [("seed" | "lag") as name] if request.method == "POST":
                return self._control_seed(request) if name == "seed" else self._control_lag(request)
            case ["reset"] if request.method == "POST":
                self._record = []
                self._number = 0
                self.failures = Failures()
                self.lags = {name: Lag() for name in self.LAGS}
                self.clear()
                return {}
        return self.backend_control(request, path)

    def _control_seed(self, request: Request) -> Any:
        number = int(control_body(request, "seed")["seed"])
        self.failures.seed(number)
        for lag in self.lags.values():
            lag.seed(number)
        return {}

    def _control_lag(self, request: Request) -> Any:
        rule = control_body(request, "of", "seconds", "up_to")
        if rule["of"] not in self.lags:
            raise ControlCallError(f"only these reads can lag: {', '.join(self.lags)}")
        lag = self.lags[rule["of"]]
        minimum = float(rule["seconds"])
        lag.set(minimum, minimum if rule.get("up_to") is None else float(rule["up_to"]))
        return {"seconds": lag.minimum, "up_to": lag.maximum}

    def _control_record(self, request: Request) -> Any:
        match request.method:
            case "GET":
                since = int(request.query.get("since", ["0"])[0])
                return [entry for entry in self._record if entry["number"] > since]
            case "DELETE":
                self._record = []
                return {}
        return NotImplemented

    def _control_failures(self, request: Request) -> Any:
        match request.method:
            case "GET":
                return self.failures.as_json()
            case "POST":
                failure = Failure.parse(request.json())
                self.failures.add(failure)
                return failure.as_json()
            case "DELETE":
                self.failures.clear()
                return {}
        return NotImplemented


def control_body(request: Request, *known: str) -> dict[str, Any]:
    """The JSON object that a control call sends. If `known` fields are given, any other field is an error.

    Raises ControlCallError.
    """
    body = request.json()
    if not isinstance(body, dict):
        raise ControlCallError("the body must be a JSON object")
    if known and (unknown := sorted(set(body) - set(known))):
        raise ControlCallError(f"unknown fields: {', '.join(unknown)}; known: {', '.join(known)}")
    return body
