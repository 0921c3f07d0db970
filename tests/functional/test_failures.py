"""docs/failures.md tells the truth: every case of its table, over HTTP against a sandbox that is told to fail."""

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
    fake_topic,
    fault_options,
    table_rows,
)

CUSTOMER = change("ResourceUpdated", "customer", "customer-1")
STOCK = change("ResourceUpdated", "inventory-entry", "entry-1")
STOCK_GONE = change(
    "ResourceDeleted", "inventory-entry", "entry-2", resourceUserProvidedIdentifiers={"sku": "product-1-sku"}
)

CASES = [tuple(row[:5]) for row in table_rows("backend", "case", "outcome", "reason in the log", "again")]
_PATHS = {"Klaviyo": "^/api/", "commercetools": "^/shop/", "commercetools auth": "^/oauth/token"}
_URLS = {"Klaviyo": "KLAVIYO_API_URL", "commercetools": "CT_API_URL", "commercetools auth": "CT_AUTH_URL"}
_HEALTHY = 3
"""Requests of a message when nothing fails: token, read, write."""
_ALLOWED = _HEALTHY + 10

Settings = Callable[[str], str]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """The dead-letter topic."""
    return fake_topic(monkeypatch)


def _assert_holds(sandbox: Sandbox, letters: FakeTopic, answer: Answer, row: tuple[str, ...]) -> None:
    """The outcome, the reason and the repetitions of a row; a letter for what is dead-lettered, and no storm."""
    backend, _, outcome, reason, again = row
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert answer.status == (REFUSED if outcome == "retried" else ACKNOWLEDGED)
    assert answer.line["severity"] == _severity(outcome, reason)
    assert [letter.attributes["reason"] for letter in letters.published] == (
        [reason] if outcome == "dead-lettered" else []
    )
    failing = "klaviyo" if backend == "Klaviyo" else "commercetools"
    repeated = 1 if (row[:2] == ("commercetools", "401")) else 0
    calls = answer.line["calls"][failing] - repeated
    assert calls > 1 if again == "yes" else calls == 1
    assert len(all_requests(sandbox.commercetools, sandbox.klaviyo)) <= _ALLOWED


def _severity(outcome: str, reason: str) -> str:
    """What the page says of a log line: an error is what somebody has to mend."""
    if outcome == "dead-lettered" or reason.endswith("_denied"):
        return "ERROR"
    return "WARNING" if outcome == "retried" else "INFO"


def _deliver(serve: Serve, settings_file: Settings, sandbox: Sandbox, row: tuple[str, ...], message: Any) -> Answer:
    """Deliver a message while the backend of a row fails as the row says, within the message's time."""
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
def test_customers(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, letters: FakeTopic
) -> None:
    """A customer's message ends as the page says, in time, and costs at most ten requests more than a healthy one."""
    sandbox.commercetools.put("customers", customer())
    answer = _deliver(serve, settings_file, sandbox, row, CUSTOMER)
    _assert_holds(sandbox, letters, answer, row)
    if row[0] != "Klaviyo":
        assert sandbox.klaviyo.requests() == [], "nothing is written of what could not be read"


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row[1]) for row in CASES if row[0] == "Klaviyo" and row[1] != "404"]
)
def test_catalog(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, letters: FakeTopic
) -> None:
    """A write to the catalog is judged like one of a profile; only its 404 has a rule of its own."""
    sandbox.commercetools.put("inventory", entry())
    answer = _deliver(serve, settings_file, sandbox, row, STOCK)
    _assert_holds(sandbox, letters, answer, row)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row[1]) for row in CASES if row[0] == "commercetools" and row[1] != "404 of a resource"],
)
def test_queries(
    row: tuple[str, ...], sandbox: Sandbox, serve: Serve, settings_file: Settings, letters: FakeTopic
) -> None:
    """A query of commercetools is judged like the read of one resource; only its 404 is another one."""
    answer = _deliver(serve, settings_file, sandbox, row, STOCK_GONE)
    _assert_holds(sandbox, letters, answer, row)
    assert sandbox.klaviyo.requests() == [], "nothing is written of what could not be read"


def test_a_fault_in_the_code(sandbox: Sandbox, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is retried and logged as an error that names its place, without its text."""

    def broken(*_: object) -> None:
        raise KeyError(customer()["email"])

    function = serve()
    monkeypatch.setattr(pipeline, "_handler", broken)
    answer = function.deliver(CUSTOMER)
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "unforeseen")
    assert answer.line["severity"] == "ERROR"
    assert re.fullmatch(r"KeyError tests\.functional\.test_failures:\d+", answer.line["code"])
    assert sandbox.klaviyo.requests() == []


def test_letter(sandbox: Sandbox, serve: Serve, letters: FakeTopic) -> None:
    """A letter holds the data as it came and says what failed, without the backend's prose."""
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", status=400)
    data = json.dumps(CUSTOMER, indent=3).encode()
    answer = serve().deliver(data, deliveryAttempt=4)
    assert (answer.status, answer.outcome) == (ACKNOWLEDGED, "dead-lettered")
    (letter,) = letters.published
    assert (letter.topic, letter.data) == (TOPIC, data)
    assert letter.attributes == {
        "reason": "klaviyo_refused",
        "error": "Refused invalid",
        "status": "400",
        "resource": "customer/customer-1",
        "type": "ResourceUpdated",
        "message_id": "message-0",
        "attempt": "4",
    }


@pytest.mark.parametrize("topic", [None, TOPIC], ids=["no topic", "publishing fails"])
def test_letter_that_can_not_be_sent(
    topic: str | None, sandbox: Sandbox, serve: Serve, letters: FakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a topic, or when publishing fails, the message stays with Pub/Sub; the log has the letter's reason."""
    letters.error = TimeoutError("with text that is not logged")
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


def test_a_byte_a_second_with_the_limits_as_they_are(sandbox: Sandbox, serve: Serve) -> None:
    """With nothing injected, a server that sends a byte a second is answered within 30 seconds."""
    sandbox.commercetools.put("customers", customer())
    sandbox.klaviyo.fail("profile-import", trickle=1)
    function = serve()
    watch = Stopwatch()
    answer = function.deliver(CUSTOMER)
    assert watch.seconds < 30
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "klaviyo_unreachable")


def test_page_has_every_reason() -> None:
    """Each reason that the code can give stands on the page."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("", "core", "handlers", "clients", "mappers", "jobs")
        for path in (ROOT / folder).glob("*.py")
    )
    given = set(re.findall(r'(?:Ignored|TryAgain|DeadLetter|Unavailable)\("([a-z_]+)"|problem="([a-z_]+)"', code))
    reasons = {name for pair in given for name in pair if name} - {"no_failure"}
    told = set(re.findall(r"[a-z]+(?:_[a-z0-9]+)*", FAILURES_PAGE.read_text(encoding="utf-8")))
    assert len(reasons) > 30
    assert sorted(reasons - told) == []
