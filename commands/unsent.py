"""Klaviyo as it is, but for the writes: they are kept instead of being sent, and answered as Klaviyo would."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from clients.klaviyo_calls import KlaviyoCalls, KlaviyoTransport, RawAnswer
from clients.transport import Answer
from core.settings import Settings
from core.wire import decoded, encoded

_CATALOG = ("/api/catalog-items", "/api/catalog-variants", "/api/catalog-categories")
_COLLECTIONS = {"catalog-item": _CATALOG[0], "catalog-variant": _CATALOG[1], "catalog-category": _CATALOG[2]}
_ACCEPTED = ("/api/events", "/api/data-privacy-deletion-jobs")


@dataclass(frozen=True, slots=True)
class Write:
    """A request that would change Klaviyo; `current` is what the resource's attributes are now, None if it is new."""

    method: str
    path: str
    body: dict[str, Any] | None
    current: dict[str, Any] | None = None


class UnsentCalls(KlaviyoCalls):
    """The SDK's client with real reads. `writes` holds what would have been sent, in order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.transport: _Unsent | None = None

    @property
    def writes(self) -> list[Write]:
        """What would have been sent since the start, or since `forget`."""
        return list(self.transport.writes) if self.transport else []

    def forget(self) -> None:
        """Start anew, with Klaviyo as it is."""
        if self.transport:
            self.transport.writes.clear()
            self.transport.pretended.clear()

    def _new_transport(self) -> Any:
        self.transport = _Unsent(super()._new_transport())
        return self.transport


@dataclass(slots=True)
class _Unsent:
    """Stands in for the SDK's transport."""

    real: KlaviyoTransport
    writes: list[Write] = field(default_factory=list)
    pretended: dict[str, bool] = field(default_factory=dict)
    """Catalog resources that exist, or do not any more, by what would have been written."""
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
        """What the SDK calls; its signature is the SDK's."""
        if method.upper() == "GET":
            return self.real.request(method, url, headers, body, post_params, _request_timeout)
        written = None if body is None else decoded(body)
        with self._lock:
            status, answer = self._answer(method.upper(), url, headers, written, _request_timeout)
        return RawAnswer(Answer(status, {}, b"" if answer is None else encoded(answer)))

    def close(self) -> None:
        """Close the connections of the reads."""
        self.real.close()

    def _answer(
        self, method: str, url: str, headers: Any, body: dict[str, Any] | None, timeout: Any
    ) -> tuple[int, dict[str, Any] | None]:
        parts = urlsplit(url)
        base, path = f"{parts.scheme}://{parts.netloc}", parts.path

        def there(raw_path: str) -> dict[str, Any] | None:
            """The resource as Klaviyo has it, or as it would be by now."""
            if raw_path in self.pretended:
                return {} if self.pretended[raw_path] else None
            found = self.real.request("GET", base + raw_path, headers, _request_timeout=timeout).response
            return decoded(found.data)["data"]["attributes"] if found.status == HTTPStatus.OK else None

        missing = next((raw for raw in _related(body) if there(raw) is None), None)
        target = _own_path(path, body)
        current = there(target) if target else None
        self.writes.append(Write(method, unquote(path), body, current))
        if missing:
            return _refused(HTTPStatus.NOT_FOUND, "not_found", f"/data/relationships/{_relation(missing)}")
        if path in _ACCEPTED:
            return HTTPStatus.ACCEPTED, None
        if not target:
            return HTTPStatus.OK, {"data": {"id": "preview", **(body or {})["data"]}}
        if method == "POST" and current is not None:
            return _refused(HTTPStatus.CONFLICT, "conflict", "/data/attributes/external_id")
        if method != "POST" and current is None:
            return _refused(HTTPStatus.NOT_FOUND, "not_found", "")
        self.pretended[target] = method != "DELETE"
        return (HTTPStatus.NO_CONTENT, None) if method == "DELETE" else (HTTPStatus.OK, body)


def _own_path(path: str, body: dict[str, Any] | None) -> str:
    """Path of the catalog resource that a request is about; empty for others."""
    if not path.startswith(_CATALOG):
        return ""
    if path not in _CATALOG:
        return path
    return _path(path, "$custom:::$default:::" + str((body or {})["data"]["attributes"]["external_id"]))


def _related(body: dict[str, Any] | None) -> list[str]:
    """Paths of the catalog resources that a body refers to, which must be there."""
    relationships = ((body or {}).get("data") or {}).get("relationships") or {}
    references: list[dict[str, str]] = []
    for relationship in relationships.values():
        data = relationship["data"]
        references += data if isinstance(data, list) else [data]
    return [_path(_COLLECTIONS[one["type"]], one["id"]) for one in references]


def _path(collection: str, compound_id: str) -> str:
    return f"{collection}/{quote(compound_id, safe='')}"


def _relation(raw_path: str) -> str:
    return "item/data/id" if raw_path.startswith(_CATALOG[0]) else "categories/data"


def _refused(status: int, code: str, pointer: str) -> tuple[int, dict[str, Any]]:
    return status, {
        "errors": [{"id": "preview", "code": code, "title": "", "detail": "", "source": {"pointer": pointer}}]
    }
