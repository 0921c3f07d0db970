"""One call to Klaviyo through the SDK, as plain dicts, with its failures judged.

`*_without_preload_content` hands over the raw answer: the SDK neither retries it (a `Retry-After` of 600 would block a
thread for ten minutes), nor parses it into models (which fail after a write that succeeded), nor raises.
"""

import threading
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from clients.klaviyo_quotas import KlaviyoQuotas
from clients.retrying import THROTTLED, Operation, Timeouts, call
from clients.transport import Answer, Connections, NoAnswerError
from clients.verdicts import BACKEND_KLAVIYO as BACKEND
from clients.verdicts import Failure, judged, not_json, retry_after, unreachable
from errors import Unmappable
from heap import lasting
from mappers.mapped import JsonObject
from settings import Settings
from wire import decoded, encoded

if TYPE_CHECKING:
    from klaviyo_api import KlaviyoAPI

_FREE_FORM = frozenset({"properties", "custom_metadata"})
_EMPTY_ANSWERS = frozenset({202, 204})
_SUCCESS = range(200, 300)


class KlaviyoCalls:
    """The SDK's client, shared by all threads; a group of operations is imported when first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._quotas = KlaviyoQuotas(settings.klaviyo_limit_share)
        self._lock = threading.Lock()
        self._api: KlaviyoAPI | None = None
        self._groups: dict[str, Any] = {}

    def send(self, group: str, operation: str, *args: Any, **query: Any) -> JsonObject:
        """The answer of an operation of the SDK, `{}` where Klaviyo answers with nothing.

        Raises Unmappable when the SDK's own validation refuses the body, else what judging says.
        """
        method = getattr(self._group(group), f"{operation}_without_preload_content")
        called = Operation(BACKEND, operation)

        def attempt(timeouts: Timeouts) -> JsonObject:
            answer = _answer(method, args, query, timeouts)
            if answer.status != THROTTLED:
                self._quotas.learn(called, answer.headers)
            return _document(operation, answer)

        return call(called, self._quotas, attempt)

    def prepare(self, group: str) -> None:
        """Import a group of the SDK, if that has not been done."""
        self._group(group)

    def close(self) -> None:
        """Close the connections."""
        if self._api:
            self._api.api_client.rest_client.close()

    def _group(self, name: str) -> Any:
        """`k.Events` and the like: each access builds it anew, so it is fetched once."""
        if name not in self._groups:
            with self._lock, lasting():
                if name not in self._groups:
                    self._groups[name] = getattr(self._shared_api(), name)
        return self._groups[name]

    def _shared_api(self) -> "KlaviyoAPI":
        if self._api is None:
            from klaviyo_api import KlaviyoAPI  # noqa: PLC0415 - cold start

            api = KlaviyoAPI(
                self._settings.klaviyo_auth_key.get_secret_value(),
                max_retries=0,
                test_host=self._settings.klaviyo_api_url or "",
            )
            api.api_client.rest_client = KlaviyoTransport()
            _trust_json(api.api_client)
            self._api = api
        return self._api


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
        _request_timeout: Timeouts | None = None,
    ) -> Answer:
        """The answer, whatever its status; the signature is the SDK's. Raises NoAnswerError."""
        if _request_timeout is None or post_params:
            raise ValueError("a call without a time limit, or of a form")
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        content = None if body is None else encoded(body)
        return self._connections.exchange(method, url, lines, content, _request_timeout)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _trust_json(api_client: Any) -> None:
    """Keep the SDK from walking three times, value by value, through what the mappers made JSON already."""
    whole_walk = api_client.sanitize_for_serialization

    def sanitized(value: Any) -> Any:
        return _plain(value) if hasattr(value, "model_fields_set") else whole_walk(value)

    api_client.sanitize_for_serialization = sanitized


def _plain(value: Any) -> Any:
    """JSON of a validated model: what was set and the defaults, as the SDK sends it; free-form objects as they are."""
    if hasattr(value, "model_fields_set"):
        plain = {}
        for name, field in type(value).model_fields.items():
            child = getattr(value, name)
            if child is not None or name in value.model_fields_set:
                alias = field.alias or name
                plain[alias] = child if alias in _FREE_FORM else _plain(child)
        return plain
    if isinstance(value, list):
        return [_plain(child) for child in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def _answer(method: Any, args: tuple[Any, ...], query: JsonObject, timeouts: Timeouts) -> Answer:
    """Klaviyo's answer, whatever its status. Raises Unmappable for a body that the SDK refuses, else Unavailable."""
    from openapi_client.exceptions import OpenApiException  # noqa: PLC0415 - cold start: the SDK has it by now
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        answer: Answer = method(*args, _request_timeout=timeouts, **query)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise Unmappable(problem["type"], ".".join(str(part) for part in problem["loc"])) from None
    except NoAnswerError as error:
        raise unreachable(BACKEND, error.code) from None
    except OpenApiException as error:
        raise unreachable(BACKEND, type(error).__name__) from None
    return answer


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
