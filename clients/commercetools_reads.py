"""Read commercetools through the SDK's own client, as plain JSON, and turn failures into SyncErrors.

The SDK's models are never used: they take 30 to 190 times the CPU of `json.loads`, and refuse values that are valid
today. A document that does not exist is None. Every other failure raises a SyncError.
"""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from clients.failures import BACKEND_COMMERCETOOLS as BACKEND
from clients.failures import Failure, error_for, not_json, retry_after
from clients.pauses import Operation, Pauses
from clients.predicates import literal
from clients.retrying import call
from core.errors import Refused
from core.settings import Settings
from core.wire import decoded
from mappers.mapped import JsonObject

if TYPE_CHECKING:
    import requests

    from clients.commercetools_session import CommercetoolsSession

_OK = 200
_NOT_FOUND = 404
_NOT_FOUND_CODE = "ResourceNotFound"
"""Error code of commercetools' own 404. Any other 404 may come from a proxy, and must not look like a deletion."""
_PAGE = 500

Params = list[tuple[str, str]]


class CommercetoolsReads:
    """Reads documents and pages of any collection. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pauses = Pauses()
        self._lock = threading.Lock()
        self._session: CommercetoolsSession | None = None

    def prepare(self) -> None:
        """Import the SDK now if it is not yet imported, so that a later call does not spend its time on that."""
        self._shared_session()

    def close(self) -> None:
        """Close the connections."""
        if self._session:
            self._session.close()

    @property
    def throttled_calls(self) -> int:
        """Calls that were answered 429."""
        return self._pauses.throttled_calls

    def probe(self, collection: str) -> JsonObject | None:
        """Any document of a collection, None if it is empty. Raises what any read of the collection would raise."""
        current = [("staged", "false")] if collection == "product-projections" else []
        found: list[JsonObject] = self._query(collection, [("limit", "1"), *current])
        return found[0] if found else None

    def with_key(self, collection: str, key: str) -> JsonObject | None:
        """The document with this key."""
        return self._fetch(f"{collection}.get", f"/{collection}/key={quote(key, safe='')}", [])

    def project(self) -> JsonObject | None:
        """The project's settings."""
        return self._fetch("project.get", "", [])

    def _get(self, collection: str, resource_id: str, params: Params | None = None) -> Any:
        document = self._fetch(f"{collection}.get", f"/{collection}/{quote(resource_id, safe='')}", params or [])
        if document is not None and "id" not in document:
            raise not_json(BACKEND, _OK)
        return document

    def page(self, collection: str, params: Params) -> JsonObject:
        """One page of a collection, in the form of commercetools' answer."""
        page = self._fetch(f"{collection}.query", f"/{collection}", params)
        if page is None:
            raise Refused(BACKEND, f"{collection}.query", status=_NOT_FOUND)
        if not isinstance(page.get("results"), list):
            raise not_json(BACKEND, _OK)
        return page

    def _query(self, collection: str, params: Params) -> list[Any]:
        results: list[Any] = self.page(collection, [*params, ("withTotal", "false")])["results"]
        return results

    def _pages(self, collection: str, where: str, params: Params | None = None, size: int = _PAGE) -> Iterator[Any]:
        """All results, paged by id. An offset would skip documents if others are deleted between two pages."""
        paging: Params = [("where", where), ("sort", "id asc"), ("limit", str(size)), *(params or [])]
        after: Params = []
        while True:
            page = self._query(collection, paging + after)
            yield from page
            if len(page) < size:
                return
            after = [("where", f"id > {literal(page[-1]['id'])}")]

    def _fetch(self, name: str, path: str, params: Params) -> JsonObject | None:
        session = self._shared_session()
        operation = Operation(BACKEND, name)
        path = f"/{self._settings.ct_project_id}{path}"
        return call(
            operation,
            self._pauses,
            lambda timeouts: _document(operation, session.get(path, timeouts, params)),
        )

    def _shared_session(self) -> "CommercetoolsSession":
        if self._session is None:
            with self._lock:
                if self._session is None:
                    from clients.commercetools_session import CommercetoolsSession  # noqa: PLC0415 - cold start

                    self._session = CommercetoolsSession(self._settings)
        return self._session


def _document(operation: Operation, response: "requests.Response") -> JsonObject | None:
    try:
        body = decoded(response.content)
    except (ValueError, RecursionError):
        body = None
    if response.status_code == _OK:
        if not isinstance(body, dict):
            raise not_json(BACKEND, response.status_code)
        return body
    errors = body.get("errors") if isinstance(body, dict) else None
    code = str(errors[0].get("code", "")) if isinstance(errors, list) and errors and isinstance(errors[0], dict) else ""
    if response.status_code == _NOT_FOUND and code == _NOT_FOUND_CODE:
        return None
    raise error_for(
        Failure(
            BACKEND,
            operation.name,
            response.status_code,
            retry_after(response.headers),
            readable=bool(code),
            code=code,
        )
    )
