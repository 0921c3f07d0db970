"""Consent from a customer group: membership is a yes, leaving is a no, and no membership says nothing."""

from typing import Any

import pytest

import clients.commercetools
from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, ServeConsent
from tests.functional.consent_shop import (
    EMAIL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATE,
    UPSERT,
    ago,
    consent,
    customer_updated,
    profile_of,
)
from tests.functional.documents import Json, customer, message, reference
from tests.functional.races import klaviyo_call

GROUP = '[consent]\nemail = "group:newsletter"\n'


@pytest.fixture
def function(sandbox: Sandbox, serve_consent: ServeConsent) -> Function:
    """A function that reads consent from a group, and a shop with two groups."""
    for key in ("newsletter", "vip"):
        sandbox.commercetools.put("customer-groups", {"id": f"group-{key}", "version": 1, "key": key, "name": key})
    return serve_consent(GROUP)


def in_groups(*keys: str, version: int = 1, main: str = "") -> Json:
    """The customer, assigned to these groups; `main` is the customer's main group."""
    assigned = [{"customerGroup": reference("customer-group", f"group-{key}")} for key in keys]
    own = {"customerGroup": reference("customer-group", f"group-{main}")} if main else {}
    return customer(version=version, customerGroupAssignments=assigned) | own


def group_message(name: str, *, at: str, version: int = 1, **payload: Any) -> Json:
    """A Message about the customer's groups."""
    return message(name, "customer", "customer-1") | {"createdAt": at, "resourceVersion": version, **payload}


def assignment(key: str) -> Json:
    """A group assignment, as in Messages."""
    return {"customerGroup": reference("customer-group", f"group-{key}")}


@pytest.mark.parametrize("member", [in_groups("vip", "newsletter"), in_groups(main="newsletter")])
def test_being_in_the_group_subscribes(sandbox: Sandbox, function: Function, member: Json) -> None:
    """Membership by an assignment, or as the customer's main group, subscribes."""
    sandbox.commercetools.put("customers", member)
    assert measured(sandbox, function, customer_updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox) == "SUBSCRIBED"


def test_not_being_in_the_group_says_nothing(sandbox: Sandbox, function: Function) -> None:
    """If the customer is no member, or the group can't be read, even a subscription from commercetools stays."""
    sandbox.klaviyo.set_consent(
        EMAIL, "SUBSCRIBED", custom_method_detail="commercetools", consent_timestamp=ago(days=1)
    )
    sandbox.commercetools.put("customers", in_groups("vip", main="vip"))
    assert measured(sandbox, function, customer_updated()).written == (UPSERT,)
    sandbox.commercetools.tokens(deny_scopes=["view_customer_groups", "manage_customer_groups"])
    sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
    assert measured(sandbox, function, customer_updated(2)).written == (UPSERT,)


def test_leaving_the_group_is_a_no_at_that_time(sandbox: Sandbox, function: Function) -> None:
    """CustomerGroupAssignmentRemoved unsubscribes, unless a form was used since."""
    sandbox.commercetools.put("customers", in_groups("vip", version=2))
    removed = group_message(
        "CustomerGroupAssignmentRemoved", at=ago(hours=1), version=2, customerGroupAssignment=assignment("newsletter")
    )
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(minutes=5), custom_method_detail="Footer")
    assert measured(sandbox, function, removed).written == (UPSERT,)
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=5), custom_method_detail="Footer")
    assert measured(sandbox, function, removed).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == "UNSUBSCRIBED"


def test_joining_the_group_is_a_yes_at_that_time(sandbox: Sandbox, function: Function) -> None:
    """An assignment or a new main group subscribes. The group's id is read once and then cached."""
    for days, name, payload in (
        (3, "CustomerGroupAssignmentAdded", {"customerGroupAssignment": assignment("newsletter")}),
        (1, "CustomerGroupSet", {"customerGroup": reference("customer-group", "group-newsletter")}),
    ):
        sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=days + 1))
        sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
        joined = group_message(name, at=ago(days=days), version=2, **payload)
        result = measured(sandbox, function, joined)
        assert result.written == (UPSERT, SUBSCRIBE, UPDATE)
        assert result.read.count("customer-groups.get") <= 1
        assert consent(sandbox) == "SUBSCRIBED"
    assert "customer-groups.get" not in result.read


