"""Injected failures: which requests they hit, and what is answered instead."""

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
    """An HTML error page, as a proxy in front of a backend sends it."""
    return Answer(status, HTML % (status, status), headers or {}, "text/html")


@dataclass(slots=True, kw_only=True)
class Failure:
    """A failure rule; `Control.fail` documents the fields."""

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
    skipped: int = 0
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.path)

    @classmethod
    def parse(cls, rule: Any) -> "Failure":
        """The rule given as JSON; raises ValueError saying what is wrong with it."""
        if not isinstance(rule, dict):
            raise ValueError("a failure must be a JSON object")  # noqa: TRY004 - callers catch one type
        if unknown := sorted(set(rule) - set(_FIELDS)):
            raise ValueError(f"unknown fields: {', '.join(unknown)}; known: {', '.join(_FIELDS)}")
        if rule.get("reset") not in RESETS:
            raise ValueError('reset must be "sending" or "answering"')
        if rule.get("status") is not None and not isinstance(rule["status"], int):
            raise ValueError("status must be an integer")
        if wrong := [
            name for name in ("skip", "delay", "trickle", "rate") if name in rule and not is_number(rule[name])
        ]:
            raise ValueError(f"not a number: {', '.join(wrong)}")
        body = rule.get("body", "json")
        if body not in ("json", "html", "empty") and not isinstance(body, dict | list):
            raise ValueError('body must be "json", "html", "empty" or the JSON to send')
        try:
            return cls(**rule)
        except (re.error, TypeError) as error:
            raise ValueError(f"path is not a regular expression: {error}") from error

    def as_json(self) -> dict[str, Any]:
        """The rule as it was given, plus its number of hits."""
        return {name: getattr(self, name) for name in (*_FIELDS, "hits")}

    @property
    def replaces_answer(self) -> bool:
        """True if the backend's own answer is not sent."""
        return self.status is not None or self.reset is not None

    def answer(self, real: Answer | None, error_answer: Callable[[int], Answer]) -> Answer:
        """The answer to send. `real` is the backend's own, if it was asked; `error_answer` builds its errors."""
        if self.status is None:
            answer = real or Answer(OK, {})
            return Answer(answer.status, answer.body, {**answer.headers, **self.headers}, answer.content_type)
        if self.body == "html":
            return html(self.status, self.headers)
        if self.body == "empty":
            return Answer(self.status, None, self.headers)
        if self.body != "json":
            return Answer(self.status, self.body, self.headers, JSON_TYPE)
        answer = error_answer(self.status) if self.status >= FIRST_ERROR else Answer(self.status, {})
        return Answer(answer.status, answer.body, {**answer.headers, **self.headers}, answer.content_type)


_FIELDS = (
    "method", "path", "count", "skip", "status", "headers", "body", "reset", "delay", "trickle", "rate", "apply",
    "late",
)  # fmt: skip


class Failures:
    """The active rules in order. The first one that matches a request applies."""

    def __init__(self) -> None:
        self._rules: list[Failure] = []
        self._random = random.Random(0)

    def add(self, failure: Failure) -> None:
        """Append a rule."""
        self._rules.append(failure)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def seed(self, number: int) -> None:
        """Seed the random numbers behind `rate`."""
        self._random.seed(number)

    def as_json(self) -> list[dict[str, Any]]:
        """All rules as JSON."""
        return [rule.as_json() for rule in self._rules]

    def match(self, method: str, path: str) -> Failure | None:
        """The rule that applies to this request, if any; counts the hit."""
        for rule in self._rules:
            if rule.count is not None and rule.hits >= rule.count:
                continue
            if (rule.method and rule.method != method) or not rule.pattern.search(path):
                continue
            if rule.skipped < rule.skip:
                rule.skipped += 1
                continue
            if rule.rate < 1 and self._random.random() >= rule.rate:
                continue
            rule.hits += 1
            return rule
        return None
