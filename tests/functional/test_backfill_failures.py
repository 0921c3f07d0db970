"""Failures during a backfill: it waits when throttled, continues when data is refused, stops when access is denied."""

import json
from collections import Counter
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.documents import customer, order, payment, product, reference
from tests.functional.job_runs import Job, answered_calls


@pytest.fixture
def orders(sandbox: Sandbox) -> Sandbox:
    """Ten orders without line items, of one customer, with a refund."""
    sandbox.commercetools.put("customers", customer())
    paid = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
    for number in range(10):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], **paid))
    sandbox.commercetools.put("payments", payment())
    return sandbox


def _placed_orders(sandbox: Sandbox) -> list[str]:
    return sorted(one["unique_id"] for one in sandbox.klaviyo.state()["events"] if one["metric"] == "Placed Order")


ALL_PLACED = [f"order-{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("^/api/events", {"status": 429, "headers": {"Retry-After": "2"}, "count": 4}),
        ("^/api/events", {"status": 429, "count": 2}),
        ("^/api/events", {"status": 503, "count": 12}),
        ("^/api/events", {"reset": "answering", "apply": True, "rate": 0.5, "count": 12}),
        ("/shop/customers", {"status": 503, "count": 12}),
        ("/shop/customers", {"status": 429, "headers": {"Retry-After": "1"}, "count": 4}),
        ("/oauth/token", {"status": 503, "count": 4}),
    ],
    ids=["429", "429 without Retry-After", "503", "reset", "shop 503", "shop 429", "token"],
)
def test_temporary_failures_are_waited_for(orders: Sandbox, job: Job, path: str, fault: dict[str, Any]) -> None:
    """After temporary failures every order is sent, and nothing counts as an error."""
    backends = (orders.klaviyo, orders.commercetools)
    for backend in backends:
        backend.fail(path, **fault)
    done = job.run("--only", "orders")
    assert any(rule["hits"] for backend in backends for rule in backend.failures())
    assert (done.code, job.error_lines()) == (0, [])
    assert _placed_orders(orders) == ALL_PLACED
    assert len(orders.klaviyo.state()["events"]) == 10


def test_rate_limits_below_the_documented_ones(orders: Sandbox, job: Job) -> None:
    """If Klaviyo allows a hundredth of its documented rate, throttled events are retried, and each is accepted once."""
    orders.klaviyo.limits(scale=0.01)  # 3 events a second, 35 a minute
    done = job.run("--only", "orders")
    assert (done.code, job.error_lines()) == (0, [])
    assert _placed_orders(orders) == ALL_PLACED
    answers = Counter(call["status"] for call in answered_calls(orders, "create_event"))
    assert answers[202] == 10
    assert answers[429] > 0


def test_refused_orders_can_be_retried_with_ids(orders: Sandbox, job: Job) -> None:
    """An unmappable order and one that Klaviyo refuses don't stop the others. `--ids` retries just those two."""
    orders.commercetools.patch("orders", "order-3", {"totalPrice": {}})
    orders.klaviyo.fail("^/api/events", status=400, count=1)
    done = job.run("--only", "orders")
    assert done.code == 0
    assert done.report["passes"]["orders"]["errors"] == 2
    assert "--ids backfill-errors.jsonl retries them" in done.stop_reasons
    unmapped, refused = sorted(job.error_lines(), key=lambda line: line["reason"], reverse=True)
    assert unmapped == {"resource": "order/order-3", "pass": "orders", "reason": "unmappable", "code": "KeyError"}
    refused_id = refused["resource"].partition("/")[2]
    assert (refused["reason"], refused["status"]) == ("klaviyo_refused", 400)
    assert refused["part"] == f"Placed Order {refused_id}"
    assert _placed_orders(orders) == sorted(set(ALL_PLACED) - {"order-3", refused_id})

    orders.klaviyo.forget_requests()
    too_soon = job.run("--ids", "backfill-errors.jsonl")
    assert too_soon.report["passes"]["orders"]["errors"] == 1
    assert len(answered_calls(orders, "create_event")) == 1
    assert [line["resource"] for line in job.error_lines("backfill-errors.left.jsonl")] == ["order/order-3"]

    orders.commercetools.put("orders", order("order-3", lines=[]))
    again = job.run("--ids", "backfill-errors.jsonl")
    assert (again.code, again.report["passes"]["orders"]["read"]) == (0, 2)
    assert _placed_orders(orders) == ALL_PLACED
    assert job.error_lines("backfill-errors.left.jsonl") == []


@pytest.mark.parametrize("name", ["orders", "customers", "products", "refunds"])
def test_a_list_of_ids(orders: Sandbox, job: Job, name: str) -> None:
    """`--ids` takes a file with one id per line. Deleted resources are skipped, but products leave the catalog."""
    orders.commercetools.put("products", product())
    ids = {"orders": "order-1", "customers": "customer-1", "products": "product-1", "refunds": "payment-1"}
    (job.folder / "ids").write_text(f"{ids[name]}\n\ngone\n", encoding="utf-8")
    done = job.run("--only", name, "--ids", "ids").report["passes"][name]
    if name == "products":  # a deleted product must be removed from the catalog
        assert (done["read"], done["sent"], done["skipped"]) == (2, 2, {})
    else:
        assert (done["read"], done["sent"], done["skipped"]) == (2, 1, {"deleted": 1})
    state = orders.klaviyo.state()
    found = {"orders": _placed_orders(orders), "customers": [one["external_id"] for one in state["profiles"]]}
    found |= {"products": list(state["items"]), "refunds": ["payment-1"] if state["events"] else []}
    assert found[name] == [ids[name]]


