"""The effect of a message in words."""

from typing import Any

import pytest

from commands.outcome_words import counted, effect, heading, money
from commands.reason_words import REASONS, with_words


def _event(metric: str, status: int = 202) -> dict[str, Any]:
    body = {"data": {"attributes": {"metric": {"data": {"attributes": {"name": metric}}}}}}
    return {"operation": "create_event", "status": status, "body": body}


def _call(operation: str, status: int = 200) -> dict[str, Any]:
    return {"operation": operation, "status": status, "body": None}


_SYNCED = {"outcome": "synced"}
_RETRIED = {"outcome": "retried", "reason": "no_answer"}


@pytest.mark.parametrize(
    ("line", "calls", "words"),
    [
        (_SYNCED, [], "nothing to change"),
        (_SYNCED, [_call("get_catalog_categories")], "nothing to change"),
        (_SYNCED, [_event("A"), *[_event("B")] * 2], "A, B x2"),
        (_SYNCED, [_event("Placed Order", 400), _event("Placed Order")], "Placed Order"),
        (_SYNCED, [_call("create_catalog_item", 404), _call("delete_catalog_item")], "1 item deleted"),
        (_SYNCED, [_call("update_catalog_category")] * 3, "3 categories changed"),
        (_SYNCED, [_call("create_or_update_profile", 201)], "1 profile created"),
        (_SYNCED, [_call("create_or_update_profile", 200)], "1 profile changed"),
        ({"outcome": "ignored", "reason": "no_profile"}, [], f"ignored: no_profile ({REASONS['no_profile']})"),
        ({"outcome": "ignored", "reason": "new_reason"}, [], "ignored: new_reason"),
        (
            _RETRIED,
            [_call("update_catalog_item")],
            "retried: no_answer (the function did not respond); 1 item changed",
        ),
        ({"outcome": "dead-lettered"}, [], "dead-lettered"),
    ],
)  # fmt: skip
def test_effect_of_a_message(line: dict[str, Any], calls: list[dict[str, Any]], words: str) -> None:
    """Only successful writes count, not reads or refused writes."""
    assert effect(line, calls) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ignored: guest", "ignored: guest (the order has no customer, and guests are skipped)"),
        ("guest", "guest (the order has no customer, and guests are skipped)"),
        ("retried: klaviyo_denied 401 code: x", "retried: klaviyo_denied 401 code: x (Klaviyo rejects the API key)"),
        (
            "klaviyo_refused 400 invalid variant A: no_email /data",
            "klaviyo_refused 400 invalid variant A: no_email /data (Klaviyo rejects the content)",
        ),
        (
            "order/OrderCreated ignored: guest",
            "order/OrderCreated ignored: guest (the order has no customer, and guests are skipped)",
        ),
        ("synced", "synced"),
        ("ignored: new_reason", "ignored: new_reason"),
        ("", ""),
    ],
)
def test_a_reason_is_put_into_words(text: str, words: str) -> None:
    """The code stays as logs and docs have it; an unknown one gets no words."""
    assert with_words(text) == words


@pytest.mark.parametrize(
    ("resource", "title"),
    [("order/1", "Orders"), ("inventory-entry/1", "Stock"), ("subscription/1", "Notifications"), ("", "Notifications")],
)
def test_heading_of_a_resource(resource: str, title: str) -> None:
    """A message about an unknown resource is listed under Notifications."""
    assert heading({"resource": resource}) == title


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (311.9, "EUR", "311.90 EUR"),
        (1234.5, None, "1,234.50"),
        (31000, "JPY", "31,000 JPY"),
        (189.495, None, "189.495"),
        (None, "EUR", "no price"),
    ],
)
def test_money_is_formatted_as_in_shops(amount: float | None, currency: str | None, text: str) -> None:
    """It has two decimals, unless the currency has none or the price has fractions of a cent."""
    assert money(amount, currency) == text


def test_counted_nouns_have_their_plural() -> None:
    """Any number but one takes the plural."""
    assert [counted(1, "item"), counted(0, "item"), counted(2, "category")] == ["1 item", "0 items", "2 categories"]
