"""Poison messages: what can't be a delivery is dead-lettered unchanged and acknowledged, and blocks no other."""

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from commands.processes import Sandbox, running_function
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import (
    PROJECT,
    category,
    change,
    customer,
    entry,
    line_item,
    message,
    order,
    payment,
    product,
    transaction,
    variant,
)
from tests.functional.failure_cases import FakeTopic, table_rows

pytestmark = pytest.mark.usefixtures("buyer")

CASES = [(row[0], row[2]) for row in table_rows("message", "outcome", "reason in the log")]
REFUSALS = [(row[0], int(row[1])) for row in table_rows("request", "answer")]
BINARY = {"ce-id": "1", "ce-source": "//pubsub", "ce-type": "published", "ce-specversion": "1.0"}
"""Headers of Eventarc's binary CloudEvents."""
EVENT_ANSWER = 200

_ORDER = message("OrderCreated", "order", "order-1")
_REFUND = message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction())
_GARBAGE = os.urandom(9_000_000)
_DEEP = b"[" * 50_000 + b"]" * 50_000
_DEEP_DELIVERY = b'{"resource":' * 50_000 + b"{" + b"}" * 50_001
_AMOUNTLESS = order() | {"lineItems": [line_item(totalPrice={}, price={})], "totalPrice": {}}

_BODIES: dict[str, bytes] = {
    "empty body": b"",
    "no JSON": b"{'single': 'quotes'}",
    "JSON null": b"null",
    "a list": b"[1, 2]",
    "no message": b'{"subscription": "projects/p/subscriptions/s"}',
    "message is null": b'{"message": null}',
    "no data": b'{"message": {"messageId": "1", "attributes": {"a": "b"}}}',
    "data is a number": b'{"message": {"data": 5}}',
    "9 MB of garbage as body": _GARBAGE,
    "50,000 levels deep as body": _DEEP,
}
"""Request bodies without data: the dead letter has the whole body."""

_DATA: dict[str, bytes] = {
    "data is empty": b"",
    "data is base64 of no JSON": b"not a document \xff",
    "data is base64 of null": b" null\n",
    "data is base64 of a list": b"[{}]",
    "no resource": json.dumps({"projectKey": PROJECT, "type": "OrderCreated"}).encode(),
    "resource is a string": json.dumps(_ORDER | {"resource": "order-1"}).encode(),
    "no type": json.dumps({name: value for name, value in _ORDER.items() if name != "type"}).encode(),
    "an id with quotes": json.dumps(message("OrderCreated", "order", 'a" or id="b')).encode(),
    "an id with slashes": json.dumps(message("OrderCreated", "order", "../customers/customer-1")).encode(),
    "an id of a million characters": json.dumps(message("OrderCreated", "order", "a" * 1_000_000)).encode(),
    "an id that can't be encoded": json.dumps(message("OrderCreated", "order", "\ud800")).encode(),
    "another project's projectKey": json.dumps(_ORDER | {"projectKey": "another-shop"}).encode(),
    "9 MB of garbage as data": _GARBAGE,
    "50,000 levels deep as data": _DEEP_DELIVERY,
    "an order whose lineItems is a number": json.dumps(_ORDER | {"order": order() | {"lineItems": 5}}).encode(),
    "an order without amounts": json.dumps(_ORDER | {"order": _AMOUNTLESS}).encode(),
    "an order whose createdAt is not a time": json.dumps(_ORDER | {"order": order(createdAt="yesterday")}).encode(),
    "a refund without an order, whose createdAt is not a time": json.dumps(
        _REFUND | {"createdAt": "yesterday"}
    ).encode(),
    "a deleted inventory entry without SKU": json.dumps(
        change("ResourceDeleted", "inventory-entry", "entry-1")
    ).encode(),
}
"""Data of a Pub/Sub message: the dead letter has exactly these bytes."""

_NOT_BASE64 = "no base64 \u2603"


def _push(case: str) -> tuple[bytes, bytes]:
    """The request body of a case, and the data that its dead letter must have."""
    if case in _BODIES:
        return _BODIES[case], _BODIES[case]
    if case == "data is not base64":
        return _enveloped(_NOT_BASE64), _NOT_BASE64.encode()
    return _enveloped(base64.b64encode(_DATA[case]).decode()), _DATA[case]


def _enveloped(data: str) -> bytes:
    return json.dumps(
        {"message": {"data": data, "messageId": "1"}, "subscription": "projects/p/subscriptions/s"}
    ).encode()


def _assert_next_message_is_synced(
    function: Function, sandbox: Sandbox, headers: Mapping[str, str], status: int
) -> None:
    """Check that the next message, about a customer, is synced."""
    sandbox.commercetools.put("customers", customer())
    payload = json.dumps(change("ResourceUpdated", "customer", "customer-1")).encode()
    assert function.post(_enveloped(base64.b64encode(payload).decode()), **headers).status_code == status
    assert function.lines()[-1]["outcome"] == "synced"
    assert [profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]] == ["customer-1"]


