"""`manage.py subscriptions` brings the subscriptions to what the registry consumes, and touches no others."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.running import Sandbox
from commands.subscription_plan import changes, messages
from handlers.registry import registrations
from manage import manage

TOPIC = "projects/gcp/topics/commercetools"
Run = Callable[..., Result]


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `manage.py subscriptions …` against the sandbox."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(manage, ["subscriptions", *arguments, "--topic", TOPIC], input=answer)

    return run


def _stored(sandbox: Sandbox) -> dict[str, Any]:
    found = sandbox.commercetools.state()["documents"]["subscriptions"]
    return {one["key"]: one for one in (found.values() if isinstance(found, dict) else found)}


def test_apply_makes_what_the_registry_consumes(sandbox: Sandbox, run: Run) -> None:
    """Messages by type and changes by resource, all of the registry and nothing else; a second run changes nothing."""
    assert run("plan").exit_code == 1
    applied = run("apply", "--yes")
    assert applied.exit_code == 0, applied.output
    stored = _stored(sandbox)
    made = {
        (entry["resourceTypeId"], name)
        for entry in stored["klaviyo-sync-messages"]["messages"]
        for name in entry["types"]
    }
    assert made == {(one.resource_type, one.type) for one in registrations() if one.subscribe and not one.is_change}
    assert [entry["resourceTypeId"] for entry in stored["klaviyo-sync-changes"]["changes"]] == changes()
    assert stored["klaviyo-sync-messages"]["destination"] == {
        "type": "GoogleCloudPubSub",
        "projectId": "gcp",
        "topic": "commercetools",
    }
    sandbox.commercetools.forget_requests()
    again = run("apply", "--yes")
    assert (again.exit_code, "Nothing to change" in again.output) == (0, True)
    assert [one["method"] for one in sandbox.commercetools.requests(kind="api")] == ["GET"]
    assert run("plan").exit_code == 0


def test_products_are_not_subscribed_as_changes() -> None:
    """A product change subscription would deliver every edit and every stock movement."""
    assert "product" not in changes()
    assert "ProductPublished" in messages()["product"]


def test_apply_mends_what_differs_and_says_so(sandbox: Sandbox, run: Run) -> None:
    """A missing type, a superfluous one and another topic are shown and put right."""
    run("apply", "--yes")
    own = _stored(sandbox)["klaviyo-sync-messages"]
    changed = [entry for entry in own["messages"] if entry["resourceTypeId"] != "order"]
    changed.append({"resourceTypeId": "order", "types": ["OrderDeleted"]})
    destination = {"type": "GoogleCloudPubSub", "projectId": "gcp", "topic": "old"}
    sandbox.commercetools.patch("subscriptions", own["id"], {"messages": changed, "destination": destination})
    plan = run("plan")
    for line in ("- message order/OrderDeleted", "+ message order/OrderCreated", "- to projects/gcp/topics/old"):
        assert line in plan.output
    assert run("apply", "--yes").exit_code == 0
    assert run("plan").exit_code == 0


def test_it_asks_first(sandbox: Sandbox, run: Run) -> None:
    """A "no" leaves everything as it was."""
    refused = run("apply", answer="n\n")
    assert refused.exit_code == 1
    assert _stored(sandbox) == {}


def test_others_are_left_alone(sandbox: Sandbox, run: Run) -> None:
    """Neither apply nor delete touches a subscription with another key."""
    other = {
        "id": "other", "version": 3, "key": "erp", "messages": [{"resourceTypeId": "order", "types": []}],
        "destination": {"type": "EventBridge", "region": "eu", "accountId": "1", "source": "s"}, "status": "Healthy",
    }  # fmt: skip
    sandbox.commercetools.put("subscriptions", other)
    run("apply", "--yes")
    assert run("delete", "--yes").exit_code == 0
    assert list(_stored(sandbox)) == ["erp"]
    assert _stored(sandbox)["erp"]["version"] == 3
    assert "Nothing to change" in run("delete", "--yes").output


def test_a_change_meanwhile_is_read_again(sandbox: Sandbox, run: Run) -> None:
    """409 ConcurrentModification: the plan is made anew from what is there now."""
    run("apply", "--yes")
    own = _stored(sandbox)["klaviyo-sync-changes"]
    sandbox.commercetools.patch("subscriptions", own["id"], {"changes": []})
    conflict = {"statusCode": 409, "message": "", "errors": [{"code": "ConcurrentModification", "message": ""}]}
    sandbox.commercetools.fail("subscriptions/", method="POST", status=409, body=conflict, count=1)
    assert run("apply", "--yes").exit_code == 0
    assert run("plan").exit_code == 0


def test_a_missing_right_on_the_topic_is_named(sandbox: Sandbox, run: Run) -> None:
    """The test notification fails: the message says who needs which role, and how to grant it."""
    message = "A test message could not be delivered to this destination: 403 PERMISSION_DENIED"
    body = {"statusCode": 400, "message": message, "errors": [{"code": "InvalidInput", "message": message}]}
    sandbox.commercetools.fail("subscriptions", method="POST", status=400, body=body)
    refused = run("apply", "--yes")
    assert refused.exit_code == 1
    assert "roles/pubsub.publisher" in refused.output
    assert "subscriptions@commercetools-platform.iam.gserviceaccount.com" in refused.output


def test_the_limit_of_fifty_is_said_before_anything_is_made(sandbox: Sandbox, run: Run) -> None:
    """With 49 others there is no room for two."""
    for number in range(49):
        sandbox.commercetools.put("subscriptions", {"id": f"s{number}", "version": 1, "key": f"other-{number}"})
    refused = run("apply", "--yes")
    assert (refused.exit_code, "49 of at most 50" in refused.output) == (1, True)
    assert len(_stored(sandbox)) == 49


@pytest.mark.parametrize(
    ("status", "said"), [(403, "manage_subscriptions:shop"), (500, "commercetools refuses it: 500")]
)
def test_refusals_are_one_clear_message(sandbox: Sandbox, run: Run, status: int, said: str) -> None:
    """No scope, or a server error: said in a line, without a traceback."""
    sandbox.commercetools.fail("subscriptions", status=status)
    refused = run("plan")
    assert refused.exit_code == 1
    assert said in refused.output
    assert refused.exception is None or isinstance(refused.exception, SystemExit)


def test_a_client_without_the_scope_gets_no_token(sandbox: Sandbox, run: Run) -> None:
    """The token endpoint refuses: the message names the scope."""
    sandbox.commercetools.fail("oauth/token", status=400)
    refused = run("plan")
    assert (refused.exit_code, "manage_subscriptions:shop" in refused.output) == (1, True)


def test_a_topic_that_is_none_is_a_usage_error() -> None:
    """Exit status 2, and the form it should have."""
    result = CliRunner().invoke(manage, ["subscriptions", "plan", "--topic", "commercetools"])
    assert (result.exit_code, "projects/PROJECT/topics/TOPIC" in result.output) == (2, True)
