"""The page's texts about a message: its headline, the timeline of its calls, and curl commands."""

import re
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from commands.page import curl
from commands.page.delivery import Attempt, Backend, Call, DeadLetter, Delivery, Message
from commands.page.outcome_text import TIMES, summarize, with_times_sign
from commands.page.sample_list import sample_groups
from commands.page.timeline import steps
from commands.processes import ROOT, Sandbox
from commands.reason_words import REASONS
from sandbox.control import Control
from sandbox.samples import samples

NOW = datetime(2026, 11, 17, tzinfo=UTC)
ITEM = "$custom:::$default:::p1"


def _call(backend: Backend, operation: str, status: int = 200, method: str = "GET", **record: Any) -> Call:
    defaults = {
        "operation": operation,
        "status": status,
        "method": method,
        "path": "/p",
        "query": {},
        "body": None,
        "at": 0.0,
    }
    return Call(backend, defaults | record)


def _event(name: str, status: int = 202, value: float | None = None) -> Call:
    metric = {"data": {"attributes": {"name": name}}}
    body = {"data": {"attributes": {"metric": metric, "value": value, "value_currency": "EUR"}}}
    return _call("Klaviyo", "create_event", status, "POST", body=body)


def _delivery(
    *calls: Call, outcome: str = "synced", reason: str = "", dead_letter: DeadLetter | None = None
) -> Delivery:
    line = {"outcome": outcome, "reason": reason, "type": "OrderCreated"}
    attempt = Attempt(NOW, outcome != "retried", line, [], calls)
    return Delivery(1, Message("order-created", "An order", b"{}"), NOW, attempts=[attempt], dead_letter=dead_letter)


@pytest.mark.parametrize(
    ("delivery", "headline"),
    [
        (_delivery(_event("Placed Order")), "Synced to Klaviyo: Placed Order."),
        (_delivery(), "Klaviyo was already up to date."),
        (_delivery(outcome="ignored", reason="staged"), "Nothing to do: only the staged version changed."),
        (_delivery(outcome="ignored", reason="some_word"), "Nothing to do: some word."),
        (
            _delivery(outcome="retried", reason="klaviyo_error"),
            "Back to Pub/Sub: Klaviyo is down. The message will be redelivered.",
        ),
        (
            _delivery(outcome="dead-lettered", reason="not_json", dead_letter=DeadLetter(NOW, "not_json")),
            "Dead letter: it is not JSON. Retrying would not help.",
        ),
        (
            _delivery(
                outcome="retried",
                reason="klaviyo_denied",
                dead_letter=DeadLetter(NOW, "klaviyo_denied", forwarded=True),
            ),
            "Given up after 5 attempts: Klaviyo rejects the API key. The message is a dead letter now.",
        ),
    ],
)
def test_a_message_has_a_headline(delivery: Delivery, headline: str) -> None:
    """It says how the message ended, and why."""
    assert summarize(delivery).headline == headline


def test_every_documented_reason_has_words() -> None:
    """The page and the commands show no bare reason code: every reason in the tables of docs/failures.md has a text."""
    failures = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"\| (?:ignored|retried|dead-lettered) \| `?(\w+)`? \|", failures))
    assert {"superseded", "klaviyo_error", "not_json"} <= documented, "a row from each of the three tables"
    assert sorted(documented - set(REASONS)) == []


def test_a_resource_read_twice_is_listed_once() -> None:
    """It may be read again after the write, or with its references expanded."""
    reads = [
        _call("commercetools", "customers.get", path="/shop/customers/1"),
        _call("commercetools", "customers.get", path="/shop/customers/1", query={"expand": ["group"]}),
        _call("commercetools", "inventory.query", query={"where": ["a"]}),
        _call("commercetools", "inventory.query", query={"where": ["b"]}),
        _call("commercetools", "orders.get", 404, path="/shop/orders/1"),
    ]
    assert summarize(_delivery(*reads)).read == "the customer, the stock"


def test_a_write_without_answer_is_not_counted() -> None:
    """Only its confirmed retry counts."""
    assert summarize(_delivery(_event("Placed Order", 0), _event("Placed Order"))).written == "Placed Order"


def test_repetitions_have_a_times_sign() -> None:
    """The number and the sign come before what is repeated."""
    assert with_times_sign("Placed Order, Ordered Product x2") == f"Placed Order, 2 {TIMES} Ordered Product"
    assert with_times_sign("Refunded Order x3") == f"3 {TIMES} Refunded Order"
    assert with_times_sign("orders 9 read: Placed Order x9") == f"orders 9 read: 9 {TIMES} Placed Order"


def _steps(*calls: Call, outcome: str = "synced") -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in steps(_delivery(*calls, outcome=outcome).attempts[0])]


