"""What the middle of the page shows of a delivery: commercetools' JSON beside the requests to Klaviyo."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlencode

from commands.page.marking import Comparison, Line
from commands.page.subscription import Attempt, Delivery

_FIRST_NOT_OK = 300
_OPEN = 3
"""Requests whose bodies are shown without being asked for."""


@dataclass(frozen=True, slots=True)
class Document:
    """JSON of commercetools: the message, or what was read."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to Klaviyo; `answer` is only there when it was refused."""

    method: str
    path: str
    origins: tuple[int, ...]
    operation: str
    status: int
    is_refused: bool
    lines: Sequence[Line]
    answer: str
    marked: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt and its requests."""

    attempt: Attempt
    number: int
    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as the page shows it."""

    delivery: Delivery
    documents: Sequence[Document]
    attempts: Sequence[AttemptView]


def view(delivery: Delivery) -> DeliveryView:
    """The comparison of a delivery, as far as it got."""
    return _view(_Key(delivery, len(delivery.attempts)))


@dataclass(frozen=True, slots=True)
class _Key:
    """A delivery changes only when it gets another attempt."""

    delivery: Delivery
    attempts: int

    def __hash__(self) -> int:
        return hash((id(self.delivery), self.attempts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.delivery is self.delivery and other.attempts == self.attempts


@lru_cache(maxsize=16)
def _view(key: _Key) -> DeliveryView:
    delivery, attempts = key.delivery, key.delivery.attempts[: key.attempts]
    reads = {read.path: read.answer for attempt in attempts for read in attempt.reads}
    comparison = Comparison([json.loads(delivery.sample.data), *reads.values()])
    shown = [AttemptView(attempt, number, _requests(attempt, comparison)) for number, attempt in enumerate(attempts, 1)]
    names = ["The message", *(f"Read: {path}" for path in reads)]
    documents = [Document(name, comparison.document(index)) for index, name in enumerate(names)]
    return DeliveryView(delivery, documents, shown)


def _requests(attempt: Attempt, comparison: Comparison) -> list[Request]:
    shown: list[Request] = []
    opened = 0
    for entry in attempt.requests:
        path = unquote(entry["path"])
        lines = comparison.body(entry["body"]) if entry["body"] else []
        is_refused = not 0 < entry["status"] < _FIRST_NOT_OK
        is_open = bool(lines) and opened < _OPEN
        opened += is_open
        shown.append(
            Request(
                entry["method"],
                path + _query(entry["query"]),
                comparison.path(path),
                entry["operation"],
                entry["status"],
                is_refused,
                lines,
                json.dumps(entry["answer"], indent=2, ensure_ascii=False) if entry["answer"] else "",
                sum(bool(line.origins) for line in lines),
                is_open,
            )
        )
    return shown


def _query(query: Any) -> str:
    return "?" + unquote(urlencode(query, doseq=True)) if query else ""
