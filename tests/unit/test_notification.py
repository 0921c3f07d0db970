"""What arrives is unwrapped layer by layer, and what can't be is named."""

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
def test_an_envelope_is_opened(push: Any, expected: Envelope) -> None:
    """Pub/Sub's push, with and without what is optional, from an HTTP body and from a CloudEvent alike."""
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
def test_an_envelope_that_is_none_keeps_the_body(body: bytes, problem: str) -> None:
    """The whole body is what there is of the message, and the problem is named."""
    envelope = from_push(body)
    assert (envelope.data, envelope.problem) == (body, problem)


@pytest.mark.parametrize(
    ("encoded", "kept"),
    [("not base64!", b"not base64!"), ("YQ", b"YQ"), ("YWJj*", b"YWJj*"), ("é", "é".encode()), ("\ud800", b"?")],
)
def test_data_that_is_not_base64_is_kept_as_it_is(encoded: str, kept: bytes) -> None:
    """A dead letter holds what the publisher sent."""
    envelope = from_push(json.dumps({"message": {"data": encoded, "messageId": "m1"}}).encode())
    assert (envelope.data, envelope.problem, envelope.message_id) == (kept, "not_base64", "m1")


def test_data_that_is_no_text_keeps_the_body() -> None:
    """Data of another type can't be told apart from the envelope."""
    body = b'{"message": {"data": 7}}'
    assert from_push(body) == Envelope(body, problem="not_base64")


@pytest.mark.parametrize(
    ("data", "problem"), [(None, "not_an_object"), ("text", "not_an_object"), (7, "not_an_object")]
)
def test_a_cloud_event_may_hold_anything(data: object, problem: str) -> None:
    """What functions-framework hands over need not be a push."""
    assert from_event(data).problem == problem


def test_a_bare_delivery_is_told_by_its_shape() -> None:
    """Where bare deliveries are accepted, an envelope is still one."""
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
def test_the_type_of_a_delivery(changes: Any, key: str) -> None:
    """A message by its type, also where the payload was too large; a change by its kind."""
    assert _parsed(**changes).key == key


def test_a_delivery_in_cloud_events_format() -> None:
    """Commercetools puts the notification into `data`."""
    event = {"specversion": "1.0", "type": "com.commercetools.order.message.OrderCreated", "data": PAYLOAD}
    assert parse(Envelope(json.dumps(event).encode())) == parse(Envelope(DATA))


def test_an_event_notification_has_no_resource() -> None:
    """Notifications of commercetools' own doings are let through, for the pipeline to ignore."""
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
def test_what_is_no_delivery(data: bytes, reason: str) -> None:
    """It can never succeed, and the reason is a fixed word."""
    with pytest.raises(DeadLetter) as raised:
        parse(Envelope(data))
    assert raised.value.reason == reason


def test_a_problem_of_the_envelope_comes_first() -> None:
    """An envelope that could not be opened is not read."""
    with pytest.raises(DeadLetter, match="not_base64"):
        parse(Envelope(DATA, problem="not_base64"))


@pytest.mark.parametrize("good", ["a", "0d000000-0000-4000-8000-000000000001", "A_b-9", "x" * 256])
def test_ids_that_are_ids(good: str) -> None:
    """Letters, digits, dash and underscore, up to 256 of them."""
    _parsed(resource={"typeId": "order", "id": good}).require_resource_in("shop")


@pytest.mark.parametrize("bad", ["a b", "a/b", "..", 'a"', "a\n", "ü", "x" * 257, "a%2F"])
def test_ids_that_are_none(bad: str) -> None:
    """They would stand in URLs and predicates."""
    with pytest.raises(DeadLetter, match="bad_resource_id"):
        _parsed(resource={"typeId": "order", "id": bad}).require_resource_in("shop")


@pytest.mark.parametrize("project", ["other", "", None, 7, "SHOP"])
def test_another_projects_delivery(project: Any) -> None:
    """A notification has to name this project exactly."""
    with pytest.raises(DeadLetter, match="other_project"):
        _parsed(projectKey=project).require_resource_in("shop")


@pytest.mark.parametrize(
    ("payload", "identifiers"),
    [({}, {}), ({"resourceUserProvidedIdentifiers": {"sku": "A"}}, {"sku": "A"}),
     ({"resourceUserProvidedIdentifiers": "A"}, {})],
)  # fmt: skip
def test_identifiers_where_there_are_any(payload: Any, identifiers: Any) -> None:
    """Key, sku and the like, as commercetools sent them."""
    assert _parsed(**payload).identifiers == identifiers


def test_a_delivery_does_not_show_its_payload() -> None:
    """Whoever prints one shows nothing personal."""
    assert "OrderCreated" in repr(_parsed())
    assert "createdAt" not in repr(_parsed())
