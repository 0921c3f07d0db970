"""What both stand-ins have in common: the record of requests, failures, and the control API."""

import threading
import time
import traceback
from abc import ABC, abstractmethod
from typing import Any

from sandbox.faults import Failure, Failures
from sandbox.lag import Lag
from sandbox.messages import Answer, Request

CONTROL = "_control"
FIRST_NOT_OK = 300

Entry = dict[str, Any]
"""One request in the record."""


class Mistake(Exception):  # noqa: N818 - it says who is to blame
    """The control API was used wrongly; the text says how."""


class Backend(ABC):
    """State behind one lock, and the answers that come of it. Nothing here does I/O."""

    LAGS: tuple[str, ...] = ()
    """The reads that may lag behind writes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.failures = Failures()
        self.lags = {name: Lag() for name in self.LAGS}
        self._record: list[Entry] = []
        self._number = 0

    @abstractmethod
    def operation(self, request: Request) -> str:
        """The name of the call, also of one that will be refused."""

    @abstractmethod
    def authorized(self, request: Request) -> bool:
        """Whether its key or token is good."""

    @abstractmethod
    def respond(self, request: Request) -> Answer:
        """The answer, and its effect on the state."""

    @abstractmethod
    def refusal(self, status: int) -> Answer:
        """The backend's own error body for a status."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All it holds."""

    @abstractmethod
    def clear(self) -> None:
        """Back to the state after the start."""

    @abstractmethod
    def control_own(self, request: Request, path: list[str]) -> Any:
        """The control calls of this backend alone; NotImplemented when there is none of this name."""

    def begin(self, request: Request) -> tuple[Entry, Failure | None]:
        """Record a request of which only the head is known, and tell which failure it meets."""
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
                "authorized": self.authorized(request),
                "kind": "token" if request.path == "/oauth/token" else "api",
                "operation": self.operation(request),
                "answer": None,
            }
            self._record.append(entry)
            return entry, self.failures.hit(request.method, request.path)

    def finish(self, request: Request, entry: Entry, failure: Failure | None) -> Answer:
        """The answer to a request that has been read, recorded before it is sent."""
        body = request.json_or_none()
        with self.lock:
            entry["body"] = body
            entry["authorized"] = self.authorized(request)
            if failure is None:
                answer = self._respond(request)
            else:
                real = self._respond(request) if failure.apply or not failure.replaces else None
                answer = failure.answer(real, self.refusal)
            if failure is None or failure.reset is None:
                entry["status"] = answer.status
                if answer.status >= FIRST_NOT_OK and not isinstance(answer.body, bytes):
                    entry["answer"] = answer.body
            return answer

    def _respond(self, request: Request) -> Answer:
        try:
            return self.respond(request)
        except Exception:  # noqa: BLE001 - a fault of the sandbox must be seen by whoever called it
            return Answer(500, {"sandbox": traceback.format_exc()})

    def control(self, request: Request) -> Answer:
        """Answer `/_control/...`."""
        with self.lock:
            try:
                result = self._control(request, request.segments[1:])
            except (Mistake, ValueError, KeyError, TypeError) as mistake:
                return Answer(400, {"error": str(mistake) or type(mistake).__name__})
            if result is NotImplemented:
                return Answer(404, {"error": f"no control call {request.method} {request.path}"})
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
        return self.control_own(request, path)

    def _control_seed(self, request: Request) -> Any:
        number = int(told(request, "seed")["seed"])
        self.failures.seed(number)
        for lag in self.lags.values():
            lag.seed(number)
        return {}

    def _control_lag(self, request: Request) -> Any:
        rule = told(request, "of", "seconds", "up_to")
        if rule["of"] not in self.lags:
            raise Mistake(f"what may lag here: {', '.join(self.lags)}")
        lag = self.lags[rule["of"]]
        least = float(rule["seconds"])
        lag.set(least, least if rule.get("up_to") is None else float(rule["up_to"]))
        return {"seconds": lag.least, "up_to": lag.most}

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


def told(request: Request, *known: str) -> dict[str, Any]:
    """The object that a control call brings; `known` are its fields, when they are all that is allowed."""
    body = request.json()
    if not isinstance(body, dict):
        raise Mistake("a JSON object is needed")
    if known and (unknown := sorted(set(body) - set(known))):
        raise Mistake(f"unknown fields: {', '.join(unknown)}; known: {', '.join(known)}")
    return body
