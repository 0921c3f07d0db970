"""Call Klaviyo through the SDK's own operations, with plain dicts, and turn failures into SyncErrors.

The SDK's groups build the request and its models validate it. Operations are called in their
`…_without_preload_content` form, which neither parses answers into models (that could fail after a write that
succeeded) nor raises for a status. The SDK's own retries are off: a `Retry-After` of 600 would block a thread for ten
minutes.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import parse_qs, urlsplit

from clients.failures import BACKEND_KLAVIYO as BACKEND
from clients.failures import THROTTLED, Failure, error_for, not_json, retry_after, unreachable
from clients.klaviyo_quotas import KlaviyoQuotas
from clients.pauses import Operation
from clients.retrying import Timeouts, WaitingRoom, call
from clients.transport import Answer, Connections, NoAnswerError
from core.errors import Refused, Unmappable
from core.settings import Settings
from core.version import USER_AGENT
from core.wire import decoded
from mappers.mapped import JsonObject

if TYPE_CHECKING:
    from klaviyo_api import KlaviyoAPI
    from pydantic import TypeAdapter, ValidationError

_RAW = "_without_preload_content"
_EMPTY_ANSWERS = frozenset({202, 204})
_SUCCESS = range(200, 300)
_NOT_FOUND = 404
_PAGE = 100
"""Largest page size that Klaviyo allows for these lists."""


@dataclass(frozen=True, slots=True)
class Page:
    """The results of one page of a list, and the cursor of the next page, empty after the last."""

    results: Sequence[JsonObject]
    cursor: str


class KlaviyoCalls:
    """The SDK's client. Safe to share between threads; each group of operations is imported when first used.

    `waiting` limits how many messages may wait at a time, here for their quota.
    """

    def __init__(self, settings: Settings, waiting: WaitingRoom | None = None) -> None:
        self._settings = settings
        self._quotas = KlaviyoQuotas(settings.klaviyo_limit_share, waiting or WaitingRoom(settings.threads))
        self._lock = threading.Lock()
        self._api: KlaviyoAPI | None = None
        self._groups: dict[str, Any] = {}
        self._options = RequestOptions()

    def send(self, group: str, operation: str, *arguments: Any, **options: Any) -> JsonObject:
        """Call an operation by the SDK's name and return its answer, `{}` if the answer has no body.

        `send("Profiles", "create_or_update_profile", body)` is the SDK's `Profiles.create_or_update_profile(body)`.
        Raises Unmappable if the SDK's own validation refuses an argument, and the SyncError of any failed call.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - cold start: settings have imported it already

        method = getattr(self._group(group), operation + _RAW)
        throttled_as = _operation(operation)

        def attempt(timeouts: Timeouts) -> JsonObject:
            reads_headers = self._options.all_headers = self._quotas.should_read_headers(throttled_as)
            try:
                answer: Answer = method(*arguments, **options, _request_timeout=timeouts)
            except NoAnswerError as error:
                raise unreachable(BACKEND, error.code) from None
            except ValidationError as error:
                raise _unmappable(error, arguments=1) from None
            if reads_headers and answer.status != THROTTLED:
                self._quotas.learn(throttled_as, answer.headers)
            return _document(operation, answer)

        return call(throttled_as, self._quotas, attempt)

    def require_valid(self, group: str, operation: str, body: JsonObject) -> None:
        """Raise Unmappable if the SDK's own validation would refuse this body. Nothing is sent."""
        from pydantic import ValidationError  # noqa: PLC0415 - as above

        try:
            _validator(getattr(self._group(group), operation + _RAW).raw_function).validate_python(body)
        except ValidationError as error:
            raise _unmappable(error) from None

    @property
    def throttled_calls(self) -> int:
        """Calls that were answered 429."""
        return self._quotas.throttled_calls

    def find(self, group: str, operation: str, *arguments: Any, **options: Any) -> JsonObject | None:
        """Like `send`, but None for a 404: what should be read, changed or deleted does not exist."""
        try:
            return self.send(group, operation, *arguments, **options)
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return None

    def pages(
        self, group: str, operation: str, *arguments: Any, sized: bool = True, **options: Any
    ) -> Iterator[JsonObject]:
        """All results of a list, page by page. `sized=False` is for lists that accept no page size."""
        options |= {"page_size": _PAGE} if sized else {}
        while True:
            page = self.page(group, operation, *arguments, **options)
            yield from page.results
            if not page.cursor:
                return
            options["page_cursor"] = page.cursor

    def page(self, group: str, operation: str, *arguments: Any, **options: Any) -> Page:
        """One page of a list."""
        answer = self.send(group, operation, *arguments, **options)
        following = (answer.get("links") or {}).get("next")
        cursor = parse_qs(urlsplit(following).query)["page[cursor]"][0] if following else ""
        return Page(answer["data"], cursor)

    def is_ready(self, group: str) -> bool:
        """True if this group of the SDK is imported."""
        return group in self._groups

    def prepare(self, group: str) -> None:
        """Import the SDK's client and one of its groups."""
        self._group(group)

    def close(self) -> None:
        """Close the connections."""
        if self._api:
            self._api.api_client.rest_client.close()

    def _group(self, name: str) -> Any:
        group = self._groups.get(name)
        if group is None:
            with self._lock:
                if name not in self._groups:
                    from clients.deferred_models import deferred_models  # noqa: PLC0415 - cold start

                    with deferred_models():
                        self._api = self._api or self._new_api()
                        # Cached, as the SDK creates a new group, and with it a reference cycle, at each access.
                        self._groups[name] = getattr(self._api, name)
                group = self._groups[name]
        return group

    def _new_api(self) -> "KlaviyoAPI":
        from klaviyo_api import KlaviyoAPI  # noqa: PLC0415 - cold start
        from openapi_client.api_client import ApiClient  # noqa: PLC0415
        from pydantic import BaseModel  # noqa: PLC0415

        class JsonClient(ApiClient):  # type: ignore[misc] # the SDK is not followed by mypy
            """The SDK's client, which converts models value by value. Here pydantic writes the JSON in one go."""

            def sanitize_for_serialization(self, obj: Any) -> Any:
                if isinstance(obj, BaseModel):
                    return obj.model_dump_json(by_alias=True, exclude_unset=True)
                return super().sanitize_for_serialization(obj)

        api = KlaviyoAPI(
            self._settings.klaviyo_auth_key.get_secret_value(),
            max_retries=0,
            test_host=self._settings.klaviyo_api_url or "",
        )
        client = JsonClient(api.configuration)
        client.default_headers = api.api_client.default_headers
        client.user_agent = f"{USER_AGENT} {client.user_agent}"
        client.rest_client = self._new_transport()
        api.api_client = client
        return api

    def _new_transport(self) -> Any:
        """The transport of the SDK's requests. A preview overrides this."""
        return KlaviyoTransport(self._options)