def test_a_group_created_again_under_its_key(
    sandbox: Sandbox, serve_consent: ServeConsent, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the cached id expires, joining the new group subscribes. Until then only the customer's changes do."""
    monkeypatch.setattr(clients.commercetools, "_GROUP_SECONDS", 0.0)
    expiring = serve_consent(GROUP)
    sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
    joined = group_message(
        "CustomerGroupAssignmentAdded", at=ago(days=3), version=2, customerGroupAssignment=assignment("newsletter")
    )
    for one in (function, expiring):
        assert one.deliver(joined).outcome == "synced"
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    sandbox.commercetools.delete("customer-groups", "group-newsletter")
    sandbox.commercetools.put(
        "customer-groups", {"id": "group-again", "version": 1, "key": "newsletter", "name": "newsletter"}
    )
    sandbox.commercetools.put("customers", in_groups("again", version=3))
    joined_again = group_message(
        "CustomerGroupAssignmentAdded", at=ago(days=1), version=3, customerGroupAssignment=assignment("again")
    )
    assert function.deliver(joined_again).reason == "other_field"
    result = measured(sandbox, expiring, joined_again)
    assert (result.outcome, result.read.count("customer-groups.get")) == ("synced", 1)
    assert consent(sandbox) == "SUBSCRIBED"


@pytest.mark.parametrize("source", ["commercetools", "Footer"])
def test_a_changed_main_group(sandbox: Sandbox, function: Function, source: str) -> None:
    """CustomerGroupSet does not name the old group: it only ends a subscription that has our source and our marker."""
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=2), custom_method_detail=source)
    sandbox.commercetools.put("customers", in_groups(main="vip", version=2))
    moved = group_message(
        "CustomerGroupSet", at=ago(days=1), version=2, customerGroup=reference("customer-group", "group-vip")
    )
    assert measured(sandbox, function, moved).written == (UPSERT,)
    profile = profile_of(sandbox)
    marked = {"properties": {"ct_consent_email": f"yes@{ago(days=3)}"}}
    data = {"type": "profile", "id": profile["id"], "attributes": marked}
    klaviyo_call(sandbox, "PATCH", f"profiles/{profile['id']}", {"data": data})
    ours = source == "commercetools"
    sandbox.commercetools.put("customers", in_groups(main="vip", version=3))
    again = group_message(
        "CustomerGroupSet", at=ago(days=1), version=3, customerGroup=reference("customer-group", "group-vip")
    )
    assert measured(sandbox, function, again).written == ((UPSERT, UNSUBSCRIBE, UPDATE) if ours else (UPSERT,))
    assert consent(sandbox) == ("UNSUBSCRIBED" if ours else "SUBSCRIBED")


@pytest.mark.usefixtures("function")
def test_a_price_group_unsubscribes_nobody(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """A new price group unsubscribes nobody who was never in the newsletter group, even if the shop always wins."""
    function = serve_consent('[consent]\nemail = "group:newsletter"\nconflict = "commercetools"\n')
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=2), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", in_groups(main="vip", version=2))
    moved = group_message(
        "CustomerGroupSet", at=ago(days=1), version=2, customerGroup=reference("customer-group", "group-vip")
    )
    assert measured(sandbox, function, moved).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_all_groups_set_at_once(sandbox: Sandbox, function: Function) -> None:
    """CustomerGroupAssignmentsSet does not say since when a customer is a member, so it is no new yes."""
    sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    all_set = group_message(
        "CustomerGroupAssignmentsSet", at=ago(days=1), version=2, customerGroupAssignments=[assignment("newsletter")]
    )
    assert measured(sandbox, function, all_set).written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"


def test_messages_about_other_groups(sandbox: Sandbox, function: Function) -> None:
    """Messages about other groups, and outdated ones, are ignored."""
    sandbox.commercetools.put("customers", in_groups("newsletter", "vip", version=2))
    other = group_message(
        "CustomerGroupAssignmentRemoved", at=ago(), version=2, customerGroupAssignment=assignment("vip")
    )
    assert measured(sandbox, function, other).outcome == "ignored other_field"
    late = group_message("CustomerGroupAssignmentRemoved", at=ago(), customerGroupAssignment=assignment("newsletter"))
    assert measured(sandbox, function, late).outcome == "ignored superseded"
