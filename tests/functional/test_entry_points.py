"""Every form in which a message reaches the function (CloudEvent, Pub/Sub push, bare body), and the answer."""

import base64
import json
from typing import Any

import pytest
import requests

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import customer, message

CREATED = message("CustomerCreated", "customer", "customer-1")
TOPIC = "//pubsub.googleapis.com/projects/p/topics/t"
EVENT = {
    "id": "event-1",
    "source": TOPIC,
    "specversion": "1.0",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
}
PUBLISHED = "2026-05-02T08:00:00.000Z"


def _push(payload: Any = CREATED, **fields: Any) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(payload).encode()).decode()
    return {"message": {"data": data} | fields, "subscription": "projects/p/subscriptions/s"}


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with one customer in commercetools."""
    sandbox.commercetools.put("customers", customer())
    return sandbox


def _post(function: Function, body: Any, path: str = "", **headers: str) -> requests.Response:
    function.note_personal(json.dumps(body).encode())
    return requests.post(function.url + path, json=body, headers=headers, timeout=30)


def _synced(shop: Sandbox) -> bool:
    return [profile["external_id"] for profile in shop.klaviyo.state()["profiles"]] == ["customer-1"]


def test_a_binary_cloud_event(shop: Sandbox, serve: Serve) -> None:
    """`sync_event` accepts Eventarc's form: the context in headers, Pub/Sub's push as the body."""
    function = serve("sync_event")
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    answer = _post(function, _push(messageId="m1", publishTime=PUBLISHED), **headers)
    assert (answer.status_code, _synced(shop)) == (200, True)
    assert function.line("m1")["outcome"] == "synced"


def test_a_structured_cloud_event(shop: Sandbox, serve: Serve) -> None:
    """`sync_event` accepts the context and the data in one JSON object."""
    function = serve("sync_event")
    event = EVENT | {"datacontenttype": "application/json", "data": _push(messageId="m1")}
    answer = _post(function, event, **{"Content-Type": "application/cloudevents+json"})
    assert (answer.status_code, _synced(shop)) == (200, True)
    assert function.line("m1")["outcome"] == "synced"


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:functions_framework")
@pytest.mark.parametrize("path", ["/projects/p/topics/t?pubsub_trigger=true", "/"])
def test_a_raw_push_to_the_event_function(shop: Sandbox, serve: Serve, path: str) -> None:
    """functions-framework converts a push to a CloudEvent and keeps Pub/Sub's message id."""
    function = serve("sync_event")
    answer = _post(function, _push(messageId="m1", publishTime=PUBLISHED), path)
    assert (answer.status_code, _synced(shop)) == (200, True)
    assert function.line("m1")["outcome"] == "synced"


def test_the_event_function_refuses_without_a_traceback(shop: Sandbox, serve: Serve) -> None:
    """A failed message is answered 503, for redelivery. The answer does not mention Klaviyo or its SDK."""
    shop.klaviyo.keys(accepted=[])
    function = serve("sync_event")
    event = EVENT | {"datacontenttype": "application/json", "data": _push(messageId="m1")}
    answer = _post(function, event, **{"Content-Type": "application/cloudevents+json"})
    assert answer.status_code == REFUSED
    assert "klaviyo" not in answer.text.lower()
    line = function.line("m1")
    assert (line["outcome"], line["reason"], line["status"]) == ("retried", "klaviyo_denied", 401)


@pytest.mark.parametrize("without", ["messageId", "subscription", "attributes", "all of them"])
def test_optional_fields_may_be_missing(shop: Sandbox, function: Function, without: str) -> None:
    """`messageId`, `subscription` and `attributes` are optional: pushes sent by hand have none of them."""
    body = _push(messageId="m1", attributes={})
    for name in ("messageId", "subscription", "attributes") if without == "all of them" else (without,):
        body.pop(name, None)
        body["message"].pop(name, None)
    assert _post(function, body).status_code == ACKNOWLEDGED
    assert _synced(shop)


