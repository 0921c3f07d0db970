"""A customer group as the answer: being in it is a yes, leaving it a no, and not being in it says nothing."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, ServeConsent
from tests.functional.consent_shop import EMAIL, SUBSCRIBE, UNSUBSCRIBE, UPDATE, UPSERT, ago, consent, profile_of
from tests.functional.documents import Json, change, customer, message, reference
from tests.functional.races import klaviyo_call

GROUP = '[consent]\nemail = "group:newsletter"\n'


@pytest.fixture
def function(sandbox: Sandbox, serve_consent: ServeConsent) -> Function:
    """A function that takes the group for the answer, and a shop with two groups."""
    for key in ("newsletter", "vip"):
        sandbox.commercetools.put("customer-groups", {"id": f"group-{key}", "version": 1, "key": key, "name": key})
    return serve_consent(GROUP)


def in_groups(*keys: str, version: int = 1, main: str = "") -> Json:
    """The customer in these groups."""
    assigned = [{"customerGroup": reference("customer-group", f"group-{key}")} for key in keys]
    own = {"customerGroup": reference("customer-group", f"group-{main}")} if main else {}
    return customer(version=version, customerGroupAssignments=assigned) | own


def told(name: str, *, at: str, version: int = 1, **payload: Any) -> Json:
    """A message about the customer's groups."""
    return message(name, "customer", "customer-1") | {"createdAt": at, "resourceVersion": version, **payload}


def assignment(key: str) -> Json:
    """An assignment to a group, as messages have it."""
    return {"customerGroup": reference("customer-group", f"group-{key}")}


def updated(version: int = 1) -> Json:
    """The change of the customer."""
    return change("ResourceUpdated", "customer", "customer-1", version=version)


@pytest.mark.parametrize("member", [in_groups("vip", "newsletter"), in_groups(main="newsletter")])
def test_being_in_the_group_subscribes(sandbox: Sandbox, function: Function, member: Json) -> None:
    """By an assignment, or as the customer's main group."""
    sandbox.commercetools.put("customers", member)
    assert measured(sandbox, function, updated()).written == (UPSERT, SUBSCRIBE, UPDATE)
    assert consent(sandbox) == "SUBSCRIBED"


def test_not_being_in_the_group_says_nothing(sandbox: Sandbox, function: Function) -> None:
    """Nor does a group that the client may not read, though the subscription is ours."""
    sandbox.klaviyo.set_consent(
        EMAIL, "SUBSCRIBED", custom_method_detail="commercetools", consent_timestamp=ago(days=1)
    )
    sandbox.commercetools.put("customers", in_groups("vip", main="vip"))
    assert measured(sandbox, function, updated()).written == (UPSERT,)
    sandbox.commercetools.tokens(deny_scopes=["view_customer_groups", "manage_customer_groups"])
    sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
    assert measured(sandbox, function, updated(2)).written == (UPSERT,)


def test_leaving_the_group_is_a_no_at_that_time(sandbox: Sandbox, function: Function) -> None:
    """Told by CustomerGroupAssignmentRemoved; a form that was used since has the last word."""
    sandbox.commercetools.put("customers", in_groups("vip", version=2))
    removed = told(
        "CustomerGroupAssignmentRemoved", at=ago(hours=1), version=2, customerGroupAssignment=assignment("newsletter")
    )
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(minutes=5), custom_method_detail="Footer")
    assert measured(sandbox, function, removed).written == (UPSERT,)
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=5), custom_method_detail="Footer")
    assert measured(sandbox, function, removed).written == (UPSERT, UNSUBSCRIBE, UPDATE)
    assert consent(sandbox) == "UNSUBSCRIBED"


