"""One call to Klaviyo through the SDK's client, as plain dicts, with its failures judged.

The SDK's client gives host, headers and credentials, its models validate, and its `call_api` sends. Nothing of it
retries (a `Retry-After` of 600 would block a thread for ten minutes), parses answers into models (which fail after a
write that succeeded), or raises for a status.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from clients.klaviyo_operations import OPERATIONS
from clients.klaviyo_quotas import KlaviyoQuotas
from clients.retrying import THROTTLED, Operation, Timeouts, call
from clients.transport import Answer, Connections, NoAnswerError
from clients.verdicts import BACKEND_KLAVIYO as BACKEND
from clients.verdicts import Failure, judged, not_json, retry_after, unreachable
from core.heap import lasting
from core.settings import Settings
from core.wire import decoded, encoded
from mappers.mapped import JsonObject

if TYPE_CHECKING:
    from openapi_client.api_client import ApiClient

_JSON_API = "application/vnd.api+json"
_CREDENTIALS = ["Klaviyo-API-Key"]
_CALLED = {name: Operation(BACKEND, name) for name in OPERATIONS}
_EMPTY_ANSWERS = frozenset({202, 204})
_SUCCESS = range(200, 300)


class KlaviyoCalls:
    """The SDK's client, shared by all threads; it is imported when first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._quotas = KlaviyoQuotas(settings.klaviyo_limit_share)
        self._lock = threading.Lock()
        self._client: ApiClient | None = None
        self._headers: dict[str, str] = {}
        self._body_headers: dict[str, str] = {}

    def send(
        self,
        name: str,
        own_id: str = "",
        body: JsonObject | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
    ) -> JsonObject:
        """The answer of an operation, by the SDK's name of it; `{}` where Klaviyo answers with nothing.

        Raises Unmappable when the SDK's own validation refuses the body, else what judging says.
        """
        client = self._shared_client()
        operation, called = OPERATIONS[name], _CALLED[name]
        url = client.configuration.host + operation.path.replace("{id}", quote(own_id, safe=""))
        if query:
            url = f"{url}?{client.parameters_to_url_query(query, None)}"
        content, headers = (None, self._headers) if body is None else (operation.body(body), self._body_headers)

        def attempt(timeouts: Timeouts) -> JsonObject:
            terms = (*timeouts, self._quotas.wants_news(called))
            try:
                answer: Answer = client.call_api(operation.method, url, headers, content, _request_timeout=terms)
            except NoAnswerError as error:
                raise unreachable(BACKEND, error.code) from None
            if terms[2] and answer.status != THROTTLED:
                self._quotas.learn(called, answer.headers)
            return _document(name, answer)

        return call(called, self._quotas, attempt)

    def prepare(self) -> None:
        """Import the SDK's client, if that has not been done."""
        self._shared_client()

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.rest_client.close()

    def _shared_client(self) -> "ApiClient":
        if self._client is None:
            with self._lock:
                if self._client is None:
                    with lasting():
                        self._client = self._new_client()
        return self._client

    def _new_client(self) -> "ApiClient":
        from klaviyo_api import KlaviyoAPI  # noqa: PLC0415 - cold start

        api = KlaviyoAPI(
            self._settings.klaviyo_auth_key.get_secret_value(),
            max_retries=0,
            test_host=self._settings.klaviyo_api_url or "",
        )
        client: ApiClient = api.api_client
        client.rest_client = KlaviyoTransport()
        # The revision, the SDK's name and the key: the same for every request.
        _, _, self._headers, _, _ = client.param_serialize(
            "GET", "", header_params={"Accept": _JSON_API}, auth_settings=_CREDENTIALS
        )
        self._body_headers = {**self._headers, "Content-Type": _JSON_API}
        return client


class KlaviyoTransport:
    """Sends what the SDK has made of a call, in the place of the SDK's own `rest_client`."""

    def __init__(self) -> None:
        self._connections = Connections(compressed=False)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        post_params: object = None,
        _request_timeout: tuple[float, float, bool] | None = None,
    ) -> Answer:
        """The answer, whatever its status. Raises NoAnswerError.

        The signature is the SDK's, which hands `_request_timeout` through: seconds to connect and for the whole call,
        and whether all headers of the answer are wanted.
        """
        if _request_timeout is None or post_params:
            raise ValueError("a call without a time limit, or of a form")
        connect, whole, all_headers = _request_timeout
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        content = None if body is None else encoded(body)
        return self._connections.exchange(method, url, lines, content, (connect, whole), all_headers=all_headers)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _document(operation: str, answer: Answer) -> JsonObject:
    try:
        document = decoded(answer.data) if answer.data else None
    except (ValueError, RecursionError):
        document = None
    if answer.status in _SUCCESS:
        if not answer.data and answer.status in _EMPTY_ANSWERS:
            return {}
        if not isinstance(document, dict):
            raise not_json(BACKEND, answer.status)
        return document
    errors = document.get("errors") if isinstance(document, dict) else None
    readable = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    raise judged(_failure(operation, answer, readable))


def _failure(operation: str, answer: Answer, errors: list[JsonObject]) -> Failure:
    """What JSON:API errors say, without their prose; `meta` is missing in the SDK's own model of them."""
    # An invalid phone number has a rule of its own, wherever it stands in the list.
    error = next((error for error in errors if _pointer(error).endswith("phone_number")), errors[0] if errors else {})
    meta = error.get("meta") or {}
    return Failure(
        BACKEND,
        operation,
        answer.status,
        retry_after(answer.headers),
        readable=bool(errors),
        code=str(error.get("code") or ""),
        pointer=_pointer(error),
        details={key: str(value) for key, value in meta.items() if key == "duplicate_profile_id"},
    )


def _pointer(error: JsonObject) -> str:
    source = error.get("source") or {}
    return str(source.get("pointer") or source.get("parameter") or "")