@pytest.mark.parametrize(
    ("denied", "reason"),
    [
        ({"scopes": ["accounts:read"]}, "Klaviyo denies a call (403"),
        ({"accepted": ["another"]}, "Klaviyo denies a call (401"),
    ],
)
def test_a_denied_key_stops_the_run(orders: Sandbox, job: Job, denied: dict[str, list[str]], reason: str) -> None:
    """A denied call stops the run at once. No resource counts as an error, and the same command resumes."""
    orders.klaviyo.keys(**denied)
    stopped = job.run("--only", "orders")
    assert (stopped.code, reason in stopped.stop_reasons, job.error_lines()) == (77, True, [])
    orders.klaviyo.keys(None)
    assert job.run("--only", "orders").code == 0
    assert _placed_orders(orders) == ALL_PLACED


def test_a_client_without_scope_stops_the_run(orders: Sandbox, job: Job) -> None:
    """A missing scope in commercetools stops the run."""
    orders.commercetools.tokens(deny_scopes=["view_orders", "manage_orders"])
    stopped = job.run("--only", "orders")
    assert (stopped.code, "commercetools denies a call (403" in stopped.stop_reasons) == (77, True)


def test_a_key_without_accounts_read(orders: Sandbox, job: Job) -> None:
    """Without `accounts:read` the account is unknown, so the state file is bound to the key, which it doesn't show."""
    orders.klaviyo.keys(scopes=["events:write", "profiles:read", "profiles:write"])
    assert job.run("--only", "orders").code == 0
    assert job.state["account"].startswith("key-")
    assert orders.environment["KLAVIYO_AUTH_KEY"] not in json.dumps(job.state)
    other = job.run("--only", "orders", KLAVIYO_AUTH_KEY="another-key")
    assert (other.code, "belongs to another Klaviyo account" in other.stop_reasons) == (78, True)


def test_too_many_refusals_stop_the_run(sandbox: Sandbox, job: Job) -> None:
    """If more than 5 % is refused, the run stops: the configuration must be wrong, not the data."""
    sandbox.commercetools.put_all({"customers": [customer(f"customer-{n}", addresses=[]) for n in range(300)]})
    sandbox.klaviyo.fail("^/api/profile-import", status=400, rate=0.3)
    stopped = job.run("--only", "customers")
    assert (stopped.code, "something is wrong with the configuration" in stopped.stop_reasons) == (4, True)
    assert stopped.report["passes"]["customers"]["read"] == 200


def test_a_refused_predicate_of_refunds(orders: Sandbox, job: Job) -> None:
    """If commercetools refuses the predicate for refunds, all payments are read, with the same result."""
    refused = {"statusCode": 400, "message": "", "errors": [{"code": "InvalidInput", "message": ""}]}
    orders.commercetools.fail("^/shop/payments$", status=400, body=refused, count=2)  # the count and the first page
    assert job.run("--only", "refunds").code == 0
    assert [one["unique_id"] for one in orders.klaviyo.state()["events"]] == ["payment-1:refund-1"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--since", "soon"], "--since must be a date, a time, or a span"),
        (["--since", "1d", "--until", "2d"], "--since must be before --until"),
        (["--ids", "ids", "--since", "1d"], "leave out --since and --until"),
        (["--ids", "nothing"], "No such file"),
        (["--ids", "ids"], "line 1 is an id, so --only must name the one pass"),
        (["--ids", "ids", "--only", "orders", "--errors", "ids"], "--errors must be a different file from --ids"),
        (["--only", "carts"], "invalid choice: 'carts'"),
        (["--share", "2"], "argument --share: invalid"),
        (["--page", "501"], "argument --page: invalid"),
    ],
    ids=str,
)
def test_wrong_arguments(job: Job, arguments: list[str], error: str) -> None:
    """Wrong arguments exit with 2, and stderr says what is wrong."""
    (job.folder / "ids").write_text("order-1\n", encoding="utf-8")
    refused = job.run(*arguments)
    assert (refused.code, error in refused.errors) == (2, True), refused.errors


def test_wrong_settings(job: Job) -> None:
    """Wrong settings exit with 78, and the log lists all problems."""
    refused = job.run(CT_API_URL="")
    assert refused.code == 78
    assert refused.lines[0]["problems"] == ["CT_API_URL is not set"]


def test_restart_clears_the_errors_file(orders: Sandbox, job: Job) -> None:
    """With `--restart` the errors file starts empty: it has only the new run's errors."""
    orders.commercetools.patch("orders", "order-3", {"totalPrice": {}})
    job.run("--only", "orders")
    job.run("--only", "orders", "--restart")
    assert len(job.error_lines()) == 1
