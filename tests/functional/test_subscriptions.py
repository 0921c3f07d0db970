"""`manage.py subscriptions` makes the Subscriptions match the registry, and leaves all others alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from commands.processes import ROOT, Sandbox
from commands.subscription_plan import changes, messages
from commands.subscriptions import show_plan
from core.rules import SyncRules
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
        topic = ["--topic", TOPIC] if "delete" not in arguments else []
        return CliRunner().invoke(manage, ["subscriptions", *arguments, *topic], input=answer)

    return run


def _stored(sandbox: Sandbox) -> dict[str, Any]:
    found = sandbox.commercetools.state()["documents"]["subscriptions"]
    return {one["key"]: one for one in (found.values() if isinstance(found, dict) else found)}


def test_apply_subscribes_to_what_the_registry_handles(sandbox: Sandbox, run: Run) -> None:
    """Exactly what is on: messages by type, changes by resource. A second run changes nothing."""
    assert run("plan").exit_code == 1
    applied = run("apply", "--yes")
    assert applied.exit_code == 0, applied.output
    stored = _stored(sandbox)
    subscribed = {
        (entry["resourceTypeId"], name)
        for entry in stored["klaviyo-sync-messages"]["messages"]
        for name in entry["types"]
    }
    assert subscribed == {
        (one.resource_type, one.type)
        for one in registrations()
        if one.subscribe and not one.is_change and not one.switched_off_by(SyncRules())
    }
    assert [entry["resourceTypeId"] for entry in stored["klaviyo-sync-changes"]["changes"]] == changes(SyncRules())
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
    assert "product" not in changes(SyncRules())
    assert "ProductPublished" in messages(SyncRules())["product"]


OFF = (
    '[messages]\ndisabled = ["order/OrderImported", "customer/ResourceUpdated"]\n'
    "[customer]\nerase = false\n[payment]\nrefund_states = []\n[order]\nfulfilled_states = []\n"
)
"""Switches off refunds, one order message and all customer changes. `OrderStateChanged` keeps its cancelled states."""


@pytest.fixture
def rules(settings_file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Use this text as the commands' sync.toml."""
    return lambda text: monkeypatch.setenv("SYNC_CONFIG", settings_file(text))


def _subscribed(sandbox: Sandbox) -> set[str]:
    """Everything that commercetools delivers, message types as `resource/type`."""
    stored = _stored(sandbox).values()
    types = {
        f"{one['resourceTypeId']}/{name}"
        for subscription in stored
        for one in subscription["messages"]
        for name in one["types"]
    }
    return types | {one["resourceTypeId"] for subscription in stored for one in subscription["changes"]}


def test_what_is_switched_off_is_removed_from_the_plan(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """Nothing but the disabled keys and those whose setting is off is removed. The plan names the setting."""
    run("apply", "--yes")
    everything = _subscribed(sandbox)
    rules(OFF)
    shown = run("plan")
    assert shown.exit_code == 1
    for line in (
        "- message order/OrderImported",
        "- message payment/PaymentTransactionAdded",
        "- change customer",
        "    order/OrderImported: [messages] disabled",
        "    customer/ResourceUpdated: [messages] disabled",
        "    customer/ResourceDeleted: [customer] erase",
        "    payment/PaymentTransactionAdded: [payment] refund_states",
    ):
        assert line in shown.output.splitlines() or f"    {line}" in shown.output.splitlines(), line
    assert run("apply", "--yes").exit_code == 0
    payments = {"payment/PaymentTransactionAdded", "payment/PaymentTransactionStateChanged"}
    assert everything - _subscribed(sandbox) == {"order/OrderImported", "customer"} | payments
    assert _subscribed(sandbox) < everything
    assert run("plan").exit_code == 0
    rules("")
    run("apply", "--yes")
    assert _subscribed(sandbox) == everything


UNUSED_MESSAGES = {
    'shipped_order = ""\npartially_shipped_order = ""\ndelivered_order = ""': {"OrderShipmentStateChanged"},
    'confirmed_shipment = ""': {"ParcelAddedToDelivery", "ParcelTrackingDataUpdated"},
    'requested_return = ""\nreturned_order = ""': {
        "ReturnInfoAdded", "ReturnInfoSet", "OrderReturnShipmentStateChanged",
    },
    'returned_order = ""': {"OrderReturnShipmentStateChanged"},
    'requested_return = ""': set(),
    'shipped_order = ""\ndelivered_order = ""': set(),
}  # fmt: skip
"""Empty metric names, and the messages that nothing needs then."""


@pytest.mark.parametrize(("names", "unused"), UNUSED_MESSAGES.items())
def test_a_metric_without_a_name_removes_its_messages(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None], names: str, unused: set[str]
) -> None:
    """A message is removed with its last metric, and the plan names the setting."""
    run("apply", "--yes")
    everything = _subscribed(sandbox)
    rules(f"[metrics]\n{names}\n")
    shown = run("plan").output
    for name in unused:
        assert f"- message order/{name}" in shown
        assert f"order/{name}: [metrics] " in shown
    run("apply", "--yes")
    assert everything - _subscribed(sandbox) == {f"order/{name}" for name in unused}