@pytest.mark.parametrize(("case", "reason"), CASES, ids=[case for case, _ in CASES])
def test_poison_in_a_push(case: str, reason: str, sandbox: Sandbox, serve: Serve, dead_letters: FakeTopic) -> None:
    """`sync_push` dead-letters it with its data unchanged, acknowledges it, and writes one short log line."""
    function = serve()
    body, data = _push(case)
    response = function.post(body)
    assert (response.status_code, response.content) == (ACKNOWLEDGED, b"")
    _ready, line = function.lines()
    assert (line["outcome"], line["reason"]) == ("dead-lettered", reason)
    assert len(json.dumps(line)) < 2_000
    (dead_letter,) = dead_letters.published
    assert _is_equal(dead_letter.data, data)
    assert dead_letter.attributes["reason"] == reason
    assert dead_letter.attributes["error"].split()[0] in ("Unmappable", reason)
    assert all(len(value.encode()) <= 1024 for value in dead_letter.attributes.values())
    assert sandbox.klaviyo.requests() == []
    _assert_next_message_is_synced(function, sandbox, {}, ACKNOWLEDGED)


_EVENT_REASONS = {"empty body": "not_an_object"}
"""functions-framework passes an empty body on as no data at all, as it does with `null`."""


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        pytest.param(case, _EVENT_REASONS.get(case, reason), id=case)
        for case, reason in CASES
        if "deep as body" not in case
    ],
)
def test_poison_in_an_event(case: str, reason: str, sandbox: Sandbox, serve: Serve, dead_letters: FakeTopic) -> None:
    """`sync_event` does the same with a CloudEvent. The dead letter has the same JSON, if not the same bytes."""
    function = serve("sync_event")
    body, data = _push(case)
    assert function.post(body, **BINARY).status_code == EVENT_ANSWER
    _ready, line = function.lines()
    assert (line["outcome"], line["reason"]) == ("dead-lettered", reason)
    (dead_letter,) = dead_letters.published
    data = b"" if case == "JSON null" else data
    assert _is_equal(dead_letter.data, data) or _is_equal(_decoded(dead_letter.data), _decoded(data))
    assert sandbox.klaviyo.requests() == []
    _assert_next_message_is_synced(function, sandbox, BINARY, EVENT_ANSWER)


def _is_equal(one: object, other: object) -> bool:
    """True if both are equal. Unlike `assert one == other`, a failure prints no diff of nine megabytes."""
    return one is not None and one == other


def _decoded(data: bytes) -> Any:
    """The data as JSON, or None if it is not JSON."""
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_an_event_with_text_that_can_not_be_encoded(sandbox: Sandbox, serve: Serve, dead_letters: FakeTopic) -> None:
    """The dead letter keeps the data even if they contain half a surrogate pair."""
    body = b'{"message": {"messageId": "1", "attributes": {"a": "\\ud800"}}}'
    function = serve("sync_event")
    assert function.post(body, **BINARY).status_code == EVENT_ANSWER
    (dead_letter,) = dead_letters.published
    assert json.loads(dead_letter.data) == json.loads(body)
    assert sandbox.klaviyo.requests() == []


_MALFORMED_DOCUMENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *(
        ("customers", customer() | fields, change("ResourceUpdated", "customer", "customer-1"))
        for fields in (
            {"email": 5},
            {"email": ["a"]},
            {"addresses": 5},
            {"addresses": [5]},
            {"addresses": {"id": "address-1"}},
            {"defaultBillingAddressId": ["address-1"]},
            {"custom": 5},
            {"version": None},
        )
    ),
    *(
        ("orders", order() | fields, message("OrderStateChanged", "order", "order-1", orderState="Complete"))
        for fields in (
            {"lineItems": 5},
            {"lineItems": [5]},
            {"lineItems": [line_item(variant=5)]},
            {"customerEmail": 5},
            {"totalPrice": 5},
            {"billingAddress": 5},
        )
    ),
    *(
        ("products", product(**fields), message("ProductPublished", "product", "product-1"))
        for fields in (
            {"masterVariant": variant() | {"sku": 5}},
            {"masterVariant": variant(prices=5)},
            {"masterVariant": variant(images=[5])},
            {"categories": [5]},
            {"name": 5},
        )
    ),
    *(
        ("inventory", {**entry(), **fields}, change("ResourceUpdated", "inventory-entry", "entry-1"))
        for fields in ({"sku": None}, {"sku": 5}, {"availableQuantity": "many"}, {"supplyChannel": 5})
    ),
    *(
        ("categories", category("category-1", "Women") | fields, message("CategoryCreated", "category", "category-1"))
        for fields in ({"name": 5}, {"ancestors": [5]})
    ),
    *(
        (
            "payments",
            payment() | {"transactions": transactions},
            message(
                "PaymentTransactionStateChanged", "payment", "payment-1", transactionId="refund-1", state="Success"
            ),
        )
        for transactions in ([5], [{"type": "Refund"}], [transaction(amount=5)])
    ),
]


