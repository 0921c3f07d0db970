"""The JSON behind a message, built on demand: single calls, and commercetools side by side with Klaviyo."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from commands.page.delivery import Call, Delivery
from commands.page.provenance import Line, Provenance
from commands.page.reads import path_with_query, readable


@dataclass(frozen=True, slots=True)
class Document:
    """JSON from commercetools: the message, or a response to a read."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class CallView:
    """A call with its JSON: the request body, or for a read the response. `error` is the response to a failed call.

    `origins` are those of the id in the path, `marked` is the number of marked lines.
    """

    call: Call
    path: str
    origins: tuple[int, ...]
    lines: Sequence[Line]
    error: str
    marked: int


@dataclass(frozen=True, slots=True)
class SideBySide:
    """commercetools' documents, and the requests of the last attempt that wrote to Klaviyo."""

    documents: Sequence[Document]
    requests: Sequence[CallView]


def call_view(delivery: Delivery, attempt: int, number: int) -> CallView | None:
    """A call by the indexes of its attempt and of itself, both from 0; None if there is no such call."""
    return _views(_cache_key(delivery)).calls.get((attempt, number))


def side_by_side(delivery: Delivery) -> SideBySide:
    """Both sides of a delivery, as far as it got."""
    views = _views(_cache_key(delivery))
    last = len(delivery.attempts) - 1
    requests = [view for (attempt, _), view in views.calls.items() if attempt == last and _is_write(view)]
    return SideBySide(views.documents, requests)


def _is_write(view: CallView) -> bool:
    return view.call.backend == "Klaviyo" and view.call.record["method"] != "GET"


@dataclass(frozen=True, slots=True)
class _CacheKey:
    """The cache key of a delivery's JSON, which only changes with another attempt."""

    delivery: Delivery
    attempts: int

    def __hash__(self) -> int:
        return hash((id(self.delivery), self.attempts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CacheKey) and other.delivery is self.delivery and other.attempts == self.attempts


@dataclass(frozen=True, slots=True)
class _Views:
    documents: Sequence[Document]
    calls: Mapping[tuple[int, int], CallView]


def _cache_key(delivery: Delivery) -> _CacheKey:
    return _CacheKey(delivery, len(delivery.attempts))


@lru_cache(maxsize=16)
def _views(key: _CacheKey) -> _Views:
    delivery, attempts = key.delivery, key.delivery.attempts[: key.attempts]
    reads = {read.path: read.response for attempt in attempts for read in attempt.reads}
    provenance = Provenance([_message(delivery.message.data), *reads.values()])
    calls = {
        (turn, number): _view(call, provenance)
        for turn, attempt in enumerate(attempts)
        for number, call in enumerate(attempt.calls)
    }
    documents = [
        Document(name, provenance.document(index))
        for index, name in enumerate(["The message", *(f"Read: {readable(path)}" for path in reads)])
    ]
    responses = dict(zip(reads, documents[1:], strict=True))
    for place, view in calls.items():
        if view.call.backend == "commercetools" and (response := responses.get(path_with_query(view.call.record))):
            calls[place] = CallView(view.call, view.path, (), response.lines, view.error, 0)
    return _Views(documents, calls)


def _message(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def _view(call: Call, provenance: Provenance) -> CallView:
    record = call.record
    lines = provenance.body(record["body"]) if record["body"] else []
    error = json.dumps(record["answer"], indent=2, ensure_ascii=False) if record["answer"] else ""
    marked = sum(bool(line.origins) for line in lines)
    origins = provenance.path(unquote(record["path"]))
    return CallView(call, readable(path_with_query(record)), origins, lines, error, marked)
