"""The commercetools stand-in: Subscriptions, the only resource that can be written."""

from collections.abc import Iterator
from typing import Any

import pytest

import sandbox
from sandbox import Control
from sandbox.calls import Calls, commercetools

DRAFT: dict[str, Any] = {
    "key": "klaviyo",
    "destination": {"type": "GoogleCloudPubSub", "projectId": "p", "topic": "t"},
    "messages": [{"resourceTypeId": "order", "types": ["OrderCreated"]}],
    "changes": [{"resourceTypeId": "customer"}],
    "format": {"type": "Platform"},
}


@pytest.fixture
def calls(running: sandbox.Sandbox) -> Iterator[Calls]:
    """A client with a token for an empty project."""
    Control(running.commercetools.url).reset()
    with commercetools(running.commercetools.url) as calls:
        yield calls


def test_a_subscription_is_created_read_changed_and_deleted(calls: Calls) -> None:
    """Create, read by key, update and delete, the last two with a version."""
    created = calls("POST", "/shop/subscriptions", DRAFT)
    assert (created.status, created.body["version"], created.body["status"]) == (201, 1, "Healthy")
    assert calls("GET", "/shop/subscriptions/key=klaviyo").body == created.body
    assert calls("GET", "/shop/subscriptions", query={"where": 'key="klaviyo"'}).body["results"] == [created.body]
    actions = [
        {"action": "changeDestination", "destination": {**DRAFT["destination"], "topic": "other"}},
        {"action": "setMessages", "messages": []},
        {"action": "setChanges", "changes": [{"resourceTypeId": "category"}]},
        {"action": "setKey", "key": "other"},
    ]
    changed = calls("POST", "/shop/subscriptions/key=klaviyo", {"version": 1, "actions": actions}).body
    assert (changed["version"], changed["key"], changed["messages"]) == (2, "other", [])
    assert changed["destination"]["topic"] == "other"
    path = f"/shop/subscriptions/{changed['id']}"
    stale = calls("DELETE", path, query={"version": 1})
    assert (stale.status, stale.body["errors"][0]["code"]) == (409, "ConcurrentModification")
    assert stale.body["errors"][0]["currentVersion"] == 2
    assert calls("DELETE", path, query={"version": 2}).status == 200
    assert calls("GET", path).status == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key": "klaviyo"}, "DuplicateField"),
        ({"key": "no spaces"}, "InvalidInput"),
        ({"key": "x1", "messages": [], "changes": []}, "InvalidInput"),
        ({"key": "x1", "destination": None}, "InvalidInput"),
        ({"key": "x1", "destinaton": {}}, "InvalidInput"),
    ],
)
def test_a_bad_draft_is_refused(calls: Calls, change: dict[str, object], code: str) -> None:
    """An existing or malformed key, no messages and changes, no destination, and an unknown field give 400."""
    calls("POST", "/shop/subscriptions", DRAFT)
    answer = calls("POST", "/shop/subscriptions", {**DRAFT, **change})
    assert (answer.status, answer.body["errors"][0]["code"]) == (400, code)


def test_a_bad_update_is_refused(calls: Calls) -> None:
    """A stale version gives 409; an unknown action and a missing version give 400."""
    calls("POST", "/shop/subscriptions", DRAFT)
    path = "/shop/subscriptions/key=klaviyo"
    assert calls("POST", path, {"version": 9, "actions": []}).status == 409
    assert calls("POST", path, {"version": 1, "actions": [{"action": "setFormat"}]}).status == 400
    assert calls("POST", path, {"actions": []}).status == 400
    assert calls("DELETE", path).status == 400
    assert calls("POST", path, b"{").status == 400


def test_a_project_has_at_most_50_subscriptions(calls: Calls) -> None:
    """A project holds 50 subscriptions; the 51st is rejected."""
    for number in range(50):
        assert calls("POST", "/shop/subscriptions", {**DRAFT, "key": f"key-{number}"}).status == 201
    answer = calls("POST", "/shop/subscriptions", DRAFT)
    assert (answer.status, answer.body["errors"][0]["code"]) == (400, "MaxResourceLimitExceeded")


def test_other_resources_are_read_only(calls: Calls) -> None:
    """Writing a customer gives 405."""
    assert calls("POST", "/shop/customers", {"email": "x@y.io"}).status == 405
