"""Decoding: an envelope and the notification in it. If one can't be decoded, the problem is named."""

import base64
import json
from typing import Any

import pytest

from core.errors import DeadLetter
from core.notification import Envelope, Notification, Resource, from_event, from_push, parse

PAYLOAD = {
    "notificationType": "Message",
    "projectKey": "shop",
    "resource": {"typeId": "order", "id": "order-1"},
    "type": "OrderCreated",
    "createdAt": "2026-05-01T10:00:00.000Z",
}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


DATA = json.dumps(PAYLOAD).encode()
MESSAGE = {"data": _encoded(DATA), "messageId": "m1"}


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        ({"message": MESSAGE, "subscription": "s"}, Envelope(DATA, "m1")),
        ({"message": MESSAGE, "deliveryAttempt": 4}, Envelope(DATA, "m1", 4)),
        ({"message": MESSAGE, "deliveryAttempt": "4"}, Envelope(DATA, "m1")),
        ({"message": {"data": MESSAGE["data"]}}, Envelope(DATA)),
        ({"message": {"data": MESSAGE["data"], "message_id": "m2"}}, Envelope(DATA, "m2")),
        ({"message": {"data": MESSAGE["data"], "messageId": 7}}, Envelope(DATA, "7")),
        ({"message": {"data": "", "messageId": "m1"}}, Envelope(b"", "m1")),
    ],
)
def test_an_envelope_is_decoded(push: Any, expected: Envelope) -> None:
    """A Pub/Sub push is decoded from an HTTP body and from a CloudEvent, with or without its optional fields."""
    body = json.dumps(push).encode()
    assert from_push(body) == expected
    assert from_event(push) == expected
    assert from_event(body) == expected


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_message"),
        (b'{"message": "text"}', "no_message"),
        (b'{"message": {}}', "no_data"),
        (b'{"message": {"data": null}}', "no_data"),
    ],
)
def test_an_unreadable_envelope_keeps_the_body(body: bytes, problem: str) -> None:
    """The whole body becomes the message's data, and the problem is named."""
    envelope = from_push(body)
    assert (envelope.data, envelope.problem) == (body, problem)


@pytest.mark.parametrize(
    ("encoded", "kept"),
    [("not base64!", b"not base64!"), ("YQ", b"YQ"), ("YWJj*", b"YWJj*"), ("é", "é".encode()), ("\ud800", b"?")],
)
def test_data_that_is_not_base64_is_kept_as_it_is(encoded: str, kept: bytes) -> None:
    """The dead letter then contains what the publisher sent."""
    envelope = from_push(json.dumps({"message": {"data": encoded, "messageId": "m1"}}).encode())
    assert (envelope.data, envelope.problem, envelope.message_id) == (kept, "not_base64", "m1")


def test_data_that_is_not_a_string_keeps_the_body() -> None:
    """Data of another JSON type can't be separated from the envelope."""
    body = b'{"message": {"data": 7}}'
    assert from_push(body) == Envelope(body, problem="not_base64")


@pytest.mark.parametrize(
    ("data", "problem"), [(None, "not_an_object"), ("text", "not_an_object"), (7, "not_an_object")]
)
def test_a_cloud_event_may_contain_anything(data: object, problem: str) -> None:
    """The data that functions-framework passes on may not be a push at all."""
    assert from_event(data).problem == problem


def test_a_bare_notification_is_recognized_by_its_shape() -> None:
    """If bare notifications are accepted, envelopes are still decoded as such."""
    assert from_push(DATA, accepts_bare=True) == Envelope(DATA)
    assert from_push(DATA).problem == "no_message"
    push = json.dumps({"message": MESSAGE}).encode()
    assert from_push(push, accepts_bare=True) == Envelope(DATA, "m1")
    assert from_push(b'{"message": 7}', accepts_bare=True).problem == "no_message"


def _parsed(**changes: Any) -> Notification:
    payload = {name: value for name, value in (PAYLOAD | changes).items() if value is not None}
    return parse(Envelope(json.dumps(payload).encode()))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "order/OrderCreated"),
        ({"type": None, "payloadNotIncluded": {"payloadType": "OrderImported"}}, "order/OrderImported"),
        ({"payloadNotIncluded": {"payloadType": "OrderImported"}}, "order/OrderImported"),
        ({"notificationType": "ResourceUpdated", "type": None}, "order/ResourceUpdated"),
        ({"notificationType": "ResourceDeleted"}, "order/ResourceDeleted"),
        ({"notificationType": "Unheard"}, "order/OrderCreated"),
        ({"notificationType": None}, "order/OrderCreated"),
    ],
)
def test_the_type_of_a_notification(changes: Any, key: str) -> None:
    """A message has its own type, also if its payload was too large to include. A change has its notification type."""
    assert _parsed(**changes).key == key


