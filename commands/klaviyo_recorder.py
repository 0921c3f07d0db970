"""A Klaviyo client that reads for real, and records and answers writes instead of sending them."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from clients.klaviyo_calls import KlaviyoCalls, KlaviyoTransport, RawAnswer
from clients.transport import Answer
from core.settings import Settings
from core.wire import decoded, encoded
from mappers.ids import external_id, item_id

_CATALOG = ("/api/catalog-items", "/api/catalog-variants", "/api/catalog-categories")
_COLLECTIONS = {"catalog-item": _CATALOG[0], "catalog-variant": _CATALOG[1], "catalog-category": _CATALOG[2]}
_UPSERT = "/api/profile-import"
_NEW = "preview"
"""Id of a profile that an upsert would create."""
_PROFILES = "/api/profiles/"
_ACCEPTED = (
    "/api/events",
    "/api/data-privacy-deletion-jobs",
    "/api/profile-subscription-bulk-create-jobs",
    "/api/profile-subscription-bulk-delete-jobs",
)


@dataclass(frozen=True, slots=True)
class Write:
    """A request that would change Klaviyo.

    `current` holds the resource's attributes in Klaviyo, with the ids of an item's `categories`; None for a new
    resource and for an event, which can't be looked up. `target` is the path of the catalog resource it changes.
    `status` is Klaviyo's answer, and `refused_because` says in words why Klaviyo would refuse.
    """

    method: str
    path: str
    body: dict[str, Any] | None
    current: dict[str, Any] | None = None
    target: str = ""
    status: int = HTTPStatus.OK
    refused_because: str = ""

    @property
    def is_refused(self) -> bool:
        """True if Klaviyo would refuse it."""
        return bool(self.refused_because)


class RecordingKlaviyo(KlaviyoCalls):
    """A client whose reads are real and whose writes are recorded in `writes`, in order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.transport: _RecordingTransport | None = None

    @property
    def writes(self) -> list[Write]:
        """The writes recorded since the start or the last `forget`."""
        return list(self.transport.writes) if self.transport else []

    def forget(self) -> None:
        """Discard the recorded writes and their simulated effects."""
        if self.transport:
            self.transport.writes.clear()
            self.transport.simulated.clear()

    def _new_transport(self) -> Any:
        self.transport = _RecordingTransport(super()._new_transport())
        return self.transport


class _UnreadableError(Exception):
    """Klaviyo refuses a read, so what a write would change is unknown."""

    def __init__(self, answer: RawAnswer) -> None:
        super().__init__(answer.response.status)
        self.answer = answer


