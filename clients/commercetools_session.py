"""The SDK's client, with a token that is safe for many threads and long-running processes.

The SDK sends requests without credentials while it refreshes its token, never recovers from a failed refresh, and does
not handle a 401. So the token is managed here, outside the SDK's session, and added to every request by hand.

A token is refreshed ahead of its expiry, by one thread at a time. In the meantime the others use the old one, even
after a failed refresh. Without a usable token they wait for the refresh. If it fails, they raise the same error instead
of each trying again.
"""

import base64
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests
from commercetools.base_client import BaseClient
from commercetools.utils import BaseTokenSaver
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from clients.failures import BACKEND_COMMERCETOOLS as BACKEND
from clients.failures import Failure, error_for, not_json, retry_after, unreachable
from clients.retrying import Timeouts, current_budget
from clients.transport import Connections, NoAnswerError
from core.errors import Refused, SyncError, TryAgain
from core.settings import Settings
from core.version import USER_AGENT
from core.wire import encoded

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_LEEWAY_SECONDS = 300.0
"""Refresh a token this long before it expires."""
_LEEWAY_SHARE = 0.25
"""Or this share of its lifetime, if that is less."""
_MARGIN_SHARE = 0.1
"""Share of the leeway that is the token's `margin`."""
_UNAUTHORIZED = 401

Send = Callable[..., requests.Response]
"""A method of the SDK's session."""
Params = Mapping[str, str] | Sequence[tuple[str, str]]
Body = tuple[str, bytes]
"""Content type and content."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. Times are `time.monotonic`."""

    value: str
    refresh_at: float
    expires_at: float

    @property
    def margin(self) -> float:
        """Seconds to back off after a failed refresh while this token still works.

        It is also the time before expiry in which the token is not used any more, so that it can't expire in flight.
        """
        return (self.expires_at - self.refresh_at) * _MARGIN_SHARE


class _NoTokenSaver(BaseTokenSaver):  # type: ignore[misc] # the SDK is untyped here
    """Stops the SDK's constructor from fetching a token: the first request does that, under the lock."""

    def get_token(self, _client_id: str, _scopes: list[str]) -> dict[str, str]:
        return {"access_token": "none", "token_type": "Bearer"}


class CommercetoolsTransport(BaseAdapter):
    """Adapter for the SDK's session that sends requests over libcurl."""

    def __init__(self) -> None:
        super().__init__()
        self._connections = Connections(compressed=True)

    def send(
        self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **_unused: Any
    ) -> requests.Response:
        """The complete answer, whatever its status. Raises NoAnswerError."""
        body = request.body.encode() if isinstance(request.body, str) else request.body
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        answer = self._connections.exchange(str(request.method), str(request.url), lines, body, timeout)
        response = requests.Response()
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(answer.headers)
        response.url = request.url or ""
        response._content = answer.data  # noqa: SLF001 - requests stores a body here once it is read
        response.request = request
        return response

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


