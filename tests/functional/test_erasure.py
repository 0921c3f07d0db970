"""Erasure reaches every customer deleted with data erasure and nobody else, even while reads and lists lag."""

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
def test_an_existing_customer_is_not_erased(sandbox: Sandbox, function: Function, minutes: float) -> None:
    """A payload alone erases nobody. The read may lag: retry for ten minutes, then dead-letter the message."""
    sandbox.commercetools.put("customers", customer())
    create_profile(sandbox, external_id="customer-1")
    done = measured(sandbox, function, _erasure(minutes))
    assert (done.outcome, done.written) == ("retried still_there", ())
    assert len(done.state["profiles"]) == 1
    dead_letters = [line for line in function.lines() if line.get("letter") == "still_there"]
    is_old = minutes > 10
    assert bool(dead_letters) == is_old, "only an old message becomes a dead letter (logged, as there is no topic)"


def test_an_erasure_follows_once_the_customer_is_deleted(sandbox: Sandbox, function: Function) -> None:
    """The redelivered message erases the profile as soon as the read shows the deletion."""
    sandbox.commercetools.put("customers", customer())
    function.deliver(message("CustomerCreated", "customer", "customer-1"))
    notification = _erasure()
    assert function.deliver(notification).reason == "still_there"
    sandbox.commercetools.delete("customers", "customer-1")
    done = measured(sandbox, function, notification)
    assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 2), [])


def test_a_lagging_list_hides_no_profile(sandbox: Sandbox, function: Function) -> None:
    """If the list shows no profile, an upsert with the customer's id finds the one to erase."""
    create_profile(sandbox, external_id="customer-1", email="somebody@example.com")
    sandbox.klaviyo.fail("/api/profiles", method="GET", status=200, body={"data": [], "links": {}})
    done = measured(sandbox, function, _erasure())
    assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 3), [])


def test_a_profile_created_by_the_lookup_is_erased(sandbox: Sandbox, function: Function) -> None:
    """If Klaviyo never knew the customer, the upsert creates a profile, which is erased too; also on redelivery."""
    for _ in range(2):
        done = measured(sandbox, function, _erasure())
        assert (done.outcome, done.calls, done.state["profiles"]) == ("synced", (1, 3), [])


def test_a_copy_that_ends_after_the_erasure_is_undone(sandbox: Sandbox, serve: Serve) -> None:
    """One instance writes a customer whom another instance erases: in the end there is no profile."""
    function, other = serve(), serve()
    sandbox.commercetools.put("customers", customer())

    def erase() -> None:
        sandbox.commercetools.delete("customers", "customer-1")
        assert other.deliver(_erasure()).outcome == "synced"

    sandbox.klaviyo.fail("/api/profile-import", method="POST", status=503, count=1)
    notification = message("CustomerCreated", "customer", "customer-1")
    assert (
        deliver_while(function, sandbox, notification, "create_or_update_profile", erase).reason == "deleted_meanwhile"
    )
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_copy_that_fails_after_its_write_brings_nobody_back(sandbox: Sandbox, serve: Serve) -> None:
    """The write took effect but was answered 503. The redelivery finds the customer deleted and writes nothing."""
    function, other = serve(), serve()
    sandbox.commercetools.put("customers", customer())

    def erase() -> None:
        sandbox.commercetools.delete("customers", "customer-1")
        assert other.deliver(_erasure()).outcome == "synced"

    sandbox.klaviyo.fail("/api/profile-import", method="POST", status=503, apply=True, delay=0.5, count=3)
    notification = message("CustomerCreated", "customer", "customer-1")
    with_failures = deliver_while(function, sandbox, notification, "create_or_update_profile", erase)
    assert with_failures.outcome in ("retried", "ignored")
    function.deliver(notification)
    assert sandbox.klaviyo.state()["profiles"] == []


def test_a_lagging_read_erases_nobody(sandbox: Sandbox, function: Function) -> None:
    """If the check misses a customer created a moment ago, a dead letter lets a person decide."""
    created_at = datetime.now(UTC).isoformat()
    sandbox.commercetools.put("customers", customer(createdAt=created_at))
    sandbox.commercetools.fail("/customers/customer-1", status=404, body=_NOT_FOUND, skip=1, count=1)
    notification = message("CustomerCreated", "customer", "customer-1", createdAt=created_at)
    answer = function.deliver(notification)
    dead_letters = [line for line in function.lines() if line.get("letter") == "brought_back"]
    assert (answer.outcome, len(dead_letters)) == ("retried", 1), "one dead letter, only logged, as there is no topic"
    assert [profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]] == ["customer-1"]


def test_erasing_a_missing_profile_succeeds(sandbox: Sandbox, function: Function) -> None:
    """The list still shows a profile that Klaviyo no longer has: there is nothing left to erase."""
    create_profile(sandbox, external_id="customer-1")
    sandbox.klaviyo.fail("/api/data-privacy-deletion-jobs", status=404, count=1)
    assert function.deliver(_erasure()).outcome == "synced"
