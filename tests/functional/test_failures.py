"""docs/failures.md is true: every case of its table, over HTTP against a sandbox that fails on request."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from commands.processes import ROOT, Sandbox, free_port
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Answer, Serve
from tests.functional.documents import change, customer, entry
from tests.functional.failure_cases import (
    FAILURES_PAGE,
    LIMITS,
    MESSAGE_SECONDS,
    SLACK_SECONDS,
    TOPIC,
    FakeTopic,
    Stopwatch,
    all_requests,
    fault_options,
    table_rows,
)

CUSTOMER = change("ResourceUpdated", "customer", "customer-1")
STOCK = change("ResourceUpdated", "inventory-entry", "entry-1")
STOCK_DELETED = change(
    "ResourceDeleted", "inventory-entry", "entry-2", resourceUserProvidedIdentifiers={"sku": "product-1-sku"}
)

CASES = [tuple(row[:5]) for row in table_rows("backend", "case", "outcome", "reason in the log", "again")]
_PATHS = {"Klaviyo": "^/api/", "commercetools": "^/shop/", "commercetools auth": "^/oauth/token"}
_URLS = {"Klaviyo": "KLAVIYO_API_URL", "commercetools": "CT_API_URL", "commercetools auth": "CT_AUTH_URL"}
_HEALTHY_REQUESTS = 3
"""Requests of a message when nothing fails: token, read, write."""
_MAX_REQUESTS = _HEALTHY_REQUESTS + 10

Settings = Callable[[str], str]


def _assert_as_documented(sandbox: Sandbox, dead_letters: FakeTopic, answer: Answer, row: tuple[str, ...]) -> None:
    """Check the outcome, reason and retries of a row, its dead letter if it has one, and the number of requests."""
    backend, _, outcome, reason, again = row
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert answer.status == (REFUSED if outcome == "retried" else ACKNOWLEDGED)
    assert answer.line["severity"] == _severity(outcome, reason)
    assert [dead_letter.attributes["reason"] for dead_letter in dead_letters.published] == (
        [reason] if outcome == "dead-lettered" else []
    )
    failing = "klaviyo" if backend == "Klaviyo" else "commercetools"
    token_refreshes = 1 if (row[:2] == ("commercetools", "401")) else 0
    calls = answer.line["calls"][failing] - token_refreshes
    assert calls > 1 if again == "yes" else calls == 1
    assert len(all_requests(sandbox.commercetools, sandbox.klaviyo)) <= _MAX_REQUESTS


def _severity(outcome: str, reason: str) -> str:
    """The severity by the page: ERROR is for what needs a person."""
    if outcome == "dead-lettered" or reason.endswith("_denied"):
        return "ERROR"
    return "WARNING" if outcome == "retried" else "INFO"


def _deliver(serve: Serve, settings_file: Settings, sandbox: Sandbox, row: tuple[str, ...], message: Any) -> Answer:
    """Deliver a message while the row's backend fails as the row says. Check that the answer comes in time."""
    backend, case, *_ = row
    environment = {"SYNC_CONFIG": settings_file(LIMITS)}
    if case == "connection refused":
        environment[_URLS[backend]] = f"http://127.0.0.1:{free_port()}"
    else:
        control = sandbox.klaviyo if backend == "Klaviyo" else sandbox.commercetools
        control.fail(_PATHS[backend], **fault_options(case))
    function = serve(**environment)
    watch = Stopwatch()
    answer = function.deliver(message)
    assert watch.seconds < MESSAGE_SECONDS + SLACK_SECONDS
    return answer


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=": ".join(row[:2])) for row in CASES if row[1] != "404 of a query"]
)
def test_customer_messages(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, dead_letters: FakeTopic
) -> None:
    """A customer's message ends as the page says, in time, with at most ten requests more than a healthy one."""
    sandbox.commercetools.put("customers", customer())
    answer = _deliver(serve, settings_file, sandbox, row, CUSTOMER)
    _assert_as_documented(sandbox, dead_letters, answer, row)
    if row[0] != "Klaviyo":
        assert sandbox.klaviyo.requests() == [], "nothing may be written if the read failed"


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row[1]) for row in CASES if row[0] == "Klaviyo" and row[1] != "404"]
)
def test_catalog_writes(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, dead_letters: FakeTopic
) -> None:
    """A failed write to the catalog is handled like one to a profile; only 404 has a rule of its own."""
    sandbox.commercetools.put("inventory", entry())
    answer = _deliver(serve, settings_file, sandbox, row, STOCK)
    _assert_as_documented(sandbox, dead_letters, answer, row)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row[1]) for row in CASES if row[0] == "commercetools" and row[1] != "404 of a resource"],
)
def test_commercetools_queries(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, dead_letters: FakeTopic
) -> None:
    """A failed query of commercetools is handled like the read of one resource; only 404 differs."""
    answer = _deliver(serve, settings_file, sandbox, row, STOCK_DELETED)
    _assert_as_documented(sandbox, dead_letters, answer, row)
    assert sandbox.klaviyo.requests() == [], "nothing may be written if the read failed"