def test_the_attempt_is_logged(shop: Sandbox, function: Function) -> None:
    """The log line has Pub/Sub's delivery count, and no `attempt` if Pub/Sub sends none."""
    assert shop
    assert function.deliver(CREATED, deliveryAttempt=3).line["attempt"] == 3
    assert "attempt" not in function.deliver(CREATED).line


def test_a_push_is_answered_204_or_503(shop: Sandbox, function: Function) -> None:
    """A push is answered 204 or 503, never 202, which the emulator takes for a refusal. The redelivery is synced."""
    shop.klaviyo.fail("profile-import", status=401, count=1)
    assert [function.deliver(CREATED).status for _ in range(2)] == [REFUSED, ACKNOWLEDGED]
    ignored = function.deliver(message("Unheard", "customer", "customer-1"))
    assert (ignored.status, ignored.reason) == (ACKNOWLEDGED, "no_handler")


def test_a_bare_delivery_needs_a_setting(shop: Sandbox, function: Function) -> None:
    """Without SKIP_BASE64_ENCODING, a body without Pub/Sub's envelope is refused."""
    assert _post(function, CREATED).status_code == REFUSED
    assert shop.klaviyo.requests() == []


def test_bare_deliveries(shop: Sandbox, serve: Serve) -> None:
    """With SKIP_BASE64_ENCODING, bodies are accepted both bare and in the envelope."""
    function = serve(SKIP_BASE64_ENCODING="true")
    assert _post(function, CREATED).status_code == ACKNOWLEDGED
    assert _synced(shop)
    shop.commercetools.patch("customers", "customer-1", {"firstName": "Newer", "version": 2})
    assert function.deliver(CREATED | {"resourceVersion": 2}).outcome == "synced"
    assert shop.klaviyo.state()["profiles"][0]["first_name"] == "Newer"


def test_commercetools_cloud_events(shop: Sandbox, function: Function) -> None:
    """A delivery in the CloudEvents format of Subscriptions is synced: it is in `data`."""
    event = {
        "specversion": "1.0", "id": "e1", "type": "com.commercetools.customer.message.CustomerCreated",
        "source": "/shop", "subject": "x", "time": PUBLISHED, "dataref": "x", "data": CREATED,
    }  # fmt: skip
    assert function.deliver(event).outcome == "synced"
    assert _synced(shop)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/health"])
def test_health(sandbox: Sandbox, function: Function, method: str, path: str) -> None:
    """GET and HEAD are answered without calling either backend."""
    answer = requests.request(method, function.url + path, timeout=30)
    assert (answer.status_code, answer.text) == (200, "ok\n" if method == "GET" else "")
    assert sandbox.commercetools.requests() == sandbox.klaviyo.requests() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(shop: Sandbox, function: Function, method: str) -> None:
    """PUT, PATCH and DELETE get 405, and nothing is synced."""
    assert requests.request(method, function.url, json=_push(), timeout=30).status_code == 405
    assert shop.klaviyo.requests() == []


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "header",
    [{"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, {"X-Cloud-Trace-Context": f"{TRACE}/1;o=1"}],
    ids=lambda header: next(iter(header)),
)
def test_the_log_line_has_the_trace_of_its_request(shop: Sandbox, serve: Serve, header: dict[str, str]) -> None:
    """In a Google Cloud project the log line has the request's trace, or none if the header is invalid."""
    assert shop
    function = serve(GOOGLE_CLOUD_PROJECT="my-project")
    _post(function, _push(messageId="m1"), **header)
    assert function.line("m1")["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
    _post(function, _push(messageId="m2"), traceparent="nonsense")
    assert "logging.googleapis.com/trace" not in function.line("m2")


def test_ct_scopes_is_an_alias_of_ct_scope(shop: Sandbox, serve: Serve) -> None:
    """The scopes in CT_SCOPES are those that the token is requested with."""
    shop.commercetools.tokens(enforce_scopes=True)
    without_scope = serve(CT_SCOPE="", CT_SCOPES="view_orders:shop")
    assert without_scope.deliver(CREATED).reason == "commercetools_denied"
    with_scope = serve(CT_SCOPE="", CT_SCOPES="view_orders:shop view_customers:shop")
    assert with_scope.deliver(CREATED).outcome == "synced"