@dataclass(slots=True)
class _RecordingTransport:
    """Stands in for the SDK's transport: passes reads on, records writes and answers them."""

    real: KlaviyoTransport
    writes: list[Write] = field(default_factory=list)
    simulated: dict[str, bool] = field(default_factory=dict)
    """Paths of catalog resources: True if a recorded write created or updated it, False if one deleted it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        post_params: object = None,
        _request_timeout: Any = None,
    ) -> RawAnswer:
        """Called by the SDK, which dictates the signature."""
        if method.upper() == "GET":
            return self.real.request(method, url, headers, body, post_params, _request_timeout)
        written = None if body is None else decoded(body)
        try:
            with self._lock:
                status, answer = self._answer(method.upper(), url, headers, written, _request_timeout)
        except _UnreadableError as error:
            return error.answer  # as if Klaviyo had refused the write for the same reason
        return RawAnswer(Answer(status, {}, b"" if answer is None else encoded(answer)))

    def close(self) -> None:
        """Close the connections."""
        self.real.close()

    def _answer(
        self, method: str, url: str, headers: Any, body: dict[str, Any] | None, timeout: Any
    ) -> tuple[int, dict[str, Any] | None]:
        parts = urlsplit(url)
        base, path = f"{parts.scheme}://{parts.netloc}", parts.path

        def read(raw_path: str) -> Any:
            """The data of Klaviyo's answer; None if the resource does not exist. Raises _UnreadableError."""
            found = self.real.request("GET", base + raw_path, headers, _request_timeout=timeout)
            if found.response.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                raise _UnreadableError(found)
            return decoded(found.response.data)["data"] if found.response.status == HTTPStatus.OK else None

        def attributes_of(raw_path: str) -> dict[str, Any] | None:
            """Attributes of a catalog resource; empty if a recorded write created it, None if it does not exist."""
            if raw_path in self.simulated:
                return {} if self.simulated[raw_path] else None
            data = read(raw_path)
            return None if data is None else dict(data["attributes"])

        missing = next((raw for raw in _related(body) if attributes_of(raw) is None), None)
        target = _own_path(path, body)
        current = attributes_of(target) if target else None
        if path == _UPSERT:
            known = _profile(read, (body or {})["data"]["attributes"], f"&{parts.query}" if parts.query else "")
            current = known and dict(known["attributes"])
            self.writes.append(Write(method, unquote(path), body, current))
            return HTTPStatus.OK, {"data": _upserted(known, (body or {})["data"]["attributes"])}
        if path.startswith(_PROFILES):
            current = (read(path) or {}).get("attributes") if not path.endswith(_NEW) else {}
        elif current and "categories" in _relationships(body):
            ids = read(f"{target}/relationships/categories") or []
            current["categories"] = sorted(external_id(one["id"]) for one in ids)
        status, why, answer = self._verdict(method, path, target, body, missing, exists=current is not None)
        self.writes.append(Write(method, unquote(path), body, current, target, status, why))
        return status, answer

    def _verdict(
        self, method: str, path: str, target: str, body: dict[str, Any] | None, missing: str | None, *, exists: bool
    ) -> tuple[int, str, dict[str, Any] | None]:
        """Status of Klaviyo's answer to a write, why it refuses in words, and the answer's body."""
        if missing:
            relation = _relation(missing)
            why = "its item did not exist" if relation.startswith("item/") else "a category did not exist"
            return HTTPStatus.NOT_FOUND, why, _refusal("not_found", f"/data/relationships/{relation}")
        if path in _ACCEPTED:
            return HTTPStatus.ACCEPTED, "", None
        if not target:
            return HTTPStatus.OK, "", {"data": {"id": _NEW, **(body or {})["data"]}}
        if method == "POST" and exists:
            return HTTPStatus.CONFLICT, "already existed", _refusal("conflict", "/data/attributes/external_id")
        if method != "POST" and not exists:
            return HTTPStatus.NOT_FOUND, "did not exist", _refusal("not_found", "")
        self.simulated[target] = method != "DELETE"
        return (HTTPStatus.NO_CONTENT, "", None) if method == "DELETE" else (HTTPStatus.OK, "", body)


def _profile(read: Callable[[str], Any], attributes: Mapping[str, Any], more: str) -> dict[str, Any] | None:
    """The profile that an upsert would update; None if it would create one.

    Klaviyo matches the strongest identifier first. `more` is appended to the query, for additional fields.
    """
    for name in ("external_id", "email", "phone_number"):
        if attributes.get(name):
            condition = f"equals({name},{json.dumps(attributes[name])})"
            for found in read(f"/api/profiles?filter={quote(condition)}{more}") or ():
                return dict(found)
    return None


def _upserted(known: Mapping[str, Any] | None, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo's answer to an upsert. A new profile has no subscriptions yet."""
    before: Mapping[str, Any] = known["attributes"] if known else {"subscriptions": {}}
    properties = {**(before.get("properties") or {}), **(attributes.get("properties") or {})}
    now = {"created": datetime.now(UTC).isoformat(), **before, **attributes, "properties": properties}
    return {"type": "profile", "id": known["id"] if known else _NEW, "attributes": now}


def _own_path(path: str, body: dict[str, Any] | None) -> str:
    """Path of the catalog resource that a request changes; empty for other requests."""
    if not path.startswith(_CATALOG):
        return ""
    if path not in _CATALOG:
        return path
    return _path(path, item_id(str((body or {})["data"]["attributes"]["external_id"])))


def _related(body: dict[str, Any] | None) -> list[str]:
    """Paths of the catalog resources that a body refers to. They must exist."""
    references: list[dict[str, str]] = []
    for relationship in _relationships(body).values():
        data = relationship["data"]
        references += data if isinstance(data, list) else [data]
    return [_path(_COLLECTIONS[one["type"]], one["id"]) for one in references]


def _relationships(body: dict[str, Any] | None) -> dict[str, Any]:
    return ((body or {}).get("data") or {}).get("relationships") or {}


def _path(collection: str, compound_id: str) -> str:
    return f"{collection}/{quote(compound_id, safe='')}"


def _relation(raw_path: str) -> str:
    return "item/data/id" if raw_path.startswith(_CATALOG[0]) else "categories/data"


def _refusal(code: str, pointer: str) -> dict[str, Any]:
    return {"errors": [{"id": "preview", "code": code, "title": "", "detail": "", "source": {"pointer": pointer}}]}
