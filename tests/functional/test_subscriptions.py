"""`manage.py subscriptions` brings the subscriptions to what the registry consumes, and touches no others."""

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
        return CliRunner().invoke(manage, ["subscriptions", *arguments, "--topic", TOPIC], input=answer)

    return run


def _stored(sandbox: Sandbox) -> dict[str, Any]:
    found = sandbox.commercetools.state()["documents"]["subscriptions"]
    return {one["key"]: one for one in (found.values() if isinstance(found, dict) else found)}


def test_apply_makes_what_the_registry_consumes(sandbox: Sandbox, run: Run) -> None:
    """Messages by type and changes by resource, all that is on and nothing else; a second run changes nothing."""
    assert run("plan").exit_code == 1
    applied = run("apply", "--yes")
    assert applied.exit_code == 0, applied.output
    stored = _stored(sandbox)
    made = {
        (entry["resourceTypeId"], name)
        for entry in stored["klaviyo-sync-messages"]["messages"]
        for name in entry["types"]
    }
    assert made == {
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
"""Refunds, an order message and all changes of customers; `OrderStateChanged` still has its cancelled states."""


@pytest.fixture
def rules(settings_file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put these tables into force as the sync.toml of the commands."""
    return lambda text: monkeypatch.setenv("SYNC_CONFIG", settings_file(text))


def _delivered(sandbox: Sandbox) -> set[str]:
    """Everything that commercetools delivers, message types as `resource/type`."""
    stored = _stored(sandbox).values()
    types = {f"{one['resourceTypeId']}/{name}" for made in stored for one in made["messages"] for name in one["types"]}
    return types | {one["resourceTypeId"] for made in stored for one in made["changes"]}


def test_what_is_switched_off_leaves_the_plan(sandbox: Sandbox, run: Run, rules: Callable[[str], None]) -> None:
    """Disabled keys and those whose setting is off go, and nothing else; the plan says which setting it was."""
    run("apply", "--yes")
    everything = _delivered(sandbox)
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
    assert everything - _delivered(sandbox) == {"order/OrderImported", "customer"} | payments
    assert _delivered(sandbox) < everything
    assert run("plan").exit_code == 0
    rules("")
    run("apply", "--yes")
    assert _delivered(sandbox) == everything


NO_SHIPMENTS = {
    'shipped_order = ""\npartially_shipped_order = ""\ndelivered_order = ""': {"OrderShipmentStateChanged"},
    'confirmed_shipment = ""': {"ParcelAddedToDelivery", "ParcelTrackingDataUpdated"},
    'requested_return = ""\nreturned_order = ""': {
        "ReturnInfoAdded", "ReturnInfoSet", "OrderReturnShipmentStateChanged",
    },
    'returned_order = ""': {"OrderReturnShipmentStateChanged"},
    'requested_return = ""': set(),
    'shipped_order = ""\ndelivered_order = ""': set(),
}  # fmt: skip
"""Empty names of metrics, and the messages that nobody needs then."""


@pytest.mark.parametrize(("names", "gone"), NO_SHIPMENTS.items())
def test_a_metric_without_name_leaves_the_plan(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None], names: str, gone: set[str]
) -> None:
    """With the last metric of a message its message goes, and the plan says which setting it was."""
    run("apply", "--yes")
    everything = _delivered(sandbox)
    rules(f"[metrics]\n{names}\n")
    shown = run("plan").output
    for name in gone:
        assert f"- message order/{name}" in shown
        assert f"order/{name}: [metrics] " in shown
    run("apply", "--yes")
    assert everything - _delivered(sandbox) == {f"order/{name}" for name in gone}


def test_paid_order_and_transitions_are_asked_for_once_they_are_named(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """Both are off by default."""
    run("apply", "--yes")
    everything = _delivered(sandbox)
    rules('[metrics]\npaid_order = "Paid Order"\n[order]\ntransitions = { "packed" = "Packed" }\n')
    run("apply", "--yes")
    assert _delivered(sandbox) - everything == {"order/OrderPaymentStateChanged", "order/OrderStateTransition"}


def test_one_change_that_is_consumed_keeps_its_resource(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """Commercetools can't be asked for updates without deletions: these are then ignored when they come."""
    rules("[customer]\nerase = false\n")
    run("apply", "--yes")
    assert "customer" in _delivered(sandbox)


def test_a_subscription_without_any_message_is_deleted(
    sandbox: Sandbox, run: Run, rules: Callable[[str], None]
) -> None:
    """Commercetools allows no empty one: it goes, is not missed, and comes back with the first message."""
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
        """Run it where nothing of the environment is set but SYNC_CONFIG."""
        for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", "KLAVIYO_AUTH_KEY"):
            monkeypatch.delenv(name, raising=False)
        return lambda *arguments: CliRunner().invoke(manage, ["subscriptions", "plan", *arguments])

    def test_what_is_consumed_is_written(self, write: Run, rules: Callable[[str], None], tmp_path: Path) -> None:
        """Both variables, without what is switched off; it says where, by which sync.toml, and what is off."""
        rules(OFF)
        done = write("--tfvars", str(tmp_path))
        assert done.exit_code == 0, done.output
        path = tmp_path / "subscriptions.auto.tfvars.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        assert written["subscribed_changes"] == ["category", "inventory-entry"]
        assert "payment" not in written["subscribed_messages"]
        assert "OrderImported" not in written["subscribed_messages"]["order"]
        assert "OrderStateChanged" in written["subscribed_messages"]["order"]
        assert written.keys() == {"subscribed_messages", "subscribed_changes"}
        for told in (str(path), "sync.toml", "payment/PaymentTransactionAdded: [payment] refund_states"):
            assert told in done.output

    def test_the_defaults_are_those_of_the_registry(self, write: Run, tmp_path: Path) -> None:
        """Without a file of one's own: all that is on by default."""
        assert write("--tfvars", str(tmp_path)).exit_code == 0
        written = json.loads((tmp_path / "subscriptions.auto.tfvars.json").read_text(encoding="utf-8"))
        rules = SyncRules()
        assert written == {"subscribed_messages": messages(rules), "subscribed_changes": changes(rules)}

    def test_without_a_folder_it_is_that_of_the_module(
        self, write: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`--tfvars` alone, also before another option, writes where Terraform looks."""
        option = next(one for one in show_plan.params if one.name == "tfvars")
        assert isinstance(option, click.Option)
        assert Path(str(option.flag_value)) == ROOT / "terraform"
        monkeypatch.setattr(option, "flag_value", str(tmp_path))
        assert write("--tfvars", "--topic", TOPIC).exit_code == 0
        assert (tmp_path / "subscriptions.auto.tfvars.json").exists()

    def test_a_folder_that_is_none_is_a_usage_error(self, write: Run, tmp_path: Path) -> None:
        """Exit status 2, and nothing is made."""
        done = write("--tfvars", str(tmp_path / "nowhere"))
        assert (done.exit_code, "nowhere" in done.output) == (2, True)
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_sync_toml_is_said(self, write: Run, rules: Callable[[str], None], tmp_path: Path) -> None:
        """In a message, and no file is written."""
        rules("[customer]\nerased = true\n")
        done = write("--tfvars", str(tmp_path))
        assert (done.exit_code, "customer.erased is not known" in done.output) == (1, True)
        assert not (tmp_path / "subscriptions.auto.tfvars.json").exists()

    def test_a_plan_needs_a_topic_otherwise(self, write: Run) -> None:
        """As it did."""
        done = write()
        assert (done.exit_code, "--topic" in done.output) == (2, True)


def test_what_no_scope_lets_read_is_not_asked_for(sandbox: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan says which scope that is."""
    scopes = sandbox.environment["CT_SCOPE"].replace(" view_standalone_prices:shop", "")
    monkeypatch.setenv("CT_SCOPE", scopes)
    assert "standalone-price/StandalonePriceCreated: CT_SCOPE without view_standalone_prices" in run("plan").output
    assert run("apply", "--yes").exit_code == 0
    asked = [entry["resourceTypeId"] for entry in _stored(sandbox)["klaviyo-sync-messages"]["messages"]]
    assert ("standalone-price" in asked, "product" in asked) == (False, True)
    assert run("plan").exit_code == 0


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
    ("status", "said"), [(403, "manage_subscriptions:shop"), (500, "commercetools refuses the request: 500")]
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