def test_similar_calls_are_one_step() -> None:
    """Twelve variants are one line. Events with the same metric are counted; a single event shows its value."""
    variant = _call("Klaviyo", "create_catalog_variant", 201, "POST")
    assert _steps(*[variant] * 12) == [("write", "Created 12 variants")]
    sent = _steps(_event("Placed Order", value=5.0), _event("Ordered Product"), _event("Ordered Product"))
    assert sent == [("write", f"Sent Placed Order (5.00 EUR), 2 {TIMES} Ordered Product")]
    assert steps(_delivery(*[variant] * 3).attempts[0])[0].numbers == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "outcome", "kind", "text"),
    [
        (_call("Klaviyo", "get_catalog_item", 404), "synced", "miss", "Looked up the item: not in Klaviyo yet"),
        (
            _call("Klaviyo", "update_catalog_item", 404, "PATCH", path=f"/api/catalog-items/{ITEM}"),
            "synced",
            "miss",
            "Tried to write the item p1: not in Klaviyo yet",
        ),
        (
            _call("Klaviyo", "create_catalog_variant", 404, "POST", body={"data": {"attributes": {"sku": "S"}}}),
            "synced",
            "miss",
            "Tried to write the variant S: what it belongs to is not in Klaviyo yet",
        ),
        (_call("Klaviyo", "get_variants_for_catalog_item"), "synced", "read", "Looked up the item's variants"),
        (_call("commercetools", "customers.get", 404), "ignored", "miss", "Read the customer: not found"),
        (_event("Placed Order", 429), "synced", "retried", "Klaviyo returned 429: Placed Order, retried"),
        (_event("Placed Order", 0), "synced", "retried", "Klaviyo did not respond: Placed Order, retried"),
        (_call("Klaviyo", "create_event", 0, "POST"), "retried", "refused", "Klaviyo did not respond: an event"),
        (_event("Placed Order", 503), "retried", "refused", "Klaviyo returned 503: Placed Order"),
        (_event("Placed Order", 401), "retried", "refused", "Klaviyo returned 401: Placed Order"),
        (_event("Placed Order", 400), "dead-lettered", "refused", "Klaviyo rejected Placed Order (400)"),
        (_call("Klaviyo", "create_or_update_profile", 201, "POST"), "synced", "write", "Created the profile"),
        (_call("Klaviyo", "create_or_update_profile", 200, "POST"), "synced", "write", "Changed the profile"),
        (
            _call("Klaviyo", "request_profile_deletion", 202, "POST"),
            "synced",
            "write",
            "Asked Klaviyo to erase the profile",
        ),
        (_call("Klaviyo", "get_profiles"), "synced", "read", "Looked up the profile"),
        (_call("Klaviyo", "get_accounts"), "synced", "read", "Looked up get accounts"),
        (_call("commercetools", "states.get"), "synced", "read", "Read the workflow state"),
    ],
)
def test_a_call_is_described(call: Call, outcome: str, kind: str, text: str) -> None:
    """A 404 is a miss if the message continued. A refusal that decided the outcome is shown as one."""
    assert _steps(call, outcome=outcome) == [(kind, text)]


def test_curl_commands_are_quoted_for_a_shell() -> None:
    """Quotes in a body are escaped. An API key is a variable in double quotes, which the shell expands."""
    sandbox = Sandbox(Control("http://127.0.0.1:1"), Control("http://127.0.0.1:2"))
    body = {"data": {"attributes": {"name": "it's $HOME"}}}
    command = curl.call_command(_call("Klaviyo", "create_event", 202, "POST", path="/api/events", body=body), sandbox)
    words = shlex.split(command)
    assert words[:4] == ["curl", "-X", "POST", "http://127.0.0.1:2/api/events"]
    assert "Authorization: Klaviyo-API-Key $KLAVIYO_AUTH_KEY" in words
    assert words[-1] == '{"data": {"attributes": {"name": "it\'s $HOME"}}}'
    read = curl.call_command(
        _call("commercetools", "orders.query", path="/shop/orders", query={"where": ["a"]}), sandbox
    )
    assert "http://127.0.0.1:1/shop/orders?where=a" in shlex.split(read)
    pushed = shlex.split(curl.push_command(_delivery(), "http://127.0.0.1:3"))
    assert pushed[:4] == ["curl", "-X", "POST", "http://127.0.0.1:3/"]


def test_every_sample_is_in_one_group() -> None:
    """Its resource decides the group. Messages about what follows an order are grouped with the shipments."""
    listed = {sample.file.split("-", 1)[0]: sample for sample in samples()}
    found = sample_groups(listed)
    numbers = [entry.number for group in found for entry in group.entries]
    assert sorted(numbers) == sorted(listed)
    by_name = {group.name: [entry.number for entry in group.entries] for group in found}
    assert by_name["Shipments and returns"][:2] == ["75", "76"]
    assert by_name["Other messages"] == ["01", "43"]
