"""Notifications that are neither messages nor changes: acknowledged, with a reason, and no dead letter."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function
from tests.functional.documents import PROJECT, reference
from tests.functional.failure_cases import FakeTopic, fake_topic


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """The dead-letter topic."""
    return fake_topic(monkeypatch)


NEW_KINDS: dict[str, dict[str, Any]] = {
    "with a resource": {"notificationType": "ResourceArchived", "resource": reference("product", "product-1")},
    "without a resource": {"notificationType": "Heartbeat"},
    "with an empty type": {"notificationType": "Heartbeat", "type": ""},
}


@pytest.mark.parametrize("kind", NEW_KINDS.values(), ids=NEW_KINDS)
def test_a_kind_that_is_not_known(
    sandbox: Sandbox, letters: FakeTopic, function: Function, kind: dict[str, Any]
) -> None:
    """Commercetools may send new kinds of notification; without a type none of them is ours."""
    answer = function.deliver({"projectKey": PROJECT, **kind})
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "unknown_notification")
    assert (letters.published, sandbox.klaviyo.requests()) == ([], [])


def test_an_event_is_named_without_a_resource(function: Function) -> None:
    """Its summary line has no slash in front of nothing."""
    answer = function.deliver({"notificationType": "Event", "projectKey": PROJECT, "type": "ImportUnresolved"})
    assert (answer.outcome, answer.reason) == ("ignored", "event_notification")
    assert answer.line["message"] == "Event ignored: event_notification"
    assert "resource" not in answer.line