def test_a_fault_in_the_code(sandbox: Sandbox, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is retried, and logged as an error that names its place but not its text."""

    def broken(*_: object) -> None:
        raise KeyError(customer()["email"])

    function = serve()
    monkeypatch.setattr(pipeline, "_handler", broken)
    answer = function.deliver(CUSTOMER)
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "unforeseen")
    assert answer.line["severity"] == "ERROR"
    assert re.fullmatch(r"KeyError tests\.functional\.test_failures:\d+", answer.line["code"])
    assert sandbox.klaviyo.requests() == []


def test_dead_letter(sandbox: Sandbox, serve: Serve, dead_letters: FakeTopic) -> None:
    """A dead letter has the original data and says what failed, without the backend's prose."""
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", status=400)
    data = json.dumps(CUSTOMER, indent=3).encode()
    answer = serve().deliver(data, deliveryAttempt=4)
    assert (answer.status, answer.outcome) == (ACKNOWLEDGED, "dead-lettered")
    (dead_letter,) = dead_letters.published
    assert (dead_letter.topic, dead_letter.data) == (TOPIC, data)
    assert dead_letter.attributes == {
        "reason": "klaviyo_refused",
        "error": "Refused invalid",
        "status": "400",
        "resource": "customer/customer-1",
        "type": "ResourceUpdated",
        "message_id": "message-0",
        "attempt": "4",
    }


@pytest.mark.parametrize("topic", [None, TOPIC], ids=["no topic", "publishing fails"])
def test_dead_letter_that_can_not_be_published(
    topic: str | None, sandbox: Sandbox, serve: Serve, dead_letters: FakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a topic, or if publishing fails, the message stays with Pub/Sub, and the log has the reason."""
    dead_letters.error = TimeoutError("with text that is not logged")
    if topic is None:
        monkeypatch.delenv("DEAD_LETTER_TOPIC")
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", status=400)
    function = serve()
    answer = function.deliver(CUSTOMER)
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "klaviyo_refused")
    (why,) = [line for line in function.lines() if line["message"] == "not dead-lettered"]
    assert why["reason"] == ("dead_letter_failed" if topic else "no_dead_letter_topic")
    sandbox.klaviyo.clear_failures()
    assert function.deliver(CUSTOMER).outcome == "synced"


def test_a_byte_per_second_with_the_default_limits(sandbox: Sandbox, serve: Serve) -> None:
    """If Klaviyo sends one byte per second, the message is answered within 30 seconds."""
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", trickle=1)
    function = serve()
    watch = Stopwatch()
    answer = function.deliver(CUSTOMER)
    assert watch.seconds < 30
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "klaviyo_unreachable")


def test_page_has_every_reason() -> None:
    """Every reason that the code can give is on the page."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("", "core", "handlers", "clients", "mappers", "jobs")
        for path in (ROOT / folder).glob("*.py")
    )
    matches = set(re.findall(r'(?:Ignored|TryAgain|DeadLetter|Unavailable)\("([a-z_]+)"|problem="([a-z_]+)"', code))
    reasons = {name for pair in matches for name in pair if name} - {"no_failure"}
    documented = set(re.findall(r"[a-z]+(?:_[a-z0-9]+)*", FAILURES_PAGE.read_text(encoding="utf-8")))
    assert len(reasons) > 30
    assert sorted(reasons - documented) == []