def test_paid_order_and_transitions_are_subscribed_if_configured(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """Both are off by default."""
    run("apply", "--yes")
    everything = _subscribed(sandbox)
    rules('[metrics]\npaid_order = "Paid Order"\n[order]\ntransitions = { "packed" = "Packed" }\n')
    run("apply", "--yes")
    assert _subscribed(sandbox) - everything == {"order/OrderPaymentStateChanged", "order/OrderStateTransition"}


def test_one_handled_change_keeps_its_resource(sandbox: Sandbox, run: Run, rules: Callable[[str], None]) -> None:
    """There is no subscription to updates without deletions, so deletions are delivered and ignored."""
    rules("[customer]\nerase = false\n")
    run("apply", "--yes")
    assert "customer" in _subscribed(sandbox)


def test_a_subscription_without_any_message_is_deleted(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """An empty Subscription is not allowed, so it is deleted. It is created again with its first message."""
    run("apply", "--yes")
    kinds = [f"{one.resource_type}/{one.type}" for one in registrations() if one.is_change]
    rules(f"[messages]\ndisabled = {json.dumps(kinds)}\n")
    shown = run("plan")
    assert (shown.exit_code, "- delete klaviyo-sync-changes" in shown.output) == (1, True)
    assert run("apply", "--yes").exit_code == 0
    assert list(_stored(sandbox)) == ["klaviyo-sync-messages"]
    assert run("plan").exit_code == 0
    rules("")
    assert run("apply", "--yes").exit_code == 0
    assert sorted(_stored(sandbox)) == ["klaviyo-sync-changes", "klaviyo-sync-messages"]


class TestVariables:
    """`subscriptions plan --tfvars`: for Terraform, without an account."""

    @pytest.fixture
    def write(self, monkeypatch: pytest.MonkeyPatch) -> Run:
        """Run it without account settings in the environment."""
        for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", "KLAVIYO_AUTH_KEY"):
            monkeypatch.delenv(name, raising=False)
        return lambda *arguments: CliRunner().invoke(manage, ["subscriptions", "plan", *arguments])

    def test_what_is_handled_is_written(self, write: Run, rules: Callable[[str], None], tmp_path: Path) -> None:
        """Both variables, without what is off. It prints the path, the sync.toml, and what is off."""
        rules(OFF)
        result = write("--tfvars", str(tmp_path))
        assert result.exit_code == 0, result.output
        path = tmp_path / "subscriptions.auto.tfvars.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        assert written["subscribed_changes"] == ["category", "inventory-entry"]
        assert "payment" not in written["subscribed_messages"]
        assert "OrderImported" not in written["subscribed_messages"]["order"]
        assert "OrderStateChanged" in written["subscribed_messages"]["order"]
        assert written.keys() == {"subscribed_messages", "subscribed_changes"}
        for text in (str(path), "sync.toml", "payment/PaymentTransactionAdded: [payment] refund_states"):
            assert text in result.output

    def test_the_defaults_are_those_of_the_registry(self, write: Run, tmp_path: Path) -> None:
        """Without a sync.toml of one's own, everything that is on by default is written."""
        assert write("--tfvars", str(tmp_path)).exit_code == 0
        written = json.loads((tmp_path / "subscriptions.auto.tfvars.json").read_text(encoding="utf-8"))
        rules = SyncRules()
        assert written == {"subscribed_messages": messages(rules), "subscribed_changes": changes(rules)}

    def test_the_default_folder_is_that_of_the_terraform_module(
        self, write: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`--tfvars` alone, also before another option, writes where Terraform looks."""
        option = next(one for one in show_plan.params if one.name == "tfvars")
        assert isinstance(option, click.Option)
        assert Path(str(option.flag_value)) == ROOT / "terraform"
        monkeypatch.setattr(option, "flag_value", str(tmp_path))
        assert write("--tfvars", "--topic", TOPIC).exit_code == 0
        assert (tmp_path / "subscriptions.auto.tfvars.json").exists()

    def test_a_missing_folder_is_a_usage_error(self, write: Run, tmp_path: Path) -> None:
        """Exit 2, and nothing is created."""
        result = write("--tfvars", str(tmp_path / "nowhere"))
        assert (result.exit_code, "nowhere" in result.output) == (2, True)
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_sync_toml_is_reported(self, write: Run, rules: Callable[[str], None], tmp_path: Path) -> None:
        """The problem is named, and no file is written."""
        rules("[customer]\nerased = true\n")
        result = write("--tfvars", str(tmp_path))
        assert (result.exit_code, "customer.erased is not known" in result.output) == (1, True)
        assert not (tmp_path / "subscriptions.auto.tfvars.json").exists()

    def test_a_plan_needs_a_topic_otherwise(self, write: Run) -> None:
        """Without --tfvars, --topic is required."""
        result = write()
        assert (result.exit_code, "--topic" in result.output) == (2, True)


def test_messages_without_their_scope_are_not_subscribed(
    sandbox: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan names the missing scope."""
    scopes = sandbox.environment["CT_SCOPE"].replace(" view_standalone_prices:shop", "")
    monkeypatch.setenv("CT_SCOPE", scopes)
    assert "standalone-price/StandalonePriceCreated: CT_SCOPE without view_standalone_prices" in run("plan").output
    assert run("apply", "--yes").exit_code == 0
    resource_types = [entry["resourceTypeId"] for entry in _stored(sandbox)["klaviyo-sync-messages"]["messages"]]
    assert ("standalone-price" in resource_types, "product" in resource_types) == (False, True)
    assert run("plan").exit_code == 0


def test_a_client_for_subscriptions_only(sandbox: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its CT_SCOPE says nothing about the function, so it switches no message off. `check` tolerates the surplus."""
    function_scopes = sandbox.environment["CT_SCOPE"].replace(" view_standalone_prices:shop", "")
    monkeypatch.setenv("CT_SCOPE", "manage_subscriptions:shop")
    planned = run("plan").output
    assert ("standalone-price/StandalonePriceCreated" in planned, "CT_SCOPE without" in planned) == (True, False)
    assert run("apply", "--yes").exit_code == 0
    resource_types = [entry["resourceTypeId"] for entry in _stored(sandbox)["klaviyo-sync-messages"]["messages"]]
    assert "standalone-price" in resource_types
    monkeypatch.setenv("CT_SCOPE", function_scopes)
    checked = CliRunner().invoke(manage, ["check"])
    assert "ok      commercetools: subscription klaviyo-sync-messages delivers the messages" in checked.output
    own = _stored(sandbox)["klaviyo-sync-messages"]
    without_orders = [entry for entry in own["messages"] if entry["resourceTypeId"] != "order"]
    sandbox.commercetools.patch("subscriptions", own["id"], {"messages": without_orders})
    differs = next(line for line in CliRunner().invoke(manage, ["check"]).output.splitlines() if "differs" in line)
    assert ("+ message order/OrderCreated" in differs, "standalone-price" in differs) == (True, False)


def test_apply_shows_and_fixes_differences(sandbox: Sandbox, run: Run) -> None:
    """A missing type, an extra one and a wrong topic are shown, then fixed."""
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


def test_other_subscriptions_are_left_alone(sandbox: Sandbox, run: Run) -> None:
    """Neither apply nor delete touches a Subscription with another key."""
    other = {
        "id": "other", "version": 3, "key": "erp", "messages": [{"resourceTypeId": "order", "types": []}],
        "destination": {"type": "EventBridge", "region": "eu", "accountId": "1", "source": "s"}, "status": "Healthy",
    }  # fmt: skip
    sandbox.commercetools.put("subscriptions", other)
    run("apply", "--yes")
    assert run("delete", "--yes").exit_code == 0
    assert list(_stored(sandbox)) == ["erp"]
    assert _stored(sandbox)["erp"]["version"] == 3


class TestDelete:
    """`subscriptions delete` needs no topic, but checks the one that it is given."""

    @pytest.fixture
    def delete(self, run: Run) -> Run:
        """Run `subscriptions delete`; both subscriptions exist and publish to TOPIC."""
        assert run("apply", "--yes").exit_code == 0
        return lambda *arguments, **options: run("delete", *arguments, **options)

    def test_it_shows_what_it_would_delete(self, sandbox: Sandbox, delete: Run) -> None:
        """Before it asks, it names the commercetools project and where each subscription publishes to."""
        asked = delete(answer="n\n")
        assert asked.exit_code == 1
        shown = asked.output.splitlines()
        for key in ("klaviyo-sync-messages", "klaviyo-sync-changes"):
            assert shown[shown.index(f"- delete {key}") + 1].strip() == f"publishes to {TOPIC}"
        assert "Delete from the commercetools project shop?" in asked.output
        assert len(_stored(sandbox)) == 2

    def test_it_needs_no_topic(self, sandbox: Sandbox, delete: Run) -> None:
        """A second run finds nothing, which is no failure."""
        deleted = delete("--yes")
        assert deleted.exit_code == 0, deleted.output
        assert _stored(sandbox) == {}
        again = delete("--yes")
        keys = "klaviyo-sync-messages or klaviyo-sync-changes"
        assert (again.exit_code, again.output) == (0, f"Nothing to delete: no subscription has the key {keys}.\n")

    def test_a_matching_topic_is_accepted(self, sandbox: Sandbox, delete: Run) -> None:
        """It deletes the same as without --topic."""
        assert delete("--yes", "--topic", TOPIC).exit_code == 0
        assert _stored(sandbox) == {}

    def test_another_topic_is_refused(self, sandbox: Sandbox, delete: Run) -> None:
        """If one of them publishes elsewhere, nothing is deleted. The error names its topic, and the way out."""
        own = _stored(sandbox)["klaviyo-sync-changes"]
        elsewhere = {"type": "GoogleCloudPubSub", "projectId": "gcp", "topic": "old"}
        sandbox.commercetools.patch("subscriptions", own["id"], {"destination": elsewhere})
        refused = delete("--yes", "--topic", TOPIC)
        assert refused.exit_code == 1
        assert f"klaviyo-sync-changes publishes to projects/gcp/topics/old, not to {TOPIC}" in refused.output
        assert "without --topic" in refused.output
        assert len(_stored(sandbox)) == 2

    @pytest.mark.parametrize("exported", ["projects/other/topics/other", "klaviyo-sync"])
    def test_the_environments_topic_is_not_compared(
        self, sandbox: Sandbox, delete: Run, monkeypatch: pytest.MonkeyPatch, exported: str
    ) -> None:
        """TOPIC is exported for other commands, and deploy.sh has its short name there."""
        monkeypatch.setenv("TOPIC", exported)
        deleted = delete("--yes")
        assert deleted.exit_code == 0, deleted.output
        assert _stored(sandbox) == {}


def test_a_concurrent_change_is_read_again(sandbox: Sandbox, run: Run) -> None:
    """After a 409 ConcurrentModification the current state is read, and its differences are fixed."""
    run("apply", "--yes")
    own = _stored(sandbox)["klaviyo-sync-changes"]
    sandbox.commercetools.patch("subscriptions", own["id"], {"changes": []})
    conflict = {"statusCode": 409, "message": "", "errors": [{"code": "ConcurrentModification", "message": ""}]}
    sandbox.commercetools.fail("subscriptions/", method="POST", status=409, body=conflict, count=1)
    assert run("apply", "--yes").exit_code == 0
    assert run("plan").exit_code == 0


def test_a_missing_permission_on_the_topic_is_named(sandbox: Sandbox, run: Run) -> None:
    """The test notification fails; the error says who needs which role, and how to grant it."""
    message = "A test message could not be delivered to this destination: 403 PERMISSION_DENIED"
    body = {"statusCode": 400, "message": message, "errors": [{"code": "InvalidInput", "message": message}]}
    sandbox.commercetools.fail("subscriptions", method="POST", status=400, body=body)
    refused = run("apply", "--yes")
    assert refused.exit_code == 1
    assert "roles/pubsub.publisher" in refused.output
    assert "subscriptions@commercetools-platform.iam.gserviceaccount.com" in refused.output


def test_the_limit_of_fifty_is_checked_before_anything_is_created(sandbox: Sandbox, run: Run) -> None:
    """With 49 other Subscriptions there is no room for two."""
    for number in range(49):
        sandbox.commercetools.put("subscriptions", {"id": f"s{number}", "version": 1, "key": f"other-{number}"})
    refused = run("apply", "--yes")
    assert (refused.exit_code, "49 of at most 50" in refused.output) == (1, True)
    assert len(_stored(sandbox)) == 49


@pytest.mark.parametrize(
    ("status", "text"), [(403, "manage_subscriptions:shop"), (500, "commercetools refuses the request: 500")]
)
def test_refusals_are_one_clear_message(sandbox: Sandbox, run: Run, status: int, text: str) -> None:
    """A missing scope or a server error is reported in one line, without a traceback."""
    sandbox.commercetools.fail("subscriptions", status=status)
    refused = run("plan")
    assert refused.exit_code == 1
    assert text in refused.output
    assert refused.exception is None or isinstance(refused.exception, SystemExit)


def test_a_client_without_the_scope_gets_no_token(sandbox: Sandbox, run: Run) -> None:
    """The token endpoint refuses, and the error names the scope."""
    sandbox.commercetools.fail("oauth/token", status=400)
    refused = run("plan")
    assert (refused.exit_code, "manage_subscriptions:shop" in refused.output) == (1, True)


def test_an_invalid_topic_is_a_usage_error() -> None:
    """Exit 2, with the form that it should have."""
    result = CliRunner().invoke(manage, ["subscriptions", "plan", "--topic", "commercetools"])
    assert (result.exit_code, "projects/PROJECT/topics/TOPIC" in result.output) == (2, True)
