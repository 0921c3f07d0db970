"""A plain HTTP client for the stand-ins, with the headers that the SDKs would send."""

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from sandbox.klaviyo_errors import JSON_API

TIMEOUT = 30
SECRET = "secret"

Query = Mapping[str, str | int | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Response:
    """A response. `body` is parsed JSON, or bytes if it is not JSON, or None if it is empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Calls:
    """A keep-alive connection to one server; `headers` are sent with every call."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self.headers = dict(headers or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Response:
        """Send a request. A body that is not bytes is sent as JSON; a header of None is left out."""
        sent = {**self.headers, **(headers or {})}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        address = f"{path}?{urlencode(query, doseq=True)}" if query else path
        try:
            self._connection.request(
                method, address, content, {name: value for name, value in sent.items() if value is not None}
            )
            response = self._connection.getresponse()
            text = response.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise
        try:
            answer: Any = json.loads(text) if text else None
        except ValueError:
            answer = text
        return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, answer)


def klaviyo(url: str, key: str = "key") -> Calls:
    """A client that sends a private key, the revision and the JSON:API media type."""
    return Calls(
        url,
        {
            "Authorization": f"Klaviyo-API-Key {key}",
            "revision": "2026-10-15",
            "Accept": JSON_API,
            "Content-Type": JSON_API,
        },
    )


def request_token(calls: Calls, *, scope: str = "manage_project:shop", secret: str = SECRET) -> Response:
    """Request an access token with Basic authentication."""
    client = base64.b64encode(f"client:{secret}".encode()).decode()
    form = urlencode({"grant_type": "client_credentials", "scope": scope}).encode()
    headers = {"Authorization": f"Basic {client}", "Content-Type": "application/x-www-form-urlencoded"}
    return calls("POST", "/oauth/token", form, headers=headers)


def commercetools(url: str) -> Calls:
    """A client with a new access token."""
    calls = Calls(url)
    calls.headers["Authorization"] = f"Bearer {request_token(calls).body['access_token']}"
    return calls
