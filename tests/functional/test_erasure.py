"""Erasure: nobody who was not deleted, and everybody who was, whatever reads and lists say meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import change, customer, message
from tests.functional.races import create_profile, deliver_while

_NOT_FOUND = {"statusCode": 404, "message": "", "errors": [{"code": "ResourceNotFound", "message": ""}]}


def _erasure(minutes_ago: float = 0) -> Any:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return change("ResourceDeleted", "customer", "customer-1", dataErasure=True, modifiedAt=at.isoformat())


@pytest.mark.parametrize("minutes", [0, 9, 11])
def test_who_is_still_there_is_not_erased(sandbox: Sandbox, function: Function, minutes: float) -> None:
    """A read may lag behind the deletion for a while; no payload's word alone erases anybody."""
    sandbox.commercetools.put("customers", customer())
    create_profile(sandbox, external_id="customer-1")
    done = measured(sandbox, function, _erasure(minutes))
    assert (done.outcome, done.written) == ("retried still_there", ())
    assert len(done.state["profiles"]) == 1
    letters = [line for line in function.lines() if line.get("letter") == "still_there"]
    is_old = minutes > 10
    assert bool(letters) == is_old, "a letter that could not be published, as there is no topic"


def test_an_erasure_follows_once_the_customer_is_gone(sandbox: Sandbox, function: Function) -> None:
    """The message that waited for the read is the one that erases."""
    sandbox.commercetools.put("customers", customer())
    function.deliver(message("CustomerCreated", "customer", "customer-1"))
    told = _erasure()
    assert function.deliver(told).reason == "still_there"
    sandbox.commercetools.delete("customers", "customer-1")
    done = measured(sandbox, function, told)
    assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 2), [])


def test_a_list_that_lags_hides_nobody(sandbox: Sandbox, function: Function) -> None:
    """The list shows none; the upsert by the customer's id says whose profile it is."""
    create_profile(sandbox, external_id="customer-1", email="somebody@example.com")
    sandbox.klaviyo.fail("/api/profiles", method="GET", status=200, body={"data": [], "links": {}})
    done = measured(sandbox, function, _erasure())
    assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 3), [])


def test_the_profile_that_the_look_made_goes_too(sandbox: Sandbox, function: Function) -> None:
    """Klaviyo never knew the customer: nothing is left behind, however often the message comes."""
    for _ in range(2):
        done = measured(sandbox, function, _erasure())
        assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 3), [])


def test_a_copy_that_ends_after_the_erasure_is_undone(sandbox: Sandbox, serve: Serve) -> None:
    """Another instance writes the customer it has read before; at the end there is no profile."""
    function, other = serve(), serve()
    sandbox.commercetools.put("customers", customer())

    def erased() -> None:
        sandbox.commercetools.delete("customers", "customer-1")
        assert other.deliver(_erasure()).outcome == "synced"

    sandbox.klaviyo.fail("/api/profile-import", method="POST", status=503, count=1)
    told = message("CustomerCreated", "customer", "customer-1")
    assert deliver_while(function, sandbox, told, "create_or_update_profile", erased).reason == "deleted_meanwhile"
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_copy_that_fails_after_its_write_brings_nobody_back(sandbox: Sandbox, serve: Serve) -> None:
    """The write had its effect and was answered as failed: what comes again finds the customer gone, and stops."""
    function, other = serve(), serve()
    sandbox.commercetools.put("customers", customer())

    def erased() -> None:
        sandbox.commercetools.delete("customers", "customer-1")
        assert other.deliver(_erasure()).outcome == "synced"

    sandbox.klaviyo.fail("/api/profile-import", method="POST", status=503, apply=True, delay=0.5, count=3)
    told = message("CustomerCreated", "customer", "customer-1")
    with_failures = deliver_while(function, sandbox, told, "create_or_update_profile", erased)
    assert with_failures.outcome in ("retried", "ignored")
    function.deliver(told)
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_read_that_lags_erases_nobody(sandbox: Sandbox, function: Function) -> None:
    """A customer who was made a moment ago, and is not shown by the look, is left to people."""
    made = datetime.now(UTC).isoformat()
    sandbox.commercetools.put("customers", customer(createdAt=made))
    sandbox.commercetools.fail("/customers/customer-1", status=404, body=_NOT_FOUND, skip=1, count=1)
    told = message("CustomerCreated", "customer", "customer-1", createdAt=made)
    answer = function.deliver(told)
    letters = [line for line in function.lines() if line.get("letter") == "brought_back"]
    assert (answer.outcome, len(letters)) == ("retried", 1), (
        "a letter that could not be published, as there is no topic"
    )
    assert [profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]] == ["customer-1"]


def test_a_profile_that_is_gone_is_erased(sandbox: Sandbox, function: Function) -> None:
    """The list still shows it, Klaviyo does not know it: there is nothing left to erase."""
    create_profile(sandbox, external_id="customer-1")
    sandbox.klaviyo.fail("/api/data-privacy-deletion-jobs", status=404, count=1)
    assert function.deliver(_erasure()).outcome == "synced"
