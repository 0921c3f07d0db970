"""The JSON behind a message, on demand: each call, and commercetools' documents beside the requests to Klaviyo."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlencode

from commands.page.delivery import Call, Delivery
from commands.page.provenance import Comparison, Line


@dataclass(frozen=True, slots=True)
class Document:
    """JSON of commercetools: the message, or what was read."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class CallView:
    """A call with its JSON: what was sent, or of a read what came back. `answer`: what a refusal said."""

    call: Call
    path: str
    origins: tuple[int, ...]
    lines: Sequence[Line]
    answer: str
    marked: int


@dataclass(frozen=True, slots=True)
class Sides:
    """The documents, and the requests of the last attempt that carried something."""

    documents: Sequence[Document]
    requests: Sequence[CallView]


def call_view(delivery: Delivery, attempt: int, number: int) -> CallView | None:
    """A call by its numbers, from 0; None when there is none."""
    return _views(_key(delivery)).calls.get((attempt, number))


def sides(delivery: Delivery) -> Sides:
    """Both sides of a delivery, as far as it got."""
    views = _views(_key(delivery))
    last = len(delivery.attempts) - 1
    requests = [view for (attempt, _), view in views.calls.items() if attempt == last and _is_write(view)]
    return Sides(views.documents, requests)


def _is_write(view: CallView) -> bool:
    return view.call.backend == "Klaviyo" and view.call.record["method"] != "GET"


@dataclass(frozen=True, slots=True)
class _Key:
    """A delivery's JSON changes only when it gets another attempt."""

    delivery: Delivery
    attempts: int

    def __hash__(self) -> int:
        return hash((id(self.delivery), self.attempts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.delivery is self.delivery and other.attempts == self.attempts


@dataclass(frozen=True, slots=True)
class _Views:
    documents: Sequence[Document]
    calls: Mapping[tuple[int, int], CallView]


def _key(delivery: Delivery) -> _Key:
    return _Key(delivery, len(delivery.attempts))


@lru_cache(maxsize=16)
def _views(key: _Key) -> _Views:
    delivery, attempts = key.delivery, key.delivery.attempts[: key.attempts]
    reads = {read.path: read.answer for attempt in attempts for read in attempt.reads}
    comparison = Comparison([_message(delivery.message.data), *reads.values()])
    calls = {
        (turn, number): _view(call, comparison)
        for turn, attempt in enumerate(attempts)
        for number, call in enumerate(attempt.calls)
    }
    documents = [
        Document(name, comparison.document(index))
        for index, name in enumerate(["The message", *(f"Read: {path}" for path in reads)])
    ]
    answers = dict(zip(reads, documents[1:], strict=True))
    for place, view in calls.items():
        if view.call.backend == "commercetools" and (answer := answers.get(view.call.record["path"])):
            calls[place] = CallView(view.call, view.path, (), answer.lines, view.answer, 0)
    return _Views(documents, calls)


def _message(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def _view(call: Call, comparison: Comparison) -> CallView:
    record = call.record
    path = unquote(record["path"])
    lines = comparison.body(record["body"]) if record["body"] else []
    answer = json.dumps(record["answer"], indent=2, ensure_ascii=False) if record["answer"] else ""
    query = "?" + unquote(urlencode(record["query"], doseq=True)) if record["query"] else ""
    marked = sum(bool(line.origins) for line in lines)
    return CallView(call, path + query, comparison.path(path), lines, answer, marked)