def test_joining_the_group_is_a_yes_at_that_time(sandbox: Sandbox, function: Function) -> None:
    """Told by an assignment, or by the main group; the group's id is read once."""
    for days, name, payload in (
        (3, "CustomerGroupAssignmentAdded", {"customerGroupAssignment": assignment("newsletter")}),
        (1, "CustomerGroupSet", {"customerGroup": reference("customer-group", "group-newsletter")}),
    ):
        sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=days + 1))
        sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
        joined = told(name, at=ago(days=days), version=2, **payload)
        result = measured(sandbox, function, joined)
        assert result.written == (UPSERT, SUBSCRIBE, UPDATE)
        assert result.read.count("customer-groups.get") <= 1
        assert consent(sandbox) == "SUBSCRIBED"
    assert "customer-groups.get" not in result.read


@pytest.mark.parametrize("source", ["commercetools", "Footer"])
def test_a_main_group_that_changes(sandbox: Sandbox, function: Function, source: str) -> None:
    """CustomerGroupSet does not say which group was left: only what we gave ourselves is taken back."""
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=2), custom_method_detail=source)
    sandbox.commercetools.put("customers", in_groups(main="vip", version=2))
    moved = told("CustomerGroupSet", at=ago(days=1), version=2, customerGroup=reference("customer-group", "group-vip"))
    assert measured(sandbox, function, moved).written == (UPSERT,)
    profile = profile_of(sandbox)
    marked = {"properties": {"ct_consent_email": f"yes@{ago(days=3)}"}}
    data = {"type": "profile", "id": profile["id"], "attributes": marked}
    klaviyo_call(sandbox, "PATCH", f"profiles/{profile['id']}", {"data": data})
    ours = source == "commercetools"
    sandbox.commercetools.put("customers", in_groups(main="vip", version=3))
    again = told("CustomerGroupSet", at=ago(days=1), version=3, customerGroup=reference("customer-group", "group-vip"))
    assert measured(sandbox, function, again).written == ((UPSERT, UNSUBSCRIBE, UPDATE) if ours else (UPSERT,))
    assert consent(sandbox) == ("UNSUBSCRIBED" if ours else "SUBSCRIBED")


@pytest.mark.usefixtures("function")
def test_a_price_group_unsubscribes_nobody(sandbox: Sandbox, serve_consent: ServeConsent) -> None:
    """Also where the shop always wins: whoever was never in the group has said nothing."""
    function = serve_consent('[consent]\nemail = "group:newsletter"\nconflict = "commercetools"\n')
    sandbox.klaviyo.set_consent(EMAIL, "SUBSCRIBED", consent_timestamp=ago(days=2), custom_method_detail="Footer")
    sandbox.commercetools.put("customers", in_groups(main="vip", version=2))
    moved = told("CustomerGroupSet", at=ago(days=1), version=2, customerGroup=reference("customer-group", "group-vip"))
    assert measured(sandbox, function, moved).written == (UPSERT,)
    assert consent(sandbox) == "SUBSCRIBED"


def test_all_groups_set_at_once(sandbox: Sandbox, function: Function) -> None:
    """CustomerGroupAssignmentsSet tells who is in, and not since when."""
    sandbox.commercetools.put("customers", in_groups("newsletter", version=2))
    sandbox.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(days=2))
    told_all = told(
        "CustomerGroupAssignmentsSet", at=ago(days=1), version=2, customerGroupAssignments=[assignment("newsletter")]
    )
    assert measured(sandbox, function, told_all).written == (UPSERT,)
    assert consent(sandbox) == "UNSUBSCRIBED"


def test_messages_about_other_groups(sandbox: Sandbox, function: Function) -> None:
    """Ignored; one that is not true any more too."""
    sandbox.commercetools.put("customers", in_groups("newsletter", "vip", version=2))
    other = told("CustomerGroupAssignmentRemoved", at=ago(), version=2, customerGroupAssignment=assignment("vip"))
    assert measured(sandbox, function, other).outcome == "ignored other_field"
    late = told("CustomerGroupAssignmentRemoved", at=ago(), customerGroupAssignment=assignment("newsletter"))
    assert measured(sandbox, function, late).outcome == "ignored superseded"
