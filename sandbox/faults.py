"""Failures that are told to happen: which requests they hit, and what is answered then."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.messages import JSON_TYPE, Answer, is_number

HTML = b"<html>\r\n<head><title>%d</title></head>\r\n<body>\r\n<center><h1>%d</h1></center>\r\n</body>\r\n</html>\r\n"
RESETS = (None, "sending", "answering")
OK = 200
FIRST_ERROR = 400


def html(status: int, headers: dict[str, str] | None = None) -> Answer:
    """What a proxy in front of a backend answers."""
    return Answer(status, HTML % (status, status), headers or {}, "text/html")


@dataclass(slots=True, kw_only=True)
class Failure:
    """One rule; `Control.fail` tells what the fields mean."""

    method: str | None = None
    path: str = ""
    count: int | None = None
    skip: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = "json"
    reset: str | None = None
    delay: float = 0
    trickle: float = 0
    rate: float = 1
    apply: bool = False
    late: bool = False
    hits: int = 0
    passed: int = 0
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.path)

    @classmethod
    def parse(cls, told: Any) -> "Failure":
        """A rule from JSON; raises ValueError that says what is wrong with it."""
        if not isinstance(told, dict):
            raise ValueError("a failure is a JSON object")  # noqa: TRY004 - every mistake of the caller is one kind
        if unknown := sorted(set(told) - set(_FIELDS)):
            raise ValueError(f"unknown fields: {', '.join(unknown)}; known: {', '.join(_FIELDS)}")
        if told.get("reset") not in RESETS:
            raise ValueError('reset is "sending" or "answering"')
        if told.get("status") is not None and not isinstance(told["status"], int):
            raise ValueError("status is a number")
        if wrong := [
            name for name in ("skip", "delay", "trickle", "rate") if name in told and not is_number(told[name])
        ]:
            raise ValueError(f"no number: {', '.join(wrong)}")
        body = told.get("body", "json")
        if body not in ("json", "html", "empty") and not isinstance(body, dict | list):
            raise ValueError('body is "json", "html", "empty" or the JSON to send')
        try:
            return cls(**told)
        except (re.error, TypeError) as error:
            raise ValueError(f"path is no regular expression: {error}") from error

    def as_json(self) -> dict[str, Any]:
        """The rule as it was told, and how often it hit."""
        return {name: getattr(self, name) for name in (*_FIELDS, "hits")}

    @property
    def replaces(self) -> bool:
        """Whether the backend's own answer is not the one that is sent."""
        return self.status is not None or self.reset is not None

    def answer(self, real: Answer | None, refusal: Callable[[int], Answer]) -> Answer:
        """What to send; `real` is the backend's answer where it was asked, `refusal` its own error for a status."""
        if self.status is None:
            answer = real or Answer(OK, {})
            return Answer(answer.status, answer.body, {**answer.headers, **self.headers}, answer.content_type)
        if self.body == "html":
            return html(self.status, self.headers)
        if self.body == "empty":
            return Answer(self.status, None, self.headers)
        if self.body != "json":
            return Answer(self.status, self.body, self.headers, JSON_TYPE)
        answer = refusal(self.status) if self.status >= FIRST_ERROR else Answer(self.status, {})
        return Answer(answer.status, answer.body, {**answer.headers, **self.headers}, answer.content_type)


_FIELDS = (
    "method", "path", "count", "skip", "status", "headers", "body", "reset", "delay", "trickle", "rate", "apply",
    "late",
)  # fmt: skip


class Failures:
    """The rules in force, in order; the first that matches a request decides."""

    def __init__(self) -> None:
        self._rules: list[Failure] = []
        self._random = random.Random(0)

    def add(self, failure: Failure) -> None:
        """Put a rule behind those that exist."""
        self._rules.append(failure)

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def seed(self, number: int) -> None:
        """Start the randomness of `rate` anew."""
        self._random.seed(number)

    def as_json(self) -> list[dict[str, Any]]:
        """All rules."""
        return [rule.as_json() for rule in self._rules]

    def hit(self, method: str, path: str) -> Failure | None:
        """The rule that this request meets, counted."""
        for rule in self._rules:
            if rule.count is not None and rule.hits >= rule.count:
                continue
            if (rule.method and rule.method != method) or not rule.pattern.search(path):
                continue
            if rule.passed < rule.skip:
                rule.passed += 1
                continue
            if rule.rate < 1 and self._random.random() >= rule.rate:
                continue
            rule.hits += 1
            return rule
        return None
