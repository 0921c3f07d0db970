"""Decode what arrives: a CloudEvent or a push request, Pub/Sub's envelope in it, and commercetools' notification."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.errors import DeadLetter, Ignored
from core.times import parsed_time
from core.wire import decoded, encoded

OUTCOME_HEADER = "X-Sync-Outcome"
"""Response header with the outcome of a message, for people who send one by hand."""

_RESOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")

CHANGES = frozenset({"ResourceCreated", "ResourceUpdated", "ResourceDeleted"})
"""`notificationType`s of change notifications, which have no message type."""

_KNOWN = CHANGES | {"Message", "Event"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One Pub/Sub message.

    `data` is what the publisher sent. If that can't be read, `problem` says why, and `data` is the body of the request,
    or the text that is not base64. `attempt` is the number of this delivery, None if Pub/Sub does not count them.
    """

    data: bytes
    message_id: str = ""
    attempt: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A commercetools reference."""

    type_id: str
    id: str

    def __str__(self) -> str:
        return f"{self.type_id}/{self.id}" if self.type_id else ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a commercetools Subscription sends.

    `type` is the message type, or the `notificationType` of a change. `attempt` is the number of this delivery, None
    if Pub/Sub does not count them.
    """

    resource: Resource
    type: str
    project_key: str
    payload: Mapping[str, Any] = field(repr=False)
    attempt: int | None = None

    @property
    def id(self) -> str:
        """The message's own id, the same at every delivery. Empty for changes."""
        return str(self.payload.get("id") or "")

    @property
    def created_at(self) -> str:
        """When the message was created, as commercetools wrote it. Empty for changes."""
        return str(self.payload.get("createdAt") or "")

    @property
    def key(self) -> str:
        """Its `resource/type`, as sync.toml names messages; the type alone if there is no resource."""
        return f"{self.resource.type_id}/{self.type}" if self.resource.type_id else self.type

    @property
    def version(self) -> int | None:
        """Version of the resource after the change; None if the payload has none, as in a backfill.

        Source: commercetools API. In a Message it is `resourceVersion` (its own `version` is always 1), in a change
        `version`.
        """
        version = self.payload.get("version" if self.type in CHANGES else "resourceVersion")
        return version if isinstance(version, int) else None

    @property
    def occurred_at(self) -> datetime | None:
        """When the message was created or the change happened; None if the payload does not say, or is unreadable."""
        return parsed_time(self.payload.get("createdAt") or self.payload.get("modifiedAt"))

    @property
    def age(self) -> float:
        """Seconds since `occurred_at`; infinite if that is unknown."""
        return (datetime.now(UTC) - self.occurred_at).total_seconds() if self.occurred_at else float("inf")

    @property
    def is_redelivered(self) -> bool:
        """True if an earlier delivery is known to have failed."""
        return self.attempt is not None and self.attempt > 1

    @property
    def identifiers(self) -> Mapping[str, Any]:
        """`resourceUserProvidedIdentifiers`, such as key, SKU or order number; empty if commercetools sent none."""
        identifiers = self.payload.get("resourceUserProvidedIdentifiers")
        return identifiers if isinstance(identifiers, dict) else {}

    def require_resource_in(self, project_key: str) -> None:
        """Raise DeadLetter if the notification is from another project, or if its resource id is malformed."""
        if not _RESOURCE_ID.fullmatch(self.resource.id):
            raise DeadLetter("bad_resource_id")
        if self.project_key != project_key:
            raise DeadLetter("other_project")


def from_push(body: bytes, *, accepts_bare: bool = False) -> Envelope:
    """The envelope in a Pub/Sub push request. `accepts_bare` also accepts a notification without an envelope."""
    try:
        push = decoded(body)
    except (ValueError, RecursionError):
        return Envelope(body, problem="not_json")
    return _from_push(push, body, accepts_bare=accepts_bare)


def from_event(data: object, *, accepts_bare: bool = False) -> Envelope:
    """The envelope in a CloudEvent's data, which functions-framework may pass as any type."""
    if isinstance(data, bytes):
        return from_push(data, accepts_bare=accepts_bare)
    try:
        body = b"" if data is None else encoded(data)
    except (TypeError, ValueError, RecursionError):
        body = b""
    return _from_push(data, body, accepts_bare=accepts_bare)


def _from_push(push: object, body: bytes, *, accepts_bare: bool) -> Envelope:
    if not isinstance(push, dict):
        return Envelope(body, problem="not_an_object")
    message = push.get("message")
    if not isinstance(message, dict):
        if accepts_bare and "message" not in push:
            return Envelope(body)
        return Envelope(body, problem="no_message")
    attempt = push.get("deliveryAttempt")
    message_id = str(message.get("messageId") or message.get("message_id") or "")
    delivery_attempt = attempt if isinstance(attempt, int) else None
    text = message.get("data")
    if text is None:
        return Envelope(body, message_id, delivery_attempt, problem="no_data")
    try:
        return Envelope(base64.b64decode(text, validate=True), message_id, delivery_attempt)
    except (binascii.Error, TypeError, ValueError):
        data = text.encode("utf-8", "replace") if isinstance(text, str) else body
        return Envelope(data, message_id, delivery_attempt, problem="not_base64")


def parse(envelope: Envelope) -> Notification:
    """The commercetools notification in an envelope, in Platform or CloudEvents format.

    An `Event` notification has no resource, so its `resource` is empty. Raises DeadLetter for anything that is not a
    notification, and Ignored for an unknown `notificationType` without a message type.
    Source: commercetools API, Subscription Delivery payloads.
    """
    if envelope.problem:
        raise DeadLetter(envelope.problem)
    try:
        payload = decoded(envelope.data)
    except (ValueError, RecursionError) as error:
        raise DeadLetter("not_json", code=type(error).__name__) from None
    if isinstance(payload, dict) and "specversion" in payload and "data" in payload:
        payload = payload["data"]
    if not isinstance(payload, dict):
        raise DeadLetter("not_an_object")
    kind = payload.get("notificationType")
    if isinstance(kind, str) and kind not in _KNOWN and not _message_type(payload):
        raise Ignored("unknown_notification")
    project_key = payload.get("projectKey")
    if kind == "Event":
        return Notification(Resource("", ""), "Event", "", payload)
    return Notification(
        _resource(payload),
        _type(payload, kind),
        project_key if isinstance(project_key, str) else "",
        payload,
        envelope.attempt,
    )


def _resource(payload: Mapping[str, Any]) -> Resource:
    match payload.get("resource"):
        case {"typeId": str(type_id), "id": str(resource_id)} if type_id and resource_id:
            return Resource(type_id, resource_id)
    raise DeadLetter("no_resource")


def _type(payload: Mapping[str, Any], kind: object) -> str:
    """The kind of change, or the message type, given even if the payload is too large to include."""
    if isinstance(kind, str) and kind in CHANGES:
        return kind
    name = _message_type(payload)
    if not name:
        raise DeadLetter("no_type")
    return name


def _message_type(payload: Mapping[str, Any]) -> str:
    match payload:
        case {"payloadNotIncluded": {"payloadType": str(name)}} if name:
            return name
        case {"type": str(name)}:
            return name
    return ""
