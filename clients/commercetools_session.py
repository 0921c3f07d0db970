"""The SDK's client, made safe for many threads and long lives.

The SDK sends requests without credentials while it refreshes its token, never recovers from a failed refresh, and does
nothing about a 401. Here the token is kept beside the SDK's session and put on every request by hand.
"""

import threading
import time
from copy import copy
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from commercetools.base_client import BaseClient
from commercetools.utils import BaseTokenSaver
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from clients.retrying import Timeouts, current_budget
from clients.transport import bound
from clients.verdicts import BACKEND_COMMERCETOOLS as BACKEND
from clients.verdicts import Failure, judged, not_json, retry_after, unreachable
from errors import Refused, SyncError, TryAgain
from settings import Settings

_LEEWAY_SECONDS = 300.0
_LEEWAY_SHARE = 0.25
_PATIENCE_SHARE = 0.1
"""Of the leeway: how long a failed refresh is not repeated while the old token still works, and how long before its
expiry it is not used any more, so that it does not expire on the way."""
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; times are `time.monotonic`."""

    value: str
    refresh_at: float
    expires_at: float

    @property
    def patience(self) -> float:
        """Seconds to go on with this token after a failed refresh, and those that it is left before its expiry."""
        return (self.expires_at - self.refresh_at) * _PATIENCE_SHARE


class _NoTokenSaver(BaseTokenSaver):  # type: ignore[misc] # the SDK is untyped here
    """Keeps the SDK's constructor from asking for a token: the first request does, under the lock."""

    def get_token(self, _client_id: str, _scopes: list[str]) -> dict[str, str]:
        return {"access_token": "none", "token_type": "Bearer"}


class _BoundedAdapter(HTTPAdapter):
    """No retries (`retrying` makes them), and connections that keep to the message's deadline."""

    def __init__(self, pool_size: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=urllib3.Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        bound(self.poolmanager)


class CommercetoolsSession(BaseClient):  # type: ignore[misc] # the SDK is untyped here
    """Requests to commercetools with a token that is always there."""

    def __init__(self, settings: Settings, pool_size: int) -> None:
        credentials = settings.ct_api_client
        super().__init__(
            client_id=credentials.client_id,
            client_secret=credentials.secret.get_secret_value(),
            scope=settings.scopes,
            url=settings.ct_api_url,
            token_url=settings.ct_auth_url,
            token_saver=_NoTokenSaver(),
            http_adapter=_BoundedAdapter(pool_size),
        )
        self._adapter = self._http_client.get_adapter(settings.ct_api_url)
        self._headers = {"User-Agent": self._get_user_agent(), "Accept-Encoding": "gzip, deflate"}
        self._refreshing = threading.Lock()
        self._token: Token | None = None
        self._failure: tuple[float, SyncError] = (float("-inf"), TryAgain("no_failure"))

    def fetch(self, method: str, path: str, timeouts: Timeouts, **request: Any) -> requests.Response:
        """The answer to a request, whatever its status; with a fresh token once when the first one is refused.

        `request` is what `requests` takes: `params`, `json`. Raises Unavailable when there is no answer, and what
        judging says when there is no token.
        """
        token = self._usable_token(timeouts)
        response = self._send(method, self._base_url + path, timeouts, token=token, **request)
        if response.status_code == _UNAUTHORIZED:
            current_budget().admit_repeat(BACKEND)
            token = self._usable_token(timeouts, refused=token)
            response = self._send(method, self._base_url + path, timeouts, token=token, **request)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._http_client.close()

    def _send(
        self, method: str, url: str, timeouts: Timeouts, *, token: Token | None = None, **request: Any
    ) -> requests.Response:
        """Send a request through the SDK's adapter, without what its session would merge into each one anew.

        Redirects are not followed, and the environment's proxies and .netrc, which would replace the token, not read.
        """
        headers = dict(self._headers)
        if token:
            headers["Authorization"] = f"Bearer {token.value}"
        prepared = requests.Request(method, url, headers=headers, **request).prepare()
        try:
            response: requests.Response = self._adapter.send(prepared, timeout=timeouts)
            response.content  # noqa: B018 - reads it, while failures of the connection are judged
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise unreachable(BACKEND, error) from None
        return response

    def _usable_token(self, timeouts: Timeouts, refused: Token | None = None) -> Token:
        """A token that is not `refused`: the one at hand, or a new one, fetched by one thread at a time."""
        asked_at = time.monotonic()
        token = self._token
        usable = token and token is not refused and asked_at < token.expires_at - token.patience
        if token and usable and asked_at < max(token.refresh_at, self._failure[0] + token.patience):
            return token
        # While the old token still works, one thread gets the next one and the others go on.
        wait = 0.0 if usable else max(0.0, current_budget().seconds_left)
        if not self._refreshing.acquire(timeout=wait):
            if token and usable:
                return token
            raise TryAgain("commercetools_token", code="busy")
        try:
            if self._token and self._token is not token and self._token is not refused:
                return self._token
            if refused and self._token is refused:
                self._token = None  # a repetition is not to try it again
            failed_at, failure = self._failure
            if failed_at >= asked_at:  # it failed while this thread waited for it: asking again at once is a storm
                raise copy(failure)
            try:
                self._token = self._new_token(timeouts)
            except SyncError as error:
                # Copies: an error that was raised holds on to its message's frames, and so to documents.
                self._failure = (time.monotonic(), copy(error))
                if token and usable:
                    return token
                raise
            return self._token
        finally:
            self._refreshing.release()

    def _new_token(self, timeouts: Timeouts) -> Token:
        config = self._config
        requested_at = time.monotonic()
        response = self._send(
            "POST",
            config["token_url"],
            timeouts,
            auth=HTTPBasicAuth(config["client_id"], config["client_secret"]),
            data={"grant_type": "client_credentials", "scope": " ".join(config["scope"])},
        )
        if not response.ok:
            readable = "json" in response.headers.get("Content-Type", "")
            error = judged(
                Failure(BACKEND, "token", response.status_code, retry_after(response.headers), readable=readable)
            )
            if isinstance(error, Refused):  # a wrong scope or client: mended by a person, not by dropping messages
                raise TryAgain("commercetools_denied", status=response.status_code)
            raise error
        try:
            answer = response.json()
            value, lifetime = str(answer["access_token"]), float(answer.get("expires_in", 0))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise not_json(BACKEND, response.status_code) from None
        leeway = min(_LEEWAY_SECONDS, lifetime * _LEEWAY_SHARE)
        return Token(value, requested_at + lifetime - leeway, requested_at + lifetime)