@pytest.mark.parametrize(("collection", "document", "delivery"), _MALFORMED_DOCUMENTS)
def test_malformed_documents_are_not_retried(
    collection: str,
    document: dict[str, Any],
    delivery: dict[str, Any],
    sandbox: Sandbox,
    serve: Serve,
    dead_letters: FakeTopic,
) -> None:
    """A malformed document is synced without the malformed field, dead-lettered or ignored, but not retried."""
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [{"typeId": "payment", "id": "payment-1"}]}))
    sandbox.commercetools.put(collection, document)
    answer = serve().deliver(delivery)
    assert (answer.outcome, answer.reason) in (
        ("synced", ""),
        ("dead-lettered", "unmappable"),
        ("ignored", "no_variant"),
    )
    assert answer.status == ACKNOWLEDGED
    assert len(dead_letters.published) == (answer.outcome == "dead-lettered")


_ENVELOPE = json.loads(_enveloped("bnVsbA=="))
_STRUCTURED = {**{name.removeprefix("ce-"): value for name, value in BINARY.items()}, "data": _ENVELOPE}
_WITHOUT_ID = json.dumps({name: value for name, value in _STRUCTURED.items() if name != "id"}).encode()
_JSON = "application/json"
_CLOUDEVENT = "application/cloudevents+json"


def _without(name: str) -> bytes:
    """A push without this field, at its top or in its message."""
    push = {key: value for key, value in _ENVELOPE.items() if key != name}
    if "message" in push:
        push["message"] = {key: value for key, value in push["message"].items() if key != name}
    return json.dumps(push).encode()


_REQUESTS: dict[str, tuple[str, bytes, str, Mapping[str, str]]] = {
    "empty body": ("POST", b"", _JSON, {}),
    "no JSON": ("POST", b"{'single': 'quotes'}", _JSON, {}),
    "JSON null": ("POST", b"null", _JSON, {}),
    "an empty object": ("POST", b"{}", _JSON, {}),
    "an empty list": ("POST", b"[]", _JSON, {}),
    "a list": ("POST", b"[1]", _JSON, {}),
    "a string": ("POST", b'"abc"', _JSON, {}),
    "a push without message": ("POST", _without("message"), _JSON, {}),
    "a push whose message is null": ("POST", json.dumps(_ENVELOPE | {"message": None}).encode(), _JSON, {}),
    "a push without data": ("POST", _without("data"), _JSON, {}),
    "a push without messageId": ("POST", _without("messageId"), _JSON, {}),
    "a push without subscription": ("POST", _without("subscription"), _JSON, {}),
    "a push of another Content-Type": ("POST", json.dumps(_ENVELOPE).encode(), "text/plain", {}),
    "50,000 levels deep as body": ("POST", _DEEP, _JSON, {}),
    "a structured CloudEvent that is no JSON": ("POST", b"{", _CLOUDEVENT, {}),
    "a structured CloudEvent without id": ("POST", _WITHOUT_ID, _CLOUDEVENT, {}),
    "a batch of CloudEvents": ("POST", json.dumps([_STRUCTURED]).encode(), _CLOUDEVENT, {}),
    "a binary CloudEvent 50,000 levels deep": ("POST", _DEEP, _JSON, BINARY),
    "GET": ("GET", b"", _JSON, {}),
    "PUT": ("PUT", json.dumps(_ENVELOPE).encode(), _JSON, {}),
}  # fmt: skip


def test_requests_that_functions_framework_refuses(sandbox: Sandbox) -> None:
    """Each refusal on the page is answered as it says, without a log line of this package; the process continues."""
    assert sorted(_REQUESTS) == sorted(request for request, _ in REFUSALS)
    answered = []
    with running_function(sandbox.environment, "sync_event") as function:
        for request, _ in REFUSALS:
            method, body, content_type, headers = _REQUESTS[request]
            response = requests.request(
                method, function.url, data=body, headers={"Content-Type": content_type, **headers}, timeout=30
            )
            answered.append((request, response.status_code))
        port = function.url.rpartition(":")[2]
        assert [line["message"] for line in function.lines] == [f"sync_event is ready on port {port}, for shop"]
        sandbox.commercetools.put("customers", customer())
        assert (
            function.push(json.dumps(change("ResourceUpdated", "customer", "customer-1")).encode(), "1") == EVENT_ANSWER
        )
        assert function.outcome("1")["outcome"] == "synced"
    assert answered == REFUSALS