class CommercetoolsSession(BaseClient):  # type: ignore[misc] # the SDK is untyped here
    """Sends requests to commercetools with a valid token."""

    def __init__(self, settings: Settings) -> None:
        credentials = settings.ct_api_client
        self._adapter = CommercetoolsTransport()
        super().__init__(
            client_id=credentials.client_id,
            client_secret=credentials.secret.get_secret_value(),
            scope=settings.scopes,
            url=settings.ct_api_url,
            token_url=settings.ct_auth_url,
            token_saver=_NoTokenSaver(),
            http_adapter=self._adapter,
        )
        self._headers = {"User-Agent": f"{USER_AGENT} {self._get_user_agent()}"}
        self._http_client.trust_env = False  # no proxy and no .netrc: searching for them costs more than the call
        for merged in ("auth", "headers", "params", "proxies", "stream", "verify"):
            setattr(self._http_client, merged, None)  # merging defaults takes half of a request's CPU
        if any(address.startswith("http://") for address in (self._base_url, self._config["token_url"])):
            os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the settings allow http for loopback hosts only
        self._refreshing = threading.Lock()
        self._token: Token | None = None
        self._failure: tuple[float, SyncError] = (float("-inf"), TryAgain("no_failure"))

    def get(self, path: str, timeouts: Timeouts, params: Params = ()) -> requests.Response:
        """The answer to a GET, whatever its status. After a 401 the request is repeated once with a fresh token.

        Raises Unavailable if there is no answer, and another SyncError if no token can be fetched.
        """
        return self._fetch(self._http_client.get, path, timeouts, params)

    def post(self, path: str, timeouts: Timeouts, json: object) -> requests.Response:
        """Like `get`, for a POST of a JSON value."""
        return self._fetch(self._http_client.post, path, timeouts, body=(_JSON, encoded(json)))

    def delete(self, path: str, timeouts: Timeouts, params: Params = ()) -> requests.Response:
        """Like `get`, for a DELETE."""
        return self._fetch(self._http_client.delete, path, timeouts, params)

    def close(self) -> None:
        """Close the connections."""
        self._http_client.close()

    def _fetch(
        self, send: Send, path: str, timeouts: Timeouts, params: Params = (), body: Body | None = None
    ) -> requests.Response:
        query = urlencode(params)
        url = f"{self._base_url}{path}?{query}" if query else self._base_url + path
        token = self._usable_token(timeouts)
        response = self._send(send, url, timeouts, f"Bearer {token.value}", body)
        if response.status_code == _UNAUTHORIZED:
            current_budget().count_repeat(BACKEND)
            token = self._usable_token(timeouts, refused=token)
            response = self._send(send, url, timeouts, f"Bearer {token.value}", body)
        return response

    def _send(
        self, send: Send, url: str, timeouts: Timeouts, authorization: str, body: Body | None = None
    ) -> requests.Response:
        """Send a request with a method of the SDK's session. `withhold_token` keeps the session from adding its own."""
        headers = {**self._headers, "Authorization": authorization}
        content = None
        if body:
            headers["Content-Type"], content = body
        left = current_budget().seconds_left  # fetching a token may have used up time
        try:
            return send(
                url,
                data=content,
                headers=headers,
                withhold_token=True,
                allow_redirects=False,
                timeout=(min(timeouts[0], left), min(timeouts[1], left)),
            )
        except NoAnswerError as error:
            raise unreachable(BACKEND, error.code) from None

    def _usable_token(self, timeouts: Timeouts, refused: Token | None = None) -> Token:
        """A token other than `refused`: the current one, or a new one that one thread fetches for all."""
        asked_at = time.monotonic()
        token = self._token
        usable = token and token is not refused and asked_at < token.expires_at - token.margin
        if token and usable and asked_at < max(token.refresh_at, self._failure[0] + token.margin):
            return token
        # While the old token still works, one thread fetches the next one and the others continue with the old one.
        wait = 0.0 if usable else max(0.0, current_budget().seconds_left)
        if not self._refreshing.acquire(timeout=wait):
            if token and usable:
                return token
            raise TryAgain("commercetools_token", code="busy")
        try:
            if self._token and self._token is not token and self._token is not refused:
                return self._token
            if refused and self._token is refused:
                self._token = None  # so that a retry does not use it again
            failed_at, failure = self._failure
            if failed_at < asked_at:
                try:
                    self._token = self._new_token(timeouts)
                except SyncError as error:
                    # A copy, as a raised error keeps its message's frames in memory, and with them documents.
                    failure = copy(error)
                    self._failure = (time.monotonic(), failure)
                else:
                    return self._token
            # It failed now, or in another thread while this one waited: then do not send a storm of requests.
            if token and usable:
                return token
            raise copy(failure)
        finally:
            self._refreshing.release()

    def _new_token(self, timeouts: Timeouts) -> Token:
        config = self._config
        requested_at = time.monotonic()
        response = self._send(
            self._http_client.post,
            config["token_url"],
            timeouts,
            _basic(config["client_id"], config["client_secret"]),
            (_FORM, urlencode({"grant_type": "client_credentials", "scope": " ".join(config["scope"])}).encode()),
        )
        if not response.ok:
            readable = "json" in response.headers.get("Content-Type", "")
            error = error_for(
                Failure(BACKEND, "token", response.status_code, retry_after(response.headers), readable=readable)
            )
            if isinstance(error, Refused):  # a wrong scope or client: a person will fix it, so keep the messages
                raise TryAgain("commercetools_denied", status=response.status_code)
            raise error
        try:
            answer = response.json()
            value, lifetime = str(answer["access_token"]), float(answer.get("expires_in", 0))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise not_json(BACKEND, response.status_code) from None
        leeway = min(_LEEWAY_SECONDS, lifetime * _LEEWAY_SHARE)
        return Token(value, requested_at + lifetime - leeway, requested_at + lifetime)


def _basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