def test_a_notification_in_cloud_events_format() -> None:
    """The notification is in `data`."""
    event = {"specversion": "1.0", "type": "com.commercetools.order.message.OrderCreated", "data": PAYLOAD}
    assert parse(Envelope(json.dumps(event).encode())) == parse(Envelope(DATA))


def test_an_event_notification_has_no_resource() -> None:
    """It is about commercetools itself. It is decoded, and the pipeline ignores it."""
    notification = parse(Envelope(b'{"notificationType": "Event", "data": {}}'))
    assert (notification.type, notification.resource) == ("Event", Resource("", ""))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"),
        (b"text", "not_json"),
        (b'{"a": ' * 100_000, "not_json"),
        (b"[1]", "not_an_object"),
        (b'{"specversion": "1.0", "data": "text"}', "not_an_object"),
        (b"{}", "no_resource"),
        (b'{"resource": "order-1"}', "no_resource"),
        (b'{"resource": {"typeId": "order"}}', "no_resource"),
        (b'{"resource": {"typeId": "", "id": "x"}}', "no_resource"),
        (b'{"resource": {"typeId": "order", "id": ""}}', "no_resource"),
        (b'{"resource": {"typeId": "order", "id": 7}}', "no_resource"),
        (b'{"resource": {"typeId": "order", "id": "x"}}', "no_type"),
        (b'{"resource": {"typeId": "order", "id": "x"}, "type": 7}', "no_type"),
        (b'{"resource": {"typeId": "order", "id": "x"}, "payloadNotIncluded": {}}', "no_type"),
    ],
)
def test_anything_else_is_a_dead_letter(data: bytes, reason: str) -> None:
    """It can never succeed. The reason is one of a fixed set."""
    with pytest.raises(DeadLetter) as raised:
        parse(Envelope(data))
    assert raised.value.reason == reason


def test_a_problem_of_the_envelope_comes_first() -> None:
    """The data of an undecodable envelope is not parsed."""
    with pytest.raises(DeadLetter, match="not_base64"):
        parse(Envelope(DATA, problem="not_base64"))


@pytest.mark.parametrize("resource_id", ["a", "0d000000-0000-4000-8000-000000000001", "A_b-9", "x" * 256])
def test_valid_ids(resource_id: str) -> None:
    """An id has up to 256 letters, digits, hyphens and underscores."""
    _parsed(resource={"typeId": "order", "id": resource_id}).require_resource_in("shop")


@pytest.mark.parametrize("resource_id", ["a b", "a/b", "..", 'a"', "a\n", "ü", "x" * 257, "a%2F"])
def test_invalid_ids_are_dead_letters(resource_id: str) -> None:
    """They would end up in URLs and predicates."""
    with pytest.raises(DeadLetter, match="bad_resource_id"):
        _parsed(resource={"typeId": "order", "id": resource_id}).require_resource_in("shop")


@pytest.mark.parametrize("project", ["other", "", None, 7, "SHOP"])
def test_a_notification_of_another_project_is_a_dead_letter(project: Any) -> None:
    """A notification must name this project exactly."""
    with pytest.raises(DeadLetter, match="other_project"):
        _parsed(projectKey=project).require_resource_in("shop")


@pytest.mark.parametrize(
    ("payload", "identifiers"),
    [({}, {}), ({"resourceUserProvidedIdentifiers": {"sku": "A"}}, {"sku": "A"}),
     ({"resourceUserProvidedIdentifiers": "A"}, {})],
)  # fmt: skip
def test_identifiers_are_optional(payload: Any, identifiers: Any) -> None:
    """Key, SKU and others, as commercetools sent them."""
    assert _parsed(**payload).identifiers == identifiers


def test_the_repr_of_a_notification_has_no_payload() -> None:
    """So a printed notification shows no personal data."""
    assert "OrderCreated" in repr(_parsed())
    assert "createdAt" not in repr(_parsed())