@cache
def _validator(function: Any) -> "TypeAdapter[Any]":
    """The validator of an operation's first argument, which is its body."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - cold start: settings have imported it already

    return TypeAdapter(next(iter(get_type_hints(function).values())))


def _unmappable(error: "ValidationError", arguments: int = 0) -> Unmappable:
    """The SDK's first complaint. The first `arguments` parts of its location name an argument, not a field."""
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return Unmappable(problem["type"], ".".join(str(part) for part in problem["loc"][arguments:]))


@cache
def _operation(operation: str) -> Operation:
    return Operation(BACKEND, operation)


class RequestOptions(threading.local):
    """Options of this thread's next request that the SDK can't pass on to the transport."""

    all_headers = False
    """True to read all headers of the answer."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer in the form that the SDK expects of its transport."""

    response: Answer


class KlaviyoTransport:
    """Sends the SDK's requests over libcurl, in place of the SDK's own `rest_client`."""

    def __init__(self, options: RequestOptions) -> None:
        self._connections = Connections(compressed=False)
        self._options = options

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        post_params: object = None,
        _request_timeout: Timeouts | None = None,
    ) -> RawAnswer:
        """The answer, whatever its status. Raises NoAnswerError.

        The signature is the SDK's. `_request_timeout` is passed through: seconds to connect, and for the whole call.
        """
        if _request_timeout is None or post_params:
            raise ValueError("a call without a timeout, or with form data")
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        content = None if body is None else body.encode()
        return RawAnswer(
            self._connections.exchange(
                method, url, lines, content, _request_timeout, all_headers=self._options.all_headers
            )
        )

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
    raise error_for(_failure(operation, answer, readable))


def _failure(operation: str, answer: Answer, errors: list[JsonObject]) -> Failure:
    """The failure that JSON:API errors describe, without their prose. The SDK's own error model lacks `meta`."""
    # Prefer an error about the phone number, wherever it is in the list, as that has a rule of its own.
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
